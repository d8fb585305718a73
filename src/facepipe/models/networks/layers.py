"""The small set of parts from which every network is built.

Shape suffixes: B batch, C channels, H and W pixels of the level at hand.
Every convolution keeps the size; nothing is normalised.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BlockFactory = Callable[[int], nn.Module]


def conv(inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """A convolution with "same" padding."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


class ResidualBlock(nn.Module):
    """x + 0.2 * conv3(ReLU(conv3(x))): the plain block of the paper."""

    def __init__(self, channels: int, scale: float = 0.2) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        self.scale = scale

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change: Tensor = self.conv2(torch.relu(self.conv1(x_BCHW)))
        return x_BCHW + self.scale * change


class UpModule(nn.Module):
    """UM: conv3x3 to four times the channels, then PixelShuffle(2). No activation."""

    def __init__(self, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        self.conv = conv(inputs, 4 * (outputs or inputs))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        enlarged: Tensor = self.shuffle(self.conv(x_BCHW))
        return enlarged


class DownModule(nn.Module):
    """DM: PixelUnshuffle(2), which loses nothing, then conv3x3.

    With `merge` channels a 1x1 convolution first reduces that many (two maps side by
    side) to `inputs`, as the paper's body does.
    """

    def __init__(
        self, inputs: int, outputs: int | None = None, *, merge: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.reduce = conv(merge, inputs, 1, bias=bias) if merge else nn.Identity()
        self.unshuffle = nn.PixelUnshuffle(2)
        self.conv = conv(4 * inputs, outputs or inputs, bias=bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        reduced: Tensor = self.conv(self.unshuffle(self.reduce(x_BCHW)))
        return reduced


def stage(block: BlockFactory, channels: int, count: int = 2) -> nn.Sequential:
    """`count` blocks of the same width, one after the other."""
    return nn.Sequential(*(block(channels) for _ in range(count)))
