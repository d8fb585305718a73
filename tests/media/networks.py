"""Networks of others for tests: architectures with chance weights, and graphs that do one thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper

from facepipe.models.restorers.checkpoint import import_spandrel


def _gfpgan() -> Any:
    from spandrel.architectures.GFPGAN import GFPGAN

    return GFPGAN()


def _codeformer() -> Any:
    from spandrel_extra_arches.architectures.CodeFormer import CodeFormer

    return CodeFormer(n_layers=1, codebook_size=32)


def _restoreformer() -> Any:
    from spandrel.architectures.RestoreFormer import RestoreFormer

    return RestoreFormer(
        n_embed=32, embed_dim=32, ch=32, ch_mult=(1,) * 6, num_res_blocks=1, z_channels=32
    )


def _swinir() -> Any:
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        embed_dim=12,
        depths=[2],
        num_heads=[2],
        window_size=8,
        mlp_ratio=2,
        upscale=4,
        upsampler="pixelshuffledirect",
    )


def _esrgan() -> Any:
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(num_filters=8, num_blocks=1)


def _compact() -> Any:
    from spandrel.architectures.Compact import Compact

    return Compact(num_feat=8, num_conv=2)


def _span() -> Any:
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)


def _nafnet() -> Any:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1])


#: By spandrel's name. GFPGAN and CodeFormer are as large as they are.
ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "GFPGAN": _gfpgan,
    "CodeFormer": _codeformer,
    "RestoreFormer": _restoreformer,
    "SwinIR": _swinir,
    "ESRGAN": _esrgan,
    "RealESRGAN Compact": _compact,
    "SPAN": _span,
    "NAFNet": _nafnet,
}

_LARGE = ("GFPGAN", "CodeFormer")


def chance_weights(architecture: str) -> dict[str, Any]:
    """Weights of that architecture, drawn anew: small, so that no number overflows."""
    import_spandrel()
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta" if architecture in _LARGE else "cpu"):  # of those only the shapes
        network = ARCHITECTURES[architecture]()
    weights = {}
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            weights[name] = torch.rand(tensor.shape, generator=generator).sub_(0.5).mul_(0.1)
        else:
            weights[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    return weights


def checkpoint(architecture: str, path: Path) -> Path:
    """Save chance weights as the makers of such networks do."""
    torch.save({"params_ema": chance_weights(architecture)}, path)
    return path


def graph(
    path: Path,
    *,
    given: tuple[int | str, ...] = ("n", 3, 512, 512),
    scale: float = 1.0,
    times: float = 1.0,
    plus: float = 0.0,
    contract: str | None = None,
) -> Path:
    """Write an ONNX graph: its input, enlarged bilinearly `scale` times, `times` and `plus`.

    The contract goes beside it.
    """
    one = {
        "scales": ([4], [1.0, 1.0, scale, scale]),
        "times": ([], [times]),
        "plus": ([], [plus]),
    }
    size = [side if isinstance(side, str) else round(side * scale) for side in given[2:]]
    nodes = [
        helper.make_node("Resize", ["image", "", "scales"], ["large"], mode="linear"),
        helper.make_node("Mul", ["large", "times"], ["bright"]),
        helper.make_node("Add", ["bright", "plus"], ["made"]),
    ]
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, (given[0], 3, *size))],
        [helper.make_tensor(name, TensorProto.FLOAT, *value) for name, value in one.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    if contract is not None:
        path.with_suffix(".toml").write_text(contract, encoding="utf-8")
    return path
