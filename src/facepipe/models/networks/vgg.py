"""Perceptual distance as a loss: features of VGG16.

The weights, VGG16's and those of its layers, come in the optional package `stlpips-pytorch`
(Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV 2022), whose code is not
imported. Evaluation measures by another network (AlexNet, `stlpips`), so that the loss is not the
metric.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.models.networks.stlpips import (
    SCALE,
    SHIFT,
    blur_kernel,
    find_published,
    halved,
    load_published,
)

#: The weights of release 0.0.2.
VGG_SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"
_FILE = "vgg_shift_tolerant.pth"
#: Convolutions of the first three of VGG16's five levels by their published places, and channels.
_LEVELS = (
    ((("slice1.0", 3, 64)), (("slice1.2", 64, 64))),
    ((("slice2.6", 64, 128)), (("slice2.8", 128, 128))),
    ((("slice3.12", 128, 256)), (("slice3.14", 256, 256)), (("slice3.16", 256, 256))),
)


class VggDistance(nn.Module):
    """The distance of images over VGG16's first three levels; 0 for equal ones.

    Input: two batches (B, 3, H, W) RGB in [0, 1]. Output: (B,). The deeper levels say what an
    image shows, which is known here, and cost half of the work.
    """

    shift: Tensor
    scale: Tensor
    blur: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(inputs, outputs, 3, padding=1) for _, inputs, outputs in level)
            for level in _LEVELS
        )
        self.weigh = nn.ModuleList(nn.Conv2d(level[-1][2], 1, 1, bias=False) for level in _LEVELS)
        self.register_buffer("blur", blur_kernel(), persistent=False)
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    def _features(self, image_B3HW: Tensor) -> list[Tensor]:
        x = (2 * image_B3HW - 1 - self.shift) / self.scale
        found = []
        for number, level in enumerate(self.levels):
            if number:
                pooled = functional.max_pool2d(x, 2, stride=1)
                x = halved(pooled, self.blur, reach=1)
            assert isinstance(level, nn.ModuleList)
            for conv in level:
                x = torch.relu(conv(x))
            found.append(x / (x.float().square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, one_B3HW: Tensor, other_B3HW: Tensor) -> Tensor:
        ones = self._features(one_B3HW)
        with torch.no_grad():
            others = self._features(other_B3HW)
        total = torch.zeros(len(one_B3HW), device=one_B3HW.device)
        for weigh, one, other in zip(self.weigh, ones, others, strict=True):
            total = total + weigh((one - other).square()).float().mean((1, 2, 3))
        return total


def find_vgg_weights() -> Path | None:
    """The installed package's file of VGG16, None where the package is not installed."""
    return find_published(_FILE)


def load_vgg(path: Path, *, sha256: str | None = VGG_SHA256) -> VggDistance:
    """The distance with the published weights of `path`, frozen.

    Raises ModelError when the file is missing, is not the one expected, or does not fit.
    """
    distance = VggDistance()
    load_published(distance, path, _renamed, sha256=sha256)
    return distance


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    ours: dict[str, Tensor] = {}
    for number, level in enumerate(_LEVELS):
        for place, (name, _, _) in enumerate(level):
            for kind in ("weight", "bias"):
                ours[f"levels.{number}.{place}.{kind}"] = published[f"net.{name}.{kind}"]
        ours[f"weigh.{number}.weight"] = published[f"lin{number}.model.1.weight"]
    return ours
