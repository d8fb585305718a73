"""ParsingNet: which part of the face each point of the canvas shows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facepipe.models.networks.parts import ResidualBlock, UpModule, conv, stage

#: Classes of the parsing map, in the order of its channels.
PARTS = ("background", "skin", "brows", "eyes", "nose", "mouth", "hair", "rest")


class ParsingNet(nn.Module):
    """Residual blocks at 16x16 on the losslessly folded canvas, logits at 32x32.

    Input: canvas (B, 3, 128, 128) in [0, 1]. Output: logits (B, 8, 32, 32) over `PARTS`.
    """

    def __init__(self, width: int = 64, blocks: int = 6, skip: int = 16) -> None:
        super().__init__()
        self.fold4 = nn.PixelUnshuffle(4)
        self.fold8 = nn.PixelUnshuffle(8)
        self.skip = conv(48, skip)
        self.entry = conv(192, width)
        self.trunk = stage(ResidualBlock, width, blocks)
        self.up = UpModule(width, skip)
        self.head = conv(2 * skip, len(PARTS))

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        deep = self.up(self.trunk(self.entry(self.fold8(canvas_B3HW))))
        shallow = self.skip(self.fold4(canvas_B3HW))
        logits: Tensor = self.head(torch.relu(torch.cat([deep, shallow], 1)))
        return logits


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
