from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facepipe.datatypes import NEIGHBOUR_CHANNELS
from facepipe.errors import UsageError
from facepipe.models.networks.baselines import Discriminator
from facepipe.models.networks.complexity import gigamacs, parameters
from facepipe.models.networks.factory import (
    FromCanvas,
    guided_network,
    small_network,
    small_networks,
)
from facepipe.models.networks.fishsrnet import (
    INPUT_CHANNELS,
    STAGES,
    FishSRNet,
    GuidedFishSRNet,
    MergedFishSRNet,
    guided_fishsrnet,
)
from facepipe.models.networks.fishsrnet_paper import PaperFishSRNet, PaperParsingNet
from facepipe.models.networks.growth import grow
from facepipe.models.networks.layers import (
    AttentionUnit,
    DownModule,
    MultiScaleConv,
    ResidualBlock,
    UpModule,
    conv,
    merge_kernels,
)
from facepipe.models.networks.msab import MSAB, ChannelMask, MultiScaleUnit, SpatialMask
from facepipe.models.networks.parsingnet import PARTS, ParsingNet, ParsingTeacher, parse_of
from facepipe.models.registry import SYSTEMS, System


def zero_layers(network: FishSRNet) -> tuple[nn.Conv2d, ...]:
    """The layers whose zero start keeps an untrained network from changing anything."""
    neighbours = network.beside64, network.beside32, network.beside16, network.beside_out
    return network.reconstruct, *neighbours


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("block", "expected_millions", "expected_gigamacs"),
    [(ResidualBlock, 2.72, 9.6), (MSAB, 2.93, 10.5)],
)
def test_paper_network_costs_what_the_paper_s_does(
    block: type[nn.Module], expected_millions: float, expected_gigamacs: float
) -> None:
    network = PaperFishSRNet(block)
    assert parameters(network) / 1e6 == pytest.approx(expected_millions, rel=0.02)
    assert gigamacs(network, images(1, 3, 16, 16)) == pytest.approx(expected_gigamacs, rel=0.02)


def test_product_costs_at_most_1_2_gigamacs_a_face() -> None:
    network = GuidedFishSRNet(ParsingNet(), FishSRNet())
    assert gigamacs(network, images(1, INPUT_CHANNELS, 128, 128)) <= 1.2


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_what_the_table_says_of_each_system_is_true(system: System) -> None:
    canvas, parse = images(1, 3, 128, 128), images(1, len(PARTS), 32, 32)
    if system.name in small_networks():
        network: nn.Module = small_network(system.name).eval()
        cost = gigamacs(network, canvas)
        with torch.inference_mode():
            assert network(canvas).shape == (1, 3, 128, 128)
    else:
        network = guided_network(system.name)
        cost = gigamacs(network, canvas, parse, images(1, NEIGHBOUR_CHANNELS, 128, 128))
    assert parameters(network) == system.parameters
    assert cost == pytest.approx(system.gmacs, abs=0.01)


def test_every_system_that_can_be_built_is_in_the_table() -> None:
    assert {*small_networks(), "fishsrnet-large"} == {system.name for system in SYSTEMS}
    with pytest.raises(UsageError, match="there are srcnn"):
        small_network("gfpgan")
    with pytest.raises(UsageError, match="there are fishsrnet"):
        guided_network("srcnn")


def test_networks_of_small_faces_get_back_what_was_enlarged() -> None:
    small = images(2, 3, 16, 16)
    canvas = nn.functional.interpolate(small, scale_factor=8, mode="bicubic")
    torch.testing.assert_close(FromCanvas(nn.Identity())(canvas), small, atol=1e-4, rtol=0)


def test_judge_gives_a_logit_a_face() -> None:
    with torch.inference_mode():
        assert Discriminator()(images(2, 3, 128, 128)).shape == (2, 1)


def test_paper_network_enlarges_eight_times_with_and_without_a_map() -> None:
    face, parsing = images(2, 3, 16, 16), images(2, 1, 16, 16)
    with torch.inference_mode():
        assert PaperFishSRNet(ResidualBlock)(face).shape == (2, 3, 128, 128)
        guided = PaperFishSRNet(ResidualBlock, width=16, maps=1)
        assert guided(face, parsing).shape == (2, 3, 128, 128)
        assert not torch.equal(guided(face, parsing), guided(face, 1 - parsing))
        with pytest.raises(ValueError, match="1 parsing maps"):
            guided(face)
    with pytest.raises(ValueError, match="0 parsing maps"):
        PaperFishSRNet(ResidualBlock)(face, parsing)


def test_parsing_networks_keep_their_shapes() -> None:
    with torch.inference_mode():
        logits = ParsingNet()(images(2, 3, 128, 128))
        assert logits.shape == (2, len(PARTS), 64, 64)
        shares = parse_of(logits)
        assert shares.shape == (2, len(PARTS), 32, 32)
        torch.testing.assert_close(shares.sum(1), torch.ones(2, 32, 32))
        teacher = ParsingTeacher()
        assert teacher(images(1, 3, 128, 128)).shape == (1, len(PARTS), 128, 128)
        assert teacher(images(1, 3, 160, 160)).shape == (1, len(PARTS), 160, 160)
        assert PaperParsingNet(maps=2)(images(2, 3, 16, 16)).shape == (2, 2, 16, 16)


