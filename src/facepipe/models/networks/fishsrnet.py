"""FishSRNet in our form: the body and tail of the paper's network, over the whole canvas.

The paper's form (`fishsrnet_paper`) does 89 % of its work at 64x64 and 128x128. Ours folds the
whole 128x128 canvas by PixelUnshuffle, which loses nothing, so a face of more than 16 px keeps its
detail; and it puts the width where pixels are few.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from facepipe.datatypes import NEIGHBOUR_CHANNELS
from facepipe.errors import ModelError
from facepipe.models.networks.layers import (
    AttentionUnit,
    DownModule,
    PlainBlock,
    UpModule,
    conv,
    merge_kernels,
    stage,
)
from facepipe.models.networks.msab import MSAB
from facepipe.models.networks.parsingnet import PARTS, ParsingNet, parse_of
from facepipe.models.weights import read_weights

#: Channels of the graph's input: the canvas, then what the neighbouring frames add to it.
INPUT_CHANNELS = 3 + NEIGHBOUR_CHANNELS

#: The stages of FishSRNet, from the first to the last.
STAGES = ("body", "tail16", "tail32", "tail64")


class FishSRNet(nn.Module):
    """The product's network: a pyramid of widths, thin where the canvas is large.

    Input: canvas (B, 3, 128, 128) in [0, 1], parse probabilities (B, 8, 32, 32) and, where the face
    comes from a video, what its neighbours add (B, 7, 128, 128; `faces.restoration.fusion`).
    Output: restored canvas (B, 3, 128, 128): the input plus what the network adds, not clamped.
    Neighbours of zeros have no effect.
    `widths` are the channels at 64x64, 32x32 and 16x16; `blocks` the blocks of the 16x16 stages
    before and after the guide enters again, then of the tail at 32x32 and 64x64.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (24, 64, 128),
        blocks: tuple[int, int, int, int] = (3, 2, 2, 1),
        *,
        maps: int = len(PARTS),
    ) -> None:
        super().__init__()
        w64, w32, w16 = widths
        self.fold = nn.PixelUnshuffle(2)
        self.entry = conv(12, w64)
        self.down32 = DownModule(w64, w32)
        self.down16 = DownModule(w32, w16)
        self.guide_in = conv(4 * maps, w16, 1)
        self.body = self._stage(w16, blocks[0])
        self.guide_tail = conv(w16 + 4 * maps, w16, 1)
        self.tail16 = self._stage(w16, blocks[1])
        self.up32 = UpModule(w16, w32)
        self.merge32 = conv(2 * w32, w32, 1)
        self.tail32 = self._stage(w32, blocks[2])
        self.up64 = UpModule(w32, w64)
        self.merge64 = conv(2 * w64, w64, 1)
        self.tail64 = self._stage(w64, blocks[3])
        self.reconstruct = conv(w64, 12)
        self.unfold = nn.PixelShuffle(2)
        # Neighbours enter every level, folded without loss, and the output. No bias, so that zeros
        # have no effect.
        self.beside64 = conv(4 * NEIGHBOUR_CHANNELS, w64, bias=False)
        self.beside32 = conv(16 * NEIGHBOUR_CHANNELS, w32, 1, bias=False)
        self.beside16 = conv(64 * NEIGHBOUR_CHANNELS, w16, 1, bias=False)
        self.beside_out = conv(4 * NEIGHBOUR_CHANNELS, 12, 5, bias=False)
        entries = (self.beside64, self.beside32, self.beside16, self.beside_out)
        for last in (self.reconstruct, *entries):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def _stage(self, channels: int, count: int) -> nn.Sequential:
        return stage(MSAB, channels, count)

    def forward(
        self, canvas_B3HW: Tensor, parse_BPHW: Tensor, neighbours_BCHW: Tensor | None = None
    ) -> Tensor:
        guide = self.fold(parse_BPHW)
        f64 = self.entry(self.fold(canvas_B3HW - 0.5))
        folded = None if neighbours_BCHW is None else self._folded(neighbours_BCHW)
        if folded:
            f64 = f64 + self.beside64(folded[0])
        f32 = self.down32(torch.relu(f64))
        if folded:
            f32 = f32 + self.beside32(folded[1])
        f16 = self.down16(torch.relu(f32)) + self.guide_in(guide)
        if folded:
            f16 = f16 + self.beside16(folded[2])
        t = self.body(f16)
        t = self.tail16(self.guide_tail(torch.cat([t, guide], 1)) + f16)
        t = self.tail32(self.merge32(torch.cat([self.up32(t), f32], 1)))
        t = self.tail64(self.merge64(torch.cat([self.up64(t), f64], 1)))
        change = self.reconstruct(t)
        if folded:
            change = change + self.beside_out(folded[0])
        detail: Tensor = self.unfold(change)
        return canvas_B3HW + detail

    def _folded(self, neighbours_BCHW: Tensor) -> list[Tensor]:
        """The neighbours at 64x64, 32x32 and 16x16."""
        at64 = self.fold(neighbours_BCHW)
        at32 = self.fold(at64)
        return [at64, at32, self.fold(at32)]


