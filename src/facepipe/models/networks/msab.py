"""MSAB, the multi-scale channel and spatial attention block of the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facepipe.models.networks.layers import conv


class MultiScaleUnit(nn.Module):
    """MUL: kernels 1, 3, 5 and 7, each on a quarter of the channels, in parallel."""

    KERNELS = (1, 3, 5, 7)

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % len(self.KERNELS):
            raise ValueError(f"channels must be a multiple of 4, got {channels}")
        quarter = channels // len(self.KERNELS)
        self.branches = nn.ModuleList(conv(quarter, quarter, kernel) for kernel in self.KERNELS)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        parts = torch.chunk(x_BCHW, len(self.KERNELS), dim=1)
        return torch.cat(
            [branch(part) for branch, part in zip(self.branches, parts, strict=True)], 1
        )


class SpatialMask(nn.Module):
    """A mask in [0, 1] for every pixel of every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = conv(channels, 2 * channels, 1)
        self.narrow = conv(2 * channels, channels, 1)

    def forward(self, r_BCHW: Tensor) -> Tensor:
        return torch.sigmoid(self.narrow(torch.relu(self.widen(r_BCHW))))


class ChannelMask(nn.Module):
    """A mask in [0, 1] a channel, from its mean, its maximum and its variance."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = conv(channels, channels // reduction, 1)
        self.excite = conv(channels // reduction, channels, 1)

    def _mlp(self, pooled_BC11: Tensor) -> Tensor:
        scores: Tensor = self.excite(torch.relu(self.squeeze(pooled_BC11)))
        return scores

    def forward(self, r_BCHW: Tensor) -> Tensor:
        mean = r_BCHW.mean((2, 3), keepdim=True)
        highest = r_BCHW.amax((2, 3), keepdim=True)
        variance = (r_BCHW - mean).square().mean((2, 3), keepdim=True)
        return torch.sigmoid(self._mlp(mean) + self._mlp(highest) + self._mlp(variance))


class MSAB(nn.Module):
    """r = MUL(ReLU(conv3(x))); x + conv1x1[r * spatial(r), r * channel(r)].

    The two masked copies are parallel, not in series.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.entry = conv(channels, channels)
        self.multi_scale = MultiScaleUnit(channels)
        self.spatial = SpatialMask(channels)
        self.channel = ChannelMask(channels)
        self.fuse = conv(2 * channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        r = self.multi_scale(torch.relu(self.entry(x_BCHW)))
        change: Tensor = self.fuse(torch.cat([r * self.spatial(r), r * self.channel(r)], 1))
        return x_BCHW + change
