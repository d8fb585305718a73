"""ST-LPIPS: a perceptual distance of images that a shift of a pixel hardly changes.

The method is of Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric" (ECCV 2022): the
layers of an AlexNet whose strides are replaced by blur and subsampling. Its weights come in the
package `stlpips-pytorch`, which is optional: that package's code needs libraries that facepipe
does not, so only the file of weights is read and the network stands here.
Shape suffixes: B batch, C channels, H and W pixels.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.errors import ModelError

#: The weights of release 0.0.2: distances compare only where the weights are the same.
STLPIPS_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"

# Where the convolutions stand in the published file, in the order of our layers.
_PUBLISHED_CONVS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
#: What the published networks subtract from an image in [-1, 1], and divide it by.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class StLpips(nn.Module):
    """The distance of images: 0 for equal ones, larger the more they differ to the eye.

    Input: two batches (B, 3, H, W) RGB in [0, 1], at least 32 px a side. Output: (B,).
    """

    shift: Tensor
    scale: Tensor
    blur: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.weigh = nn.ModuleList(
            nn.Conv2d(channels, 1, 1, bias=False) for channels in (64, 192, 384, 256, 256)
        )
        self.register_buffer("blur", blur_kernel(), persistent=False)
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    def _features(self, image_B3HW: Tensor) -> list[Tensor]:
        """Every layer's features, each pixel's vector of length 1."""
        x = (2 * image_B3HW - 1 - self.shift) / self.scale
        layers = [torch.relu(halved(self.convs[0](x), self.blur))]
        for conv in self.convs[1:3]:
            pooled = functional.max_pool2d(layers[-1], 3, stride=1)
            layers.append(torch.relu(conv(halved(pooled, self.blur))))
        for conv in self.convs[3:]:
            layers.append(torch.relu(conv(layers[-1])))
        return [f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in layers]

    def forward(self, one_B3HW: Tensor, other_B3HW: Tensor) -> Tensor:
        total = torch.zeros(len(one_B3HW), device=one_B3HW.device)
        pairs = zip(self._features(one_B3HW), self._features(other_B3HW), strict=True)
        for weigh, (one, other) in zip(self.weigh, pairs, strict=True):
            total = total + weigh((one - other).square()).mean((1, 2, 3))
        return total


def blur_kernel() -> Tensor:
    """(3, 3): the binomial blur before an image is halved."""
    tap = torch.tensor([1.0, 2.0, 1.0]) / 4
    return torch.outer(tap, tap)


def halved(x_BCHW: Tensor, blur: Tensor, *, reach: int = 2) -> Tensor:
    """Blur and subsample by 2; the borders are mirrored over `reach` places."""
    channels = x_BCHW.shape[1]
    padded = functional.pad(x_BCHW, (reach, reach, reach, reach), mode="reflect")
    kernel = blur.to(padded.dtype).expand(channels, 1, 3, 3)
    return functional.conv2d(padded, kernel, stride=2, groups=channels)


def find_published(file: str) -> Path | None:
    """A file of weights in the installed package, None where the package is not installed.

    The package itself is not imported.
    """
    spec = find_spec("stlpips_pytorch")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "weights/vST0.0" / file


def find_stlpips_weights() -> Path | None:
    """The installed package's file of AlexNet, None where the package is not installed."""
    return find_published("alex_shift_tolerant.pth")


def load_stlpips(path: Path, *, sha256: str | None = STLPIPS_SHA256) -> StLpips:
    """The metric with the published weights of `path`, in evaluation mode.

    `sha256` None takes any file of the right names and shapes. Raises ModelError when the file
    is missing, is not the one expected, or does not fit.
    """
    metric = StLpips()
    load_published(metric, path, _renamed, sha256=sha256)
    return metric


def load_installed_stlpips() -> StLpips | None:
    """ST-LPIPS, None where its package is not installed. Raises ModelError as `load_stlpips`."""
    weights = find_stlpips_weights()
    return None if weights is None else load_stlpips(weights)


def load_published(
    network: nn.Module,
    path: Path,
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    *,
    sha256: str | None,
) -> None:
    """Load the package's weights of `path` into `network`, and freeze it.

    Raises ModelError when the file is missing, is not the one expected, or does not fit.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; reinstall stlpips-pytorch")
    if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ModelError(f"{path}: not the weights of stlpips-pytorch 0.0.2 (sha256 differs)")
    try:
        published = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(renamed(published))
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: damaged, or no weights of ST-LPIPS ({error})") from error
    network.eval().requires_grad_(False)


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    ours: dict[str, Tensor] = {}
    for layer, name in enumerate(_PUBLISHED_CONVS):
        for kind in ("weight", "bias"):
            ours[f"convs.{layer}.{kind}"] = published[f"net.{name}.{kind}"]
        ours[f"weigh.{layer}.weight"] = published[f"lin{layer}.model.1.weight"]
    return ours
