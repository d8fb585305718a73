"""Face parsing: which part of the face each point of the canvas shows."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.models.networks.layers import DownModule, ResidualBlock, UpModule, conv, stage

#: Classes of the parsing map, in the order of its channels.
PARTS = ("background", "skin", "brows", "eyes", "nose", "mouth", "hair", "rest")


class ParsingNet(nn.Module):
    """Residual blocks at 16x16 on the losslessly folded canvas, logits at 64x64.

    Input: canvas (B, 3, 128, 128) in [0, 1]. Output: logits (B, 8, 64, 64) over `PARTS`.
    """

    def __init__(self, width: int = 64, blocks: int = 5, skip: int = 16) -> None:
        super().__init__()
        self.fold2 = nn.PixelUnshuffle(2)
        self.fold4 = nn.PixelUnshuffle(4)
        self.fold8 = nn.PixelUnshuffle(8)
        self.entry = conv(192, width)
        self.trunk = stage(ResidualBlock, width, blocks)
        self.up32 = UpModule(width, skip)
        self.skip32 = conv(48, skip)
        self.up64 = UpModule(2 * skip, skip)
        self.skip64 = conv(12, skip // 2)
        self.head = conv(skip + skip // 2, len(PARTS))

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        deep = self.up32(self.trunk(self.entry(self.fold8(canvas_B3HW))))
        deep = torch.relu(torch.cat([deep, self.skip32(self.fold4(canvas_B3HW))], 1))
        shallow = self.skip64(self.fold2(canvas_B3HW))
        logits: Tensor = self.head(torch.relu(torch.cat([self.up64(deep), shallow], 1)))
        return logits


def parse_of(logits_BPHW: Tensor) -> Tensor:
    """(B, 8, 32, 32): ParsingNet's logits as shares of each part, which guide FishSRNet."""
    return functional.avg_pool2d(torch.softmax(logits_BPHW, 1), 2)


class ParsingTeacher(nn.Module):
    """Labels sharp faces, by which ParsingNet is then trained on small ones.

    A pyramid of residual blocks, down to 8x8 and up again. Input: canvas (B, 3, 128, 128) in
    [0, 1]. Output: logits (B, 8, 128, 128) over `PARTS`.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 96, 128)) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.PixelUnshuffle(2), conv(12, widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(stage(ResidualBlock, wide, 1), DownModule(wide, wider), nn.Dropout2d(0.1))
            for wide, wider in itertools.pairwise(widths)
        )
        self.body = stage(ResidualBlock, widths[-1], 4)
        self.up = nn.ModuleList(UpModule(wider, wide) for wide, wider in itertools.pairwise(widths))
        self.merge = nn.ModuleList(
            nn.Sequential(conv(2 * wide, wide, 1), stage(ResidualBlock, wide, 2))
            for wide in widths[:-1]
        )
        self.head = UpModule(widths[0], len(PARTS))

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        levels = [self.entry(canvas_B3HW)]
        for down in self.down:
            levels.append(down(levels[-1]))
        t = self.body(levels.pop())
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            t = merge(torch.cat([up(t), levels.pop()], 1))
        logits: Tensor = self.head(torch.relu(t))
        return logits
