"""The networks of the comparison by name, all with one interface: canvas in, canvas out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.datatypes import CANVAS
from facepipe.errors import UsageError
from facepipe.models.networks.baselines import SRCNN, URDGN, VDSR, FSRNet, SPARNet
from facepipe.models.networks.fishsrnet import FishSRNet, MergedFishSRNet, large_fishsrnet
from facepipe.models.networks.fishsrnet_paper import (
    GuidedPaperFishSRNet,
    PaperFishSRNet,
    PostUpsampling,
)
from facepipe.models.networks.layers import ResidualBlock
from facepipe.models.networks.msab import MSAB

#: Px a side of the faces that the papers begin with.
SMALL = 16


class FromCanvas(nn.Module):
    """A network of 16x16 faces, given canvases (B, 3, 128, 128) in [0, 1].

    It gets the image whose bicubic enlargement is nearest to the canvas, least squares: for a
    canvas that was enlarged from 16x16, the very image that it was enlarged from.
    """

    inverse: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        dots = torch.eye(SMALL, dtype=torch.float64)[None, None]
        # In one direction: each row of the result holds the canvas of one pixel.
        rows = functional.interpolate(
            dots, size=(SMALL, CANVAS), mode="bicubic", align_corners=False
        )
        self.register_buffer(
            "inverse", torch.linalg.pinv(rows[0, 0].T).float().contiguous(), persistent=False
        )

    def small(self, canvas_B3HW: Tensor) -> Tensor:
        """(B, 3, 16, 16): the input of the network."""
        with torch.autocast(canvas_B3HW.device.type, enabled=False):
            return self.inverse @ canvas_B3HW.float() @ self.inverse.T

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        restored: Tensor = self.network(self.small(canvas_B3HW))
        return restored


_OF_SMALL_FACES: dict[str, Callable[[int], nn.Module]] = {
    "srcnn": lambda _: SRCNN(),
    "vdsr": lambda width: VDSR(width),
    "urdgn": lambda _: URDGN(),
    "fsrnet": lambda width: FSRNet(width),
    "sparnet": lambda _: SPARNet(),
    "post-upsampling": lambda width: PostUpsampling(width),
    "fishsrnet-residual": lambda width: PaperFishSRNet(ResidualBlock, width=width),
    "fishsrnet-msab": lambda width: PaperFishSRNet(MSAB, width=width),
    "fishsrnet-parsing": lambda width: GuidedPaperFishSRNet(width),
}
_GUIDED: dict[str, Callable[[], FishSRNet]] = {
    "fishsrnet": FishSRNet,
    "fishsrnet-merged": MergedFishSRNet,
    "fishsrnet-large": large_fishsrnet,
}
#: Channels of the paper's networks, and of those that it compares itself with.
WIDTH = 64


def small_network(name: str, width: int = WIDTH) -> FromCanvas:
    """The system `name` of the papers with random weights, `width` channels wide where it has one.

    Raises UsageError for a name that is not in `small_networks`.
    """
    if name not in _OF_SMALL_FACES:
        raise UsageError(f"network {name!r}: there are {', '.join(small_networks())}")
    return FromCanvas(_OF_SMALL_FACES[name](width))


def small_networks() -> tuple[str, ...]:
    """The names of the papers' systems, which all begin with a face of 16x16 px."""
    return tuple(_OF_SMALL_FACES)


def guided_network(name: str) -> FishSRNet:
    """Our network `name` (one of `guided_networks`) with random weights.

    Raises UsageError for another name.
    """
    if name not in _GUIDED:
        raise UsageError(f"network {name!r}: there are {', '.join(_GUIDED)}")
    return _GUIDED[name]()


def guided_networks() -> tuple[str, ...]:
    """The names of our networks, which a ParsingNet guides."""
    return tuple(_GUIDED)
