"""The paper's own networks: FishSRNet, its ablations, and its ParsingNet.

A 16x16 face goes up to 128x128, down again and up once more, always 64 channels wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facepipe.models.networks.layers import (
    BlockFactory,
    DownModule,
    ResidualBlock,
    UpModule,
    conv,
    stage,
)
from facepipe.models.networks.msab import MSAB


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


class PostUpsampling(nn.Module):
    """The ablation's first row: all eighteen residual blocks come before the enlargement."""

    def __init__(self, width: int = 64, blocks: int = 18) -> None:
        super().__init__()
        self.entry = conv(3, width)
        self.body = stage(ResidualBlock, width, blocks)
        self.up = nn.Sequential(UpModule(width), UpModule(width), UpModule(width))
        self.reconstruct = conv(width, 3)

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        restored: Tensor = self.reconstruct(self.up(self.body(self.entry(lr_B3HW))))
        return restored


class PaperParsingNet(nn.Module):
    """The paper's form: conv3, 8 residual blocks, conv3, on the 16x16 face.

    Input (B, 3, H, W) in [0, 1]; output (B, maps, H, W), the map itself and no logits.
    """

    def __init__(self, maps: int = 1, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        self.entry = conv(3, width)
        self.trunk = stage(ResidualBlock, width, blocks)
        self.head = conv(width, maps)

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        parsing_map: Tensor = self.head(self.trunk(self.entry(lr_B3HW)))
        return parsing_map


class GuidedPaperFishSRNet(nn.Module):
    """The paper's last row: its ParsingNet's map enters FishSRNet at both places.

    Input (B, 3, 16, 16) in [0, 1]; output (B, 3, 128, 128), not clamped. ParsingNet is frozen here:
    the paper trains it first, by itself.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.parsing = PaperParsingNet(width=width).requires_grad_(False)
        self.restore = PaperFishSRNet(MSAB, width=width, maps=1)

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        restored: Tensor = self.restore(lr_B3HW, self.parsing(lr_B3HW))
        return restored
