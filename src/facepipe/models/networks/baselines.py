"""Baselines: the networks that the paper compares itself with, and a later one.

All take the papers' input, a face (B, 3, 16, 16) in [0, 1], and give (B, 3, 128, 128), not clamped.
They are built from their papers' text in the parts of this package; where a text leaves something
open, the class says how it is chosen.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.models.networks.layers import ResidualBlock, conv, stage
from facepipe.models.networks.parsingnet import PARTS

#: From the papers' input to their output.
ENLARGEMENT = 8


def enlarged(lr_B3HW: Tensor) -> Tensor:
    """(B, 3, 8H, 8W) by bicubic interpolation: what networks that only refine begin with."""
    return functional.interpolate(
        lr_B3HW, scale_factor=ENLARGEMENT, mode="bicubic", align_corners=False
    )


class SRCNN(nn.Module):
    """Dong et al., "Image super-resolution using deep convolutional networks", 2016: 9-5-5."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 64, 9), nn.ReLU(), conv(64, 32, 5), nn.ReLU(), conv(32, 3, 5)
        )

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        restored: Tensor = self.layers(enlarged(lr_B3HW))
        return restored


class VDSR(nn.Module):
    """Kim et al., "Accurate image super-resolution using very deep convolutional networks", 2016.

    Twenty layers that learn what the enlarged image lacks.
    """

    def __init__(self, width: int = 64, layers: int = 20) -> None:
        super().__init__()
        inner = [layer for _ in range(layers - 2) for layer in (conv(width, width), nn.ReLU())]
        self.layers = nn.Sequential(conv(3, width), nn.ReLU(), *inner, conv(width, 3))

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        base = enlarged(lr_B3HW)
        restored: Tensor = base + self.layers(base)
        return restored


class URDGN(nn.Module):
    """Yu and Porikli, "Ultra-resolving face images by discriminative generative networks", 2016.

    The generator: deconvolutions from 16x16 up, a convolution after each. The widths are chosen
    here, as the text does not give them.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (256, 128, 64, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(3, widths[0], 5), nn.ReLU()]
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
            layers += [conv(outputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, conv(widths[-1], 3, 5))

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        restored: Tensor = self.layers(lr_B3HW)
        return restored


class Discriminator(nn.Module):
    """URDGN's discriminator: whether a face (B, 3, 128, 128) is a photograph, as a logit (B, 1)."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths[:-1]), widths, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 5, 2, 2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 8 * widths[-1], 1))

    def forward(self, face_B3HW: Tensor) -> Tensor:
        logit: Tensor = self.layers(face_B3HW)
        return logit


class Hourglass(nn.Module):
    """Hourglass: down and up again by halves, `depth` times, with a skip connection at each."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.around = ResidualBlock(channels)
        self.before = ResidualBlock(channels)
        self.inner = Hourglass(channels, depth - 1) if depth > 1 else ResidualBlock(channels)
        self.after = ResidualBlock(channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        low = self.before(functional.max_pool2d(x_BCHW, 2))
        low = self.after(self.inner(low))
        back: Tensor = functional.interpolate(low, scale_factor=2, mode="nearest")
        whole: Tensor = back + self.around(x_BCHW)
        return whole


class FSRNet(nn.Module):
    """Chen et al., "FSRNet: end-to-end learning face super-resolution with facial priors", 2018.

    A coarse network, then an encoder and the estimation of a prior in parallel at half the size,
    and a decoder of both. The prior is the parse over `PARTS`; of landmarks our faces have none.
    """

    def __init__(self, width: int = 64, maps: int = len(PARTS)) -> None:
        super().__init__()
        self.coarse = nn.Sequential(conv(3, width), stage(ResidualBlock, width, 3), conv(width, 3))
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), stage(ResidualBlock, width, 12), conv(width, width)
        )
        self.prior = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3),
            stage(ResidualBlock, width, 3),
            Hourglass(width, 4),
            Hourglass(width, 4),
        )
        self.parse = conv(width, maps, 1)
        self.merge = conv(2 * width, width)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            stage(ResidualBlock, width, 3),
            conv(width, 3),
        )

    def forward(self, lr_B3HW: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """The restored face; in training the coarse one and logits (B, maps, 64, 64) as well."""
        base = enlarged(lr_B3HW)
        coarse = base + self.coarse(base)
        prior = self.prior(coarse)
        merged = self.merge(torch.cat([self.encoder(coarse), prior], 1))
        restored: Tensor = coarse + self.decoder(merged)
        return (restored, coarse, self.parse(prior)) if self.training else restored


class FaceAttentionUnit(nn.Module):
    """A residual block whose change is weighed, pixel by pixel, by an hourglass's attention."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.LeakyReLU(0.2), conv(channels, channels), nn.LeakyReLU(0.2), conv(channels, channels)
        )
        inner = max(channels // 4, 16)
        self.attention = nn.Sequential(
            conv(channels, inner, 1), Hourglass(inner, depth), conv(inner, 1)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change = self.change(x_BCHW)
        weighed: Tensor = x_BCHW + change * torch.sigmoid(self.attention(change))
        return weighed


class SPARNet(nn.Module):
    """Chen et al., "Learning spatial attention for face super-resolution", 2020, in its manner.

    From the enlarged face down to 16x16, ten units there, and up again; widths 32 to 128. Other
    than there, nothing is normalised.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        depths = (4, 4, 3, 2)
        down: list[nn.Module] = [conv(3, widths[0])]
        for level in range(3):
            down += [
                FaceAttentionUnit(widths[level], depths[level]),
                nn.Conv2d(widths[level], widths[level + 1], 3, 2, 1),
            ]
        body = [FaceAttentionUnit(widths[3], depths[3]) for _ in range(10)]
        up: list[nn.Module] = []
        for level in (2, 1, 0):
            up += [
                nn.Upsample(scale_factor=2),
                conv(widths[level + 1], widths[level]),
                FaceAttentionUnit(widths[level], depths[level]),
            ]
        self.layers = nn.Sequential(*down, *body, *up, conv(widths[0], 3))

    def forward(self, lr_B3HW: Tensor) -> Tensor:
        base = enlarged(lr_B3HW)
        restored: Tensor = base + self.layers(base)
        return restored
