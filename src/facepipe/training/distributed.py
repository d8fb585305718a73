"""Data-parallel training on several processes or GPUs, through Ray Train."""

from __future__ import annotations

import os
from typing import Any

from facepipe.configs.training import TrainSettings
from facepipe.errors import UsageError, WorkerError


def train_on_workers(settings: TrainSettings, *, workers: int, address: str | None = None) -> None:
    """Run the training that `settings` describe on `workers` processes of a Ray cluster.

    `address` is that of the cluster; None starts one on this machine. With CUDA each worker has a
    GPU, else CPU cores. Paths in the recipe must be valid on every node. All workers together see
    the batches that one process would see, so a run may be resumed with another number of them.
    Raises UsageError without Ray, or where a batch cannot be dealt out evenly, and WorkerError when
    the training fails.
    """
    settings.check_workers(workers)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise UsageError(
            "training on several workers needs Ray Train: "
            "pip install 'facepipe[train,cluster]' 'ray[train]'"
        ) from error

    started = not ray.is_initialized()
    if started:
        ray.init(address=address, include_dashboard=False, configure_logging=False)
    settings.out.mkdir(parents=True, exist_ok=True)
    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"settings": settings.model_dump(mode="json")},
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=settings.device != "cpu" and _cluster_has_gpus()
            ),
            run_config=RunConfig(name="ray", storage_path=str(settings.out.resolve())),
        )
        trainer.fit()
    except Exception as error:  # Ray wraps what a worker raised in errors of many makes
        raise WorkerError(f"the training failed: {error}") from error
    finally:
        if started:
            ray.shutdown()


def _cluster_has_gpus() -> bool:
    import ray

    return bool(ray.cluster_resources().get("GPU"))  # type: ignore[no-untyped-call]


def _work(config: dict[str, Any]) -> None:
    """Train in one worker, in the process group that Ray has set up; rank 0 prints the progress."""
    from ray import train as ray_train

    from facepipe.training.loop import train

    settings = TrainSettings.model_validate(config["settings"])
    first = ray_train.get_context().get_world_rank() == 0
    for at in train(settings):
        if first:
            print(at, flush=True)
