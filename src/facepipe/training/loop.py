"""Training loop for all networks, resumable to the step."""

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

from facepipe._system.files import atomic_write
from facepipe.configs.training import TrainSettings
from facepipe.errors import ModelError, UsageError
from facepipe.models.networks.growth import grow
from facepipe.models.weights import load_weights, read_weights, save_weights
from facepipe.training.data import Batch, FaceBatches
from facepipe.training.face_archive import FaceArchive
from facepipe.training.losses import discriminator_loss
from facepipe.training.muon import Muon, is_matrix
from facepipe.training.reuse import reused_batches
from facepipe.training.tasks import Task, create_task

Tensors = list[Tensor] | tuple[Tensor, ...]


#: Passes that a step makes for each face, in forward passes: one forward, two backward.
_PASSES = 3


class Stateful(Protocol):
    """What a checkpoint saves and restores."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


@dataclass(frozen=True)
class Progress:
    """Progress of a run: steps done, and since the last report the mean loss and the speed.

    `gigaflops` counts 10^9 operations a second, two a multiply-accumulate, three passes a face.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    faces_per_second: float
    gigaflops: float

    def __str__(self) -> str:
        rate = f"{self.faces_per_second:.0f} faces/s  {self.gigaflops:.0f} GFLOP/s"
        return f"step {self.step}/{self.steps}  loss {self.loss:.5f}  {rate}"


def train(settings: TrainSettings) -> Iterator[Progress]:
    """Run or resume the training that `settings` describe, and report its progress.

    Leaves `checkpoint.pt` (the whole state), `log.csv`, contact sheets and, at the end,
    `NETWORK.safetensors` with the averaged weights in `settings.out`. An interrupted run resumes
    from its checkpoint; a finished one only writes its weights again.
    In a process group of PyTorch this is data-parallel training: each process takes its shard of
    every batch, and rank 0 alone writes and reports.
    Raises UsageError, InputError or ModelError before the first step.
    """
    yield from _Trainer(settings).run()