@pytest.mark.parametrize("form", [FishSRNet, MergedFishSRNet])
def test_untrained_fishsrnet_gives_its_input_back(form: type[FishSRNet]) -> None:
    canvas = images(2, 3, 128, 128)
    with torch.inference_mode():
        parse = torch.softmax(images(2, len(PARTS), 32, 32), 1)
        assert torch.equal(form()(canvas, parse), canvas)
        seen = images(2, INPUT_CHANNELS, 128, 128)
        seen[:, :3] = canvas * 3 - 1
        restored, parse = GuidedFishSRNet(ParsingNet(), form())(seen)
    assert torch.equal(restored, (canvas * 3 - 1).clamp(0, 1))
    torch.testing.assert_close(parse.sum(1), torch.ones(2, 32, 32))


@pytest.mark.parametrize("form", [FishSRNet, MergedFishSRNet])
def test_neighbours_of_zeros_have_no_effect(form: type[FishSRNet]) -> None:
    torch.manual_seed(0)
    network = form().eval()
    with torch.inference_mode():
        for last in zero_layers(network):
            nn.init.normal_(last.weight, std=0.05)
        canvas, parse = images(1, 3, 128, 128), torch.softmax(images(1, 8, 32, 32), 1)
        alone = network(canvas, parse)
        neighbours = torch.zeros(1, NEIGHBOUR_CHANNELS, 128, 128)
        torch.testing.assert_close(network(canvas, parse, neighbours), alone)
        for channel in range(NEIGHBOUR_CHANNELS):
            neighbours.zero_()[:, channel] = 0.02
            assert float((network(canvas, parse, neighbours) - alone).abs().max()) > 1e-4


def test_multi_scale_unit_treats_each_quarter_with_its_own_kernel() -> None:
    unit = MultiScaleUnit(8)
    assert [tuple(b.kernel_size) for b in unit.branches] == [(1, 1), (3, 3), (5, 5), (7, 7)]
    x = torch.zeros(1, 8, 15, 15)
    with torch.inference_mode():
        still = unit(x)
        for quarter, reach in enumerate((0, 1, 2, 3)):
            touched = x.clone()
            touched[0, 2 * quarter : 2 * quarter + 2, 7, 7] = 1
            changed = (unit(touched) != still)[0]
            channels = changed.any(-1).any(-1).nonzero().flatten().tolist()
            assert channels == [2 * quarter, 2 * quarter + 1]
            rows = changed.any(0).any(-1).nonzero().flatten().tolist()
            assert rows == list(range(7 - reach, 8 + reach))
    with pytest.raises(ValueError, match="multiple of 4"):
        MultiScaleUnit(6)


def test_masks_lie_between_zero_and_one() -> None:
    x = 4 * images(2, 16, 9, 9) - 2
    with torch.inference_mode():
        spatial, channel = SpatialMask(16)(x), ChannelMask(16)(x)
    assert spatial.shape == (2, 16, 9, 9)
    assert channel.shape == (2, 16, 1, 1)
    for mask in (spatial, channel):
        assert bool(((mask > 0) & (mask < 1)).all())


def test_channel_mask_sees_mean_maximum_and_variance() -> None:
    mask = ChannelMask(4)
    with torch.inference_mode():
        for tensor in mask.parameters():
            tensor.fill_(0.1)
        flat = torch.full((1, 4, 2, 2), 0.5)
        mixed = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2).expand(1, 4, 2, 2)

        def mlp(value: float) -> float:
            return max(4 * 0.1 * value + 0.1, 0) * 0.1 + 0.1

        for x, pooled in ((flat, (0.5, 0.5, 0.0)), (mixed, (0.5, 1.0, 0.25))):
            expected = torch.sigmoid(torch.tensor(sum(mlp(value) for value in pooled)))
            torch.testing.assert_close(mask(x), expected.expand(1, 4, 1, 1))


def test_blocks_are_the_identity_when_their_last_layer_is_zero() -> None:
    x = images(1, 8, 6, 6)
    residual, msab = ResidualBlock(8), MSAB(8)
    for layer in (residual.conv2, msab.fuse):
        nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    with torch.inference_mode():
        assert torch.equal(residual(x), x)
        assert torch.equal(msab(x), x)


def test_residual_block_is_scaled() -> None:
    block, x = ResidualBlock(4), images(1, 4, 6, 6)
    with torch.inference_mode():
        expected = x + 0.2 * block.conv2(torch.relu(block.conv1(x)))
        assert torch.equal(block(x), expected)


def test_up_and_down_modules_change_the_size_by_two() -> None:
    x = images(1, 8, 6, 6)
    with torch.inference_mode():
        assert UpModule(8)(x).shape == (1, 8, 12, 12)
        assert UpModule(8, 4)(x).shape == (1, 4, 12, 12)
        assert DownModule(8)(x).shape == (1, 8, 3, 3)
        assert DownModule(4, 6, merge=8)(x).shape == (1, 6, 3, 3)
        assert conv(8, 3, 5)(x).shape == (1, 3, 6, 6)


