"""One loop for every network: batches in, weights out, resumable to the step."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from facepipe._files import atomic_write
from facepipe.configs.training import TrainSettings
from facepipe.errors import ModelError, UsageError
from facepipe.models.weights import load_weights, save_weights
from facepipe.training.data import FaceBatches, batches
from facepipe.training.face_archive import FaceArchive
from facepipe.training.losses import judge_loss
from facepipe.training.muon import Muon, is_matrix
from facepipe.training.tasks import Task, create_task

Tensors = list[Tensor] | tuple[Tensor, ...]


class Stateful(Protocol):
    """What a checkpoint keeps and brings back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done, mean loss since the last report, faces a second."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    faces_per_second: float

    def __str__(self) -> str:
        rate = f"{self.faces_per_second:.0f} faces/s"
        return f"step {self.step}/{self.steps}  loss {self.loss:.5f}  {rate}"


def train(settings: TrainSettings) -> Iterator[Progress]:
    """Run, or go on with, the training that `settings` describe, and report as it goes.

    Leaves `checkpoint.pt` (everything a resume needs), `log.csv`, sample sheets and, at the end,
    `NETWORK.safetensors` with the averaged weights in `settings.out`. A run that was stopped goes
    on where its checkpoint stands; a finished one only writes its weights again.
    Where a process group of PyTorch's stands, this is one of its processes: each takes its share of
    every batch, and the first alone writes and reports.
    Raises UsageError, InputError or ModelError before the first step.
    """
    rank, world = _place()
    if settings.batch % world:
        raise UsageError(f"batch {settings.batch} cannot be shared by {world} workers evenly")
    settings.out.mkdir(parents=True, exist_ok=True)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = _device(settings.device)
    task = create_task(settings)
    settings = with_budget(settings, task.gigamacs)
    dataset = _dataset(settings, task, (rank, world))
    task.helpers.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network: nn.Module = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.start_from:
        load_weights(network, settings.start_from)
    average = AveragedModel(network, multi_avg_fn=_ramped_ema(settings.ema)).eval()
    optimizers = _optimizers(network, settings)
    parts: dict[str, Stateful] = {"network": network, "average": average, "chance": _Chance()}
    parts |= optimizers
    judge: nn.Module | None = None
    if task.judge is not None:
        judge = task.judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        judge_optimizer = _adam(judge.parameters(), settings)
        parts |= {"judge": judge, "judge_optimizer": judge_optimizer}
    checkpoint = settings.out / "checkpoint.pt"
    step = _resume(checkpoint, parts)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")

    def keep() -> None:
        if rank:
            return
        _write_checkpoint(checkpoint, step, parts)
        notes = {"network": settings.network, "steps": str(step), "batch": str(settings.batch)}
        notes["width"] = str(settings.width)
        save_weights(average.module, settings.out / f"{settings.network}.safetensors", notes)

    network.train()
    learner = _shared(torch.compile(network) if settings.compiled else network, world)  # type: ignore[arg-type]
    if judge is not None:
        judge = _shared(judge, world)
    kept_at = reported_at = time.monotonic()
    running, since = 0.0, 0
    for batch in batches(dataset, first=step, workers=settings.loader_workers):
        batch = batch.to(device)
        for optimizer in optimizers.values():
            _set_learning_rate(optimizer, learning_rate(settings, step))
        with autocast:
            loss, shown = task.loss(learner, batch)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
        if math.isfinite(float(norm)):
            for optimizer in optimizers.values():
                optimizer.step()
            average.update_parameters(network)
        if judge is not None and shown is not None:
            _set_learning_rate(judge_optimizer, learning_rate(settings, step))
            with autocast:
                verdict = judge_loss(judge, shown.detach(), batch.truth, batch.valid)
            judge_optimizer.zero_grad(set_to_none=True)
            verdict.backward()  # type: ignore[no-untyped-call]
            if math.isfinite(float(verdict.detach())):
                judge_optimizer.step()
        step += 1
        running, since = running + float(loss.detach()), since + 1
        now = time.monotonic()
        if step % settings.log_steps == 0 or step == settings.steps:
            rate = since * settings.batch / max(now - reported_at, 1e-9)
            report = Progress(
                step, settings.steps, running / since, learning_rate(settings, step), rate
            )
            if not rank:
                _log(settings.out / "log.csv", report)
            yield report
            running, since, reported_at = 0.0, 0, time.monotonic()
        if not rank and (step % settings.sheet_steps == 0 or step == settings.steps):
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


def with_budget(settings: TrainSettings, gigamacs: Callable[[], float]) -> TrainSettings:
    """The settings with as many steps as their budget buys, where they have one.

    A step costs each face three times a pass: one forward, two back.
    """
    if settings.petamacs is None:
        return settings
    steps = settings.petamacs * 1e6 / (3 * gigamacs() * settings.batch)
    return settings.model_copy(update={"steps": max(round(steps), 1)})


def _dataset(settings: TrainSettings, task: Task, share: tuple[int, int]) -> FaceBatches:
    return FaceBatches(
        FaceArchive(settings.faces),
        batch=settings.batch,
        steps=settings.steps,
        seed=settings.seed,
        exact_bicubic=settings.exact_bicubic,
        sequences=settings.sequences,
        clean=settings.clean,
        masks=FaceArchive([settings.masks]) if settings.masks else None,
        parse_size=task.parse_size,
        share=share,
    )


def _optimizers(network: nn.Module, settings: TrainSettings) -> dict[str, torch.optim.Optimizer]:
    """What learns the network, by the names that a checkpoint gives them."""
    learning = [p for p in network.parameters() if p.requires_grad]
    if settings.optimizer == "adam":
        return {"optimizer": _adam(learning, settings)}
    matrices = [p for p in learning if is_matrix(p)]
    rest = [p for p in learning if not is_matrix(p)]
    return {
        "muon": Muon(matrices, settings.learning_rate),
        "optimizer": _adam(rest, settings),
    }


def _adam(parameters: Iterable[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, settings.learning_rate, betas=(0.9, 0.99), weight_decay=0, fused=True
    )


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


class _Chance:
    """PyTorch's random numbers, so that a resumed run draws on where it stood."""

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        torch.set_rng_state(state_dict["cpu"])


def _place() -> tuple[int, int]:
    """This process's number among those that train together, and how many there are."""
    if not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _shared(network: nn.Module, world: int) -> nn.Module:
    """The network with gradients averaged over all processes, where there are several."""
    if world == 1:
        return network
    return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)


def _ramped_ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An average whose memory grows with the run, so that it never drags chance weights along."""

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, share)

    return update


def _resume(path: Path, parts: dict[str, Stateful]) -> int:
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError("it holds no table of states")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])
    except (
        RuntimeError, LookupError, TypeError, ValueError, OSError, EOFError, UnpicklingError
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: this checkpoint is damaged or of another network; "
            f"move it away to begin anew ({error})"
        ) from error


def _write_checkpoint(path: Path, step: int, parts: dict[str, Stateful]) -> None:
    states = {name: part.state_dict() for name, part in parts.items()}
    with atomic_write(path) as partial:
        torch.save({"step": step, **states}, partial)


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
    with atomic_write(path) as partial:
        Image.fromarray(pixels).save(partial)