class MergedFishSRNet(FishSRNet):
    """FishSRNet of plain blocks, with attention once a stage, at its end.

    Processors run plain 3x3 convolutions faster than MSAB, most of all in training and at 64x64
    (benchmarks/speed/blocks.py), so the same time buys more of them. Kernels of several sizes are
    trained side by side and merge into one when the network is exported. At 16x16 they reach over
    7x7 px, in groups; above that over 3x3. Input and output are those of FishSRNet.
    """

    #: Kernels of the attention of a stage, and their groups, by its width.
    _WIDE, _THIN = ((1, 3, 5, 7), 4), ((1, 3), 1)

    def __init__(
        self,
        widths: tuple[int, int, int] = (32, 64, 128),
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
    ) -> None:
        self._w16 = widths[2]
        super().__init__(widths, blocks)

    def _stage(self, channels: int, count: int) -> nn.Sequential:
        kernels, groups = self._WIDE if channels == self._w16 else self._THIN
        return nn.Sequential(
            *stage(PlainBlock, channels, count), AttentionUnit(channels, kernels, groups=groups)
        )


class GuidedFishSRNet(nn.Module):
    """ParsingNet and FishSRNet as one graph, the form that is exported and run.

    Input: the canvas in [0, 1] and what its neighbours add (B, 10, 128, 128); zeros for a face of
    which there is one frame.
    Output: the canvas restored (B, 3, 128, 128), clamped to [0, 1]; its parse probabilities
    (B, 8, 32, 32).
    """

    def __init__(self, parsing: ParsingNet, restore: FishSRNet) -> None:
        super().__init__()
        self.parsing = parsing
        self.restore = restore

    def forward(self, seen_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        canvas, neighbours = seen_BCHW[:, :3], seen_BCHW[:, 3:]
        parse = parse_of(self.parsing(canvas))
        return self.restore(canvas, parse, neighbours).clamp(0, 1), parse


def guided_fishsrnet(form: str = "fishsrnet") -> GuidedFishSRNet:
    """The product's network with random weights, as it is run: kernels merged.

    `form` is what the header of its weights says, "fishsrnet" or "fishsrnet-merged"; ValueError for
    another.
    """
    if form not in _FORMS:
        raise ValueError(f"network {form!r}: there are {', '.join(_FORMS)}")
    network = GuidedFishSRNet(ParsingNet(), _FORMS[form]())
    merge_kernels(network)
    return network


def load_guided(weights: Path) -> GuidedFishSRNet:
    """The guided network that a `.safetensors` file of `facepipe export` holds.

    Raises ModelError for a missing or damaged file, and for weights of another network.
    """
    tensors, notes = read_weights(weights)
    form = notes.get("restore.network", "fishsrnet")
    if form not in _FORMS:
        raise ModelError(f"{weights}: weights of {form}, which is no restorer that facepipe runs")
    network = guided_fishsrnet(form)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{weights}: weights of another network ({error})") from error
    return network


def large_fishsrnet() -> FishSRNet:
    """The larger sister, for GPUs, with random weights."""
    return FishSRNet((48, 88, 128), (10, 8, 10, 6))


_FORMS: dict[str, Callable[[], FishSRNet]] = {
    "fishsrnet": FishSRNet,
    "fishsrnet-merged": MergedFishSRNet,
}