@pytest.mark.parametrize("name", ["fishsrnet", "parsingnet", "paper fishsrnet", "paper parsingnet"])
def test_gradients_reach_every_parameter(name: str) -> None:
    makers: dict[str, Callable[[], nn.Module]] = {
        "fishsrnet": FishSRNet,
        "parsingnet": ParsingNet,
        "paper fishsrnet": lambda: PaperFishSRNet(MSAB, width=16),
        "paper parsingnet": PaperParsingNet,
    }
    side = 16 if name.startswith("paper") else 128
    inputs = [images(1, 3, side, side)]
    if name == "fishsrnet":
        inputs += [images(1, 8, 32, 32), images(1, NEIGHBOUR_CHANNELS, 128, 128)]
    untouched: set[str] | None = None
    for seed in range(4):  # a rectifier may be shut by chance, hardly four times
        torch.manual_seed(seed)
        network = makers[name]()
        if isinstance(network, FishSRNet):  # its zero start would hold all gradients back
            for last in zero_layers(network):
                nn.init.normal_(last.weight, std=0.1)
        network(*inputs).square().mean().backward()
        shut = {
            label
            for label, parameter in network.named_parameters()
            if parameter.grad is None or not bool(parameter.grad.any())
        }
        untouched = shut if untouched is None else untouched & shut
    assert not untouched


def test_networks_do_not_depend_on_the_batch() -> None:
    canvas = images(3, 3, 128, 128)
    network = ParsingNet().eval()
    with torch.inference_mode():
        together = network(canvas)
        alone = torch.cat([network(one[None]) for one in canvas])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernels", "groups"), [((1, 3), 1), ((1, 3, 5, 7), 4), ((5,), 2)])
def test_kernels_of_several_sizes_are_one_convolution(
    kernels: tuple[int, ...], groups: int
) -> None:
    torch.manual_seed(0)
    several = MultiScaleConv(8, kernels, groups=groups)
    nn.init.normal_(several.bias)
    x = images(2, 8, 12, 12)
    with torch.inference_mode():
        apart = [
            nn.functional.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=groups)
            for kernel in several.kernels
        ]
        expected = torch.stack(apart).sum(0) + several.bias[:, None, None]
        torch.testing.assert_close(several(x), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(several.merged()(x), expected, atol=1e-5, rtol=0)


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        MultiScaleConv(8, (2, 3))


def test_merged_network_is_smaller_and_gives_the_same() -> None:
    torch.manual_seed(0)
    network = MergedFishSRNet().eval()
    for last in zero_layers(network):
        nn.init.normal_(last.weight, std=0.02)
    canvas, parse = images(1, 3, 128, 128), torch.softmax(images(1, 8, 32, 32), 1)
    with torch.inference_mode():
        before, size = network(canvas, parse), parameters(network)
        merge_kernels(network)
        torch.testing.assert_close(network(canvas, parse), before, atol=1e-5, rtol=0)
    assert parameters(network) < size
    assert not any(isinstance(part, MultiScaleConv) for part in network.modules())
    assert (
        network.state_dict().keys()
        == guided_fishsrnet("fishsrnet-merged").restore.state_dict().keys()
    )


def test_attention_masks_depend_on_place_and_on_channel() -> None:
    torch.manual_seed(0)
    unit = AttentionUnit(16, (1, 3)).eval()
    x = images(1, 16, 8, 8)
    with torch.inference_mode():
        before = unit(x)
        nn.init.constant_(unit.spatial.bias, 3)
        without_place = unit(x)
        nn.init.constant_(unit.excite.bias, 3)
        assert not torch.allclose(before, without_place)
        assert not torch.allclose(without_place, unit(x))


def test_grown_network_does_what_the_narrow_one_did() -> None:
    torch.manual_seed(0)
    narrow, wide = FishSRNet((8, 16, 32)), FishSRNet((16, 24, 32))
    for network in (narrow, wide):
        for name in STAGES:
            setattr(network, name, nn.Identity())
        for last in zero_layers(network):
            nn.init.normal_(last.weight, std=0.05)
    canvas, parse = images(1, 3, 128, 128), torch.softmax(images(1, 8, 32, 32), 1)
    copied = grow(wide, narrow.state_dict())
    assert set(copied) == {name for name, _ in wide.named_parameters()}
    with torch.inference_mode():
        torch.testing.assert_close(wide(canvas, parse), narrow(canvas, parse), atol=1e-5, rtol=0)


def test_growth_leaves_other_layers_as_they_are() -> None:
    torch.manual_seed(0)
    network = MergedFishSRNet()
    before = {name: p.clone() for name, p in network.named_parameters()}
    copied = grow(network, FishSRNet().state_dict())
    assert {"up32.conv.weight", "merge64.weight"} <= set(copied)
    assert not any(name.startswith(STAGES) for name in copied)
    after = dict(network.named_parameters())
    assert all(torch.equal(before[n], after[n]) for n in before if n not in copied)
