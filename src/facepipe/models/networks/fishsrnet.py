"""FishSRNet: head, body and tail, in the paper's form and in ours.

The paper's form takes a 16x16 face up to 128x128, down again and up once more, always
64 channels wide. 89 % of its work lies at 64x64 and 128x128. Ours keeps the parts and the
fish's body and tail, takes the whole 128x128 canvas in by folding (nothing is lost, so a face
that has more than 16 px keeps what it has), and puts the width where pixels are few.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.frames import SEQUENCE
from facepipe.models.networks.msab import MSAB
from facepipe.models.networks.parsingnet import PARTS, ParsingNet
from facepipe.models.networks.parts import BlockFactory, DownModule, UpModule, conv, stage

#: Frames of one face that the network sees at once; the middle one is restored.
FRAMES = SEQUENCE
#: Difference of light, as a share of white, up to which a frame beside counts in full at a place,
#: and from which not at all: something else is seen there.
_SAME, _OTHER = 0.02, 0.05
#: Canvas px of the cells in which light is compared, and cells taken together.
_CELL, _CELLS = 8, 5


class PaperFishSRNet(nn.Module):
    """The paper's network: six UM, three DM, nine stages of two blocks.

    Input: face (B, 3, 16, 16) in [0, 1] and, where `maps` > 0, a parsing map (B, maps, 16, 16).
    Output: (B, 3, 128, 128), not clamped.
    """

    def __init__(self, block: BlockFactory = MSAB, *, width: int = 64, maps: int = 0) -> None:
        super().__init__()
        self.maps = maps
        self.entry = conv(3 + maps, width)
        self.head_up = nn.ModuleList(UpModule(width) for _ in range(3))
        self.head_stage = nn.ModuleList(stage(block, width) for _ in range(3))
        self.body_down = nn.ModuleList(DownModule(width, merge=2 * width) for _ in range(3))
        self.body_stage = nn.ModuleList(stage(block, width) for _ in range(3))
        self.tail_merge = nn.ModuleList(
            conv(2 * width + (maps if first else 0), width, 1) for first in (True, False, False)
        )
        self.tail_conv = conv(width, width)
        self.tail_up = nn.ModuleList(UpModule(width) for _ in range(3))
        self.tail_stage = nn.ModuleList(stage(block, width) for _ in range(3))
        self.reconstruct = conv(width, 3)

    def forward(self, lr_B3HW: Tensor, map_BPHW: Tensor | None = None) -> Tensor:
        if (map_BPHW is None) != (self.maps == 0):
            raise ValueError(f"this network takes {self.maps} parsing maps")
        guide = [] if map_BPHW is None else [map_BPHW]
        f1 = self.head_up[0](self.entry(torch.cat([lr_B3HW, *guide], 1)))
        f2 = self.head_up[1](self.head_stage[0](f1))
        f3 = self.head_up[2](self.head_stage[1](f2))
        f4 = self.head_stage[2](f3)
        f5 = self.body_down[0](torch.cat([f4, f3], 1))
        f6 = self.body_stage[0](f5)
        f7 = self.body_down[1](torch.cat([f6, f2], 1))
        f8 = self.body_stage[1](f7)
        f9 = self.body_down[2](torch.cat([f8, f1], 1))
        f10 = self.body_stage[2](f9)
        t = self.tail_conv(self.tail_merge[0](torch.cat([f10, f9, *guide], 1)))
        t = self.tail_stage[0](self.tail_up[0](t))
        t = self.tail_stage[1](self.tail_up[1](self.tail_merge[1](torch.cat([t, f7], 1))))
        t = self.tail_stage[2](self.tail_up[2](self.tail_merge[2](torch.cat([t, f5], 1))))
        restored: Tensor = self.reconstruct(t)
        return restored


class FishSRNet(nn.Module):
    """The product's network: a pyramid of widths, thin where the canvas is large.

    Input: canvas (B, 3, 128, 128) in [0, 1], parse probabilities (B, 8, 32, 32) and, where the face
    comes from a film, the canvases of the frames beside it (B, 4, 3, 128, 128): two before, two
    after.
    Output: restored canvas (B, 3, 128, 128): the input plus what the network adds, not clamped.
    Frames beside count by how they differ from the canvas: equal ones, or none, add nothing, and
    neither do places where they show something else (`alike`).
    `widths` are the channels at 64x64, 32x32 and 16x16; `blocks` the blocks of the 16x16 stages
    before and after the guide enters again, then of the tail at 32x32 and 64x64.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (24, 64, 128),
        blocks: tuple[int, int, int, int] = (3, 2, 2, 1),
        *,
        maps: int = len(PARTS),
        beside: int = 16,
    ) -> None:
        super().__init__()
        w64, w32, w16 = widths
        self.fold = nn.PixelUnshuffle(2)
        self.entry = conv(12, w64)
        self.down32 = DownModule(w64, w32)
        self.down16 = DownModule(w32, w16)
        self.guide_in = conv(4 * maps, w16, 1)
        self.body = stage(MSAB, w16, blocks[0])
        self.guide_tail = conv(w16 + 4 * maps, w16, 1)
        self.tail16 = stage(MSAB, w16, blocks[1])
        self.up32 = UpModule(w16, w32)
        self.merge32 = conv(2 * w32, w32, 1)
        self.tail32 = stage(MSAB, w32, blocks[2])
        self.up64 = UpModule(w32, w64)
        self.merge64 = conv(2 * w64, w64, 1)
        self.tail64 = stage(MSAB, w64, blocks[3])
        self.reconstruct = conv(w64, 12)
        self.unfold = nn.PixelShuffle(2)
        # No bias on the way of what differs, so that nothing in gives nothing out.
        self.beside = conv(12 * (FRAMES - 1), beside, bias=False)
        self.beside64 = conv(beside + 12 * (FRAMES - 1), w64, 1, bias=False)
        self.beside32 = DownModule(beside, w32, bias=False)
        for last in (self.reconstruct, self.beside64, self.beside32):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, canvas_B3HW: Tensor, parse_BPHW: Tensor, beside_BN3HW: Tensor | None = None
    ) -> Tensor:
        guide = self.fold(parse_BPHW)
        f64 = self.entry(self.fold(canvas_B3HW - 0.5))
        if beside_BN3HW is not None:
            differences = beside_BN3HW - canvas_B3HW[:, None]
            differences = self.fold((differences * alike(differences)).flatten(1, 2))
            seen = torch.relu(self.beside(differences))
            # The differences themselves too: a mean over frames is linear.
            f64 = f64 + self.beside64(torch.cat([seen, differences], 1))
        f32 = self.down32(torch.relu(f64))
        if beside_BN3HW is not None:
            f32 = f32 + self.beside32(seen)
        f16 = self.down16(torch.relu(f32)) + self.guide_in(guide)
        t = self.body(f16)
        t = self.tail16(self.guide_tail(torch.cat([t, guide], 1)) + f16)
        t = self.tail32(self.merge32(torch.cat([self.up32(t), f32], 1)))
        t = self.tail64(self.merge64(torch.cat([self.up64(t), f64], 1)))
        detail: Tensor = self.unfold(self.reconstruct(t))
        return canvas_B3HW + detail


