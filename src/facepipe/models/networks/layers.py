"""The small set of parts from which every network is built.

Shape suffixes: B batch, C channels, H and W pixels of the level at hand.
Every convolution keeps the size; nothing is normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

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


#: Share of its usual size with which the last weights of a residual block begin.
_RESIDUAL_START = 0.2


class PlainBlock(nn.Module):
    """x + conv3(ReLU(conv3(x))): what processors run fastest.

    The second convolution begins small, in place of the factor of ResidualBlock, which would cost a
    pass over the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        with torch.no_grad():
            self.conv2.weight.mul_(_RESIDUAL_START)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change: Tensor = self.conv2(torch.relu(self.conv1(x_BCHW)))
        return x_BCHW + change


class MultiScaleConv(nn.Module):
    """The sum of convolutions of several odd kernel sizes, run as one of the largest size.

    The sum is linear, so the kernels are added, centred, before they are run: several cost what the
    largest costs, in training too. `merged` gives the one convolution. Channels are `groups` groups
    that do not mix.
    """

    def __init__(self, channels: int, kernels: Sequence[int], *, groups: int = 1) -> None:
        super().__init__()
        if any(kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"kernels must be odd, got {tuple(kernels)}")
        self.size, self.groups = max(kernels), groups
        self.kernels = nn.ParameterList()
        for size in kernels:
            one = nn.Conv2d(channels, channels, size, groups=groups)
            self.kernels.append(nn.Parameter(one.weight.detach() / len(kernels) ** 0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def weight(self) -> Tensor:
        """The kernels added up: (channels, channels / groups, size, size)."""
        padded = []
        for kernel in self.kernels:
            margin = (self.size - kernel.shape[-1]) // 2
            padded.append(functional.pad(kernel, (margin, margin, margin, margin)))
        return torch.stack(padded).sum(0)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return functional.conv2d(
            x_BCHW, self.weight(), self.bias, padding=self.size // 2, groups=self.groups
        )

    def merged(self) -> nn.Conv2d:
        """The same convolution with one kernel."""
        channels = len(self.bias)
        one = nn.Conv2d(channels, channels, self.size, padding=self.size // 2, groups=self.groups)
        with torch.no_grad():
            one.weight.copy_(self.weight())
            one.bias.copy_(self.bias)  # type: ignore[union-attr]
        return one


def merge_kernels(network: nn.Module) -> None:
    """Replace every MultiScaleConv inside `network` by its one convolution, in place."""
    for name, part in list(network.named_children()):
        if isinstance(part, MultiScaleConv):
            setattr(network, name, part.merged())
        else:
            merge_kernels(part)


class AttentionUnit(nn.Module):
    """Multi-scale channel and spatial attention, once a stage: MSAB's idea for less memory traffic.

    r = ReLU(multi-scale(x)); x + conv1x1(r * (spatial(r) + channel(r))). The spatial mask has a
    value a pixel and channel, the channel mask one a channel, from its mean and its power; both lie
    in [0, 1] and work in parallel.
    """

    def __init__(self, channels: int, kernels: Sequence[int], *, groups: int = 1) -> None:
        super().__init__()
        self.multi_scale = MultiScaleConv(channels, kernels, groups=groups)
        self.spatial = conv(channels, channels, 1)
        self.squeeze = conv(2 * channels, channels // 4, 1)
        self.excite = conv(channels // 4, channels, 1)
        self.fuse = conv(channels, channels, 1)
        with torch.no_grad():
            self.fuse.weight.mul_(_RESIDUAL_START)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        r = torch.relu(self.multi_scale(x_BCHW))
        mean = r.mean((2, 3), keepdim=True)
        power = r.square().mean((2, 3), keepdim=True)
        scores = self.excite(torch.relu(self.squeeze(torch.cat([mean, power], 1))))
        change: Tensor = self.fuse(r * (torch.sigmoid(self.spatial(r)) + torch.sigmoid(scores)))
        return x_BCHW + change


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
