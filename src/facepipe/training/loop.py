"""One loop for every network: batches in, weights out, resumable to the step."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from facepipe.configs.training import TrainSettings
from facepipe.errors import ModelError, UsageError
from facepipe.models.networks.fishsrnet import FishSRNet
from facepipe.models.networks.parsingnet import PARTS, ParsingNet
from facepipe.models.weights import load_weights, save_weights
from facepipe.training.data import Batch, FaceBatches, batches
from facepipe.training.faces import FaceArchive
from facepipe.training.losses import fourier_l1, negative_psnr, soft_cross_entropy, valid_l1

Tensors = list[Tensor] | tuple[Tensor, ...]


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done, mean loss since the last report, faces a second."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    faces_per_second: float


class Task(Protocol):
    """What one network is trained for."""

    network: nn.Module

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The scalar to minimise."""
        ...

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        """Columns of pictures (B, 3, n * 128, 128) in [0, 1] to look at."""
        ...


class ParseTask:
    """ParsingNet learns the parts of a degraded face."""

    def __init__(self) -> None:
        self.network: nn.Module = ParsingNet()

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        return soft_cross_entropy(network(batch.inputs), batch.parts)

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        return torch.cat([batch.inputs, _painted(network(batch.inputs)), _painted(batch.parts)], 2)


class RestoreTask:
    """FishSRNet learns the true canvas, guided by a ParsingNet that no longer learns."""

    def __init__(
        self, parsing: ParsingNet, loss: Literal["l1", "psnr"], fourier_weight: float
    ) -> None:
        self.network: nn.Module = FishSRNet()
        self._parsing = parsing.eval().requires_grad_(False)
        self._distance = valid_l1 if loss == "l1" else negative_psnr
        self._fourier_weight = fourier_weight

    def to(self, device: torch.device) -> None:
        """Move the guide, which is no part of the trained network."""
        self._parsing.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _restored(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            parse = torch.softmax(self._parsing(batch.inputs).float(), 1)
        restored: Tensor = network(batch.inputs, parse, batch.beside)
        return restored

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        restored = self._restored(network, batch)
        loss = self._distance(restored, batch.truth, batch.valid)
        if self._fourier_weight:
            loss = loss + self._fourier_weight * fourier_l1(restored, batch.truth, batch.valid)
        return loss

    def sheet(self, network: nn.Module, batch: Batch) -> Tensor:
        restored = self._restored(network, batch)
        return torch.cat([batch.inputs, restored.clamp(0, 1), batch.truth], 2)


def train(settings: TrainSettings) -> Iterator[Progress]:
    """Run, or go on with, the training that `settings` describe, and report as it goes.

    Leaves `checkpoint.pt` (everything a resume needs), `log.csv`, sample sheets and, at the end,
    `NETWORK.safetensors` with the averaged weights in `settings.out`. A run that was stopped goes
    on where its checkpoint stands; a finished one only writes its weights again.
    Raises UsageError, InputError or ModelError before the first step.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = _device(settings.device)
    task, dataset = _task_and_data(settings)
    if isinstance(task, RestoreTask):
        task.to(device)
    network: nn.Module = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.start_from:
        load_weights(network, settings.start_from)
    average = AveragedModel(network, multi_avg_fn=_ramped_ema(settings.ema))
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=0, fused=True
    )
    checkpoint = settings.out / "checkpoint.pt"
    step = _resume(checkpoint, network, average, optimizer)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")

    def keep() -> None:
        _write_checkpoint(checkpoint, step, network, average, optimizer)
        notes = {"network": settings.network, "steps": str(step), "batch": str(settings.batch)}
        save_weights(average.module, settings.out / f"{settings.network}.safetensors", notes)

    network.train()
    learner: nn.Module = torch.compile(network) if settings.compiled else network  # type: ignore[assignment]
    kept_at = reported_at = time.monotonic()
    running, since = 0.0, 0
    for batch in batches(dataset, first=step, workers=settings.loader_workers):
        batch = batch.to(device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        with autocast:
            loss = task.loss(learner, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
        if math.isfinite(float(norm)):
            optimizer.step()
            average.update_parameters(network)
        step += 1
        running, since = running + float(loss.detach()), since + 1
        now = time.monotonic()
        if step % settings.log_steps == 0 or step == settings.steps:
            rate = since * settings.batch / max(now - reported_at, 1e-9)
            report = Progress(
                step, settings.steps, running / since, learning_rate(settings, step), rate
            )
            _log(settings.out / "log.csv", report)
            yield report
            running, since, reported_at = 0.0, 0, time.monotonic()
        if step % settings.sheet_steps == 0 or step == settings.steps:
            with torch.inference_mode():
                _write_sheet(
                    settings.out / f"sheet-{step:06}.png", task.sheet(average.module, batch)
                )
        if now - kept_at > settings.checkpoint_seconds:
            keep()
            kept_at = time.monotonic()
    keep()


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth at the last step."""
    warm = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))
    return settings.learning_rate * warm * (0.01 + 0.99 * cosine)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, this PyTorch sees no CUDA device")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _task_and_data(settings: TrainSettings) -> tuple[ParseTask | RestoreTask, FaceBatches]:
    task: ParseTask | RestoreTask
    masks = None
    if settings.network == "parsingnet":
        if settings.masks is None:
            raise UsageError("training parsingnet needs `masks`, a folder or zip of parsing masks")
        masks = FaceArchive([settings.masks])
        task = ParseTask()
    else:
        if settings.parsing is None:
            raise UsageError("training fishsrnet needs `parsing`, the weights of its ParsingNet")
        parsing = ParsingNet()
        load_weights(parsing, settings.parsing)
        task = RestoreTask(parsing, settings.loss, settings.fourier_weight)
    dataset = FaceBatches(
        FaceArchive(settings.faces),
        batch=settings.batch,
        steps=settings.steps,
        seed=settings.seed,
        exact_bicubic=settings.exact_bicubic,
        sequences=settings.sequences,
        masks=masks,
    )
    return task, dataset


def _ramped_ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An average whose memory grows with the run, so that it never drags chance weights along."""

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, share)

    return update


def _resume(
    path: Path, network: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer
) -> int:
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError("it holds no table of states")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])
    except (
        RuntimeError, LookupError, TypeError, ValueError, OSError, EOFError, UnpicklingError
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: this checkpoint is damaged or of another network; "
            f"move it away to begin anew ({error})"
        ) from error


def _write_checkpoint(
    path: Path,
    step: int,
    network: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
) -> None:
    partial = path.with_name(path.name + ".partial")
    torch.save(
        {
            "step": step,
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
        partial,
    )
    partial.replace(path)


def _log(path: Path, report: Progress) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        if fresh:
            rows.writerow(["step", "loss", "learning_rate", "faces_per_second"])
        rows.writerow(
            [
                report.step,
                f"{report.loss:.6f}",
                f"{report.learning_rate:.3e}",
                f"{report.faces_per_second:.1f}",
            ]
        )


def _write_sheet(path: Path, columns_B3HW: Tensor) -> None:
    wide = torch.cat(list(columns_B3HW[:12].float().cpu()), 2)
    pixels = (wide.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def _painted(scores_BPHW: Tensor) -> Tensor:
    hues = torch.rand(len(PARTS), 3, generator=torch.Generator().manual_seed(3))
    hues[0] = 0
    picture = hues.to(scores_BPHW.device)[scores_BPHW.argmax(1)].permute(0, 3, 1, 2)
    return nn.functional.interpolate(picture, scale_factor=4)