def alike(differences_BN3HW: Tensor) -> Tensor:
    """(B, N, 1, H, W) in [0, 1]: where frames show the same thing, from how they differ.

    Detail and noise may differ; what a blur leaves of them must agree.
    """
    batch, count = differences_BN3HW.shape[:2]
    cells = functional.avg_pool2d(differences_BN3HW.flatten(0, 1), _CELL)
    power = cells.square().mean(1, keepdim=True)
    power = functional.avg_pool2d(power, _CELLS, 1, _CELLS // 2, count_include_pad=False)
    share = ((_OTHER - power.sqrt()) / (_OTHER - _SAME)).clamp(0, 1)
    share = functional.interpolate(share, scale_factor=_CELL, mode="bilinear")
    return share.reshape(batch, count, 1, *share.shape[2:])


def middle_and_beside(frames_BF3HW: Tensor) -> tuple[Tensor, Tensor]:
    """The canvas to restore (B, 3, H, W) and those of the frames beside it (B, F - 1, 3, H, W)."""
    middle = frames_BF3HW.shape[1] // 2
    before, after = frames_BF3HW[:, :middle], frames_BF3HW[:, middle + 1 :]
    return frames_BF3HW[:, middle], torch.cat([before, after], 1)


class GuidedFishSRNet(nn.Module):
    """ParsingNet and FishSRNet as one graph, the form that is exported and run.

    Input: the canvases of one face in five frames (B, 5, 3, 128, 128) in [0, 1], by time; a face of
    which there is one picture comes five times.
    Output: the middle one restored (B, 3, 128, 128), clamped to [0, 1]; its parse probabilities
    (B, 8, 32, 32).
    """

    def __init__(self, parsing: ParsingNet, restore: FishSRNet) -> None:
        super().__init__()
        self.parsing = parsing
        self.restore = restore

    def forward(self, frames_BF3HW: Tensor) -> tuple[Tensor, Tensor]:
        canvas, beside = middle_and_beside(frames_BF3HW)
        parse = torch.softmax(self.parsing(canvas), 1)
        return self.restore(canvas, parse, beside).clamp(0, 1), parse


def guided_fishsrnet() -> GuidedFishSRNet:
    """The product's network with chance weights."""
    return GuidedFishSRNet(ParsingNet(), FishSRNet())