class _Trainer:
    """The state of one run: networks, optimizers, and the number of steps done."""

    def __init__(self, settings: TrainSettings) -> None:
        self._rank, world = _rank_and_world()
        settings.check_workers(world)
        settings.out.mkdir(parents=True, exist_ok=True)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self._device = _device(settings.device)
        self._task = create_task(settings)
        self._gigamacs = self._task.gigamacs()
        self._settings = settings = with_budget(settings, self._gigamacs)
        self._dataset = _dataset(settings, self._task, (self._rank, world))
        self._task.frozen.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = self._placed(self._task.network)
        if settings.start_from:
            load_weights(self._network, settings.start_from)
        if settings.grow_from:
            learned, _ = read_weights(settings.grow_from)
            if not grow(self._network, learned):
                raise ModelError(f"{settings.grow_from}: no layer of {settings.network} is in it")
        average = AveragedModel(self._network, multi_avg_fn=_ramped_ema(settings.ema))
        self._average = average.eval()
        self._optimizers = _optimizers(self._network, settings)
        self._states: dict[str, Stateful] = {
            "network": self._network,
            "average": self._average,
            "chance": _RandomState(),
            **self._optimizers,
        }
        self._discriminator: nn.Module | None = None
        if self._task.discriminator is not None:
            discriminator = self._placed(self._task.discriminator)
            self._discriminator = _data_parallel(discriminator, world)
            self._discriminator_optimizer = _adam(discriminator.parameters(), settings)
            self._states["judge"] = discriminator
            self._states["judge_optimizer"] = self._discriminator_optimizer
        self._checkpoint = settings.out / "checkpoint.pt"
        self._step = _resume(self._checkpoint, self._states)
        bfloat16 = settings.precision == "bfloat16"
        self._autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=bfloat16)
        self._network.train()
        learner = torch.compile(self._network) if settings.compiled else self._network
        self._learner = _data_parallel(learner, world)  # type: ignore[arg-type]

    def _placed(self, network: nn.Module) -> nn.Module:
        """The network on the device of the run, in channels-last memory."""
        placed: nn.Module = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def run(self) -> Iterator[Progress]:
        """Do the steps that are left."""
        settings = self._settings
        saved_at = reported_at = time.monotonic()
        total, count = 0.0, 0
        for loaded in reused_batches(
            self._dataset,
            first=self._step,
            workers=settings.loader_workers,
            times=settings.reuse,
            seed=settings.seed,
        ):
            batch = loaded.to(self._device)
            total, count = total + self._update(batch), count + 1
            now = time.monotonic()
            if self._is_due(settings.log_steps):
                rate = count * settings.batch / max(now - reported_at, 1e-9)
                yield self._report(total / count, rate)
                total, count, reported_at = 0.0, 0, time.monotonic()
            if not self._rank and self._is_due(settings.sheet_steps):
                self._write_sheet(batch)
            if now - saved_at > settings.checkpoint_seconds:
                self._save()
                saved_at = time.monotonic()
        self._save()

    def _update(self, batch: Batch) -> float:
        """One step of the network, and of its discriminator; gives the loss.

        A step whose gradient is not finite is skipped.
        """
        rate = learning_rate(self._settings, self._step)
        with self._autocast:
            loss, restored = self._task.loss(self._learner, batch)
        self._network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip = self._settings.gradient_clip
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), clip)
        if math.isfinite(float(norm)):
            for optimizer in self._optimizers.values():
                _set_learning_rate(optimizer, rate)
                optimizer.step()
            self._average.update_parameters(self._network)
        if self._discriminator is not None and restored is not None:
            self._update_discriminator(restored.detach(), batch, rate)
        self._step += 1
        return float(loss.detach())

    def _update_discriminator(self, restored: Tensor, batch: Batch, rate: float) -> None:
        assert self._discriminator is not None
        with self._autocast:
            loss = discriminator_loss(self._discriminator, restored, batch.truth, batch.valid)
        self._discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if math.isfinite(float(loss.detach())):
            _set_learning_rate(self._discriminator_optimizer, rate)
            self._discriminator_optimizer.step()

    def _is_due(self, every: int) -> bool:
        """Whether this is a step that something is done at: every so many, and the last."""
        return self._step % every == 0 or self._step == self._settings.steps

    def _report(self, loss: float, faces_per_second: float) -> Progress:
        rate = learning_rate(self._settings, self._step)
        gigaflops = 2 * _PASSES * self._gigamacs * faces_per_second
        steps = self._settings.steps
        report = Progress(self._step, steps, loss, rate, faces_per_second, gigaflops)
        if not self._rank:
            _log(self._settings.out / "log.csv", report)
        return report

    def _write_sheet(self, batch: Batch) -> None:
        with torch.inference_mode():
            columns = self._task.sheet(self._average.module, batch)
            _write_sheet(self._settings.out / f"sheet-{self._step:06}.png", columns)

    def _save(self) -> None:
        """Write the checkpoint and the averaged weights."""
        if self._rank:
            return
        settings = self._settings
        _write_checkpoint(self._checkpoint, self._step, self._states)
        metadata = {
            "network": settings.network,
            "steps": str(self._step),
            "batch": str(settings.batch),
            "width": str(settings.width),
        }
        weights = settings.out / f"{settings.network}.safetensors"
        save_weights(self._average.module, weights, metadata)


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Learning rate at `step`: linear warm-up, then constant or a cosine decay to a hundredth."""
    warm = min((step + 1) / max(settings.warmup_steps, 1), 1.0)
    if settings.schedule == "constant":
        return settings.learning_rate * warm
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / settings.steps, 1.0)))
    return settings.learning_rate * warm * (0.01 + 0.99 * cosine)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, this PyTorch sees no CUDA device")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def with_budget(settings: TrainSettings, gigamacs: float) -> TrainSettings:
    """The settings with as many steps as their compute budget allows, where they have one.

    `gigamacs` are those of one forward pass of one face; a step costs three for each face.
    """
    if settings.petamacs is None:
        return settings
    steps = settings.petamacs * 1e6 / (_PASSES * gigamacs * settings.batch)
    return settings.model_copy(update={"steps": max(round(steps), 1)})


def _dataset(settings: TrainSettings, task: Task, shard: tuple[int, int]) -> FaceBatches:
    return FaceBatches(
        FaceArchive(settings.faces),
        batch=settings.batch,
        steps=settings.steps,
        seed=settings.seed,
        exact_bicubic=settings.exact_bicubic,
        sequences=settings.sequences,
        clean=settings.clean,
        crisp=settings.crisp,
        crisp_large=settings.crisp_large,
        masks=FaceArchive([settings.masks]) if settings.masks else None,
        parse_size=task.parse_size,
        shard=shard,
    )


def _optimizers(network: nn.Module, settings: TrainSettings) -> dict[str, torch.optim.Optimizer]:
    """Optimizers of the network, by their names in a checkpoint."""
    trained = [p for p in network.parameters() if p.requires_grad]
    if settings.optimizer == "adam":
        return {"optimizer": _adam(trained, settings)}
    matrices = [p for p in trained if is_matrix(p)]
    rest = [p for p in trained if not is_matrix(p)]
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


class _RandomState:
    """State of PyTorch's random generator, so that a resumed run continues its sequence."""

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        torch.set_rng_state(state_dict["cpu"])


def _rank_and_world() -> tuple[int, int]:
    """The rank of this process in its process group, and the size of the group."""
    if not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _data_parallel(network: nn.Module, world: int) -> nn.Module:
    """The network with gradients averaged over all processes, where there are several."""
    if world == 1:
        return network
    return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)


def _ramped_ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average whose decay grows with the run up to `decay`.

    So the random weights of the start have no lasting share in it.
    """

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        ramped = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - ramped)

    return update


def _resume(path: Path, states: dict[str, Stateful]) -> int:
    """Load the checkpoint, where there is one; gives the number of steps done."""
    if not path.is_file():
        return 0
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(saved, dict):
            raise TypeError("it holds no table of states")
        for name, holder in states.items():
            holder.load_state_dict(saved[name])
        return int(saved["step"])
    except (
        RuntimeError, LookupError, TypeError, ValueError, OSError, EOFError, UnpicklingError
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: this checkpoint is damaged or of another network; "
            f"move it away to begin anew ({error})"
        ) from error


def _write_checkpoint(path: Path, step: int, states: dict[str, Stateful]) -> None:
    saved = {name: holder.state_dict() for name, holder in states.items()}
    with atomic_write(path) as partial:
        torch.save({"step": step, **saved}, partial)


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
    """Write a contact sheet of the first twelve columns."""
    wide = torch.cat(list(columns_B3HW[:12].float().cpu()), 2)
    pixels = (wide.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    with atomic_write(path) as partial:
        Image.fromarray(pixels).save(partial)
