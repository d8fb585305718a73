"""Metrics of a cluster's workers for Prometheus: tasks, frames, faces and seconds by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.util.metrics import Counter, Histogram

_SECONDS = [0.1, 0.3, 1, 3, 10, 30, 100, 300]


class Measured:
    """A task that is measured; its `result` is set once there is one."""

    result: Any = None


class TaskMetrics:
    """Counters of one worker; `stage` is the name of the task's function."""

    def __init__(self) -> None:
        tags = ("stage",)
        self._tasks = Counter("facepipe_tasks", "tasks done, failed ones included", tags)
        self._failed = Counter("facepipe_tasks_failed", "tasks that raised", tags)
        self._frames = Counter("facepipe_frames", "frames written", tags)
        self._faces = Counter("facepipe_faces", "faces enhanced, over all frames", tags)
        self._seconds = Histogram("facepipe_task_seconds", "seconds of a task", _SECONDS, tags)

    @contextmanager
    def measure(self, stage: str) -> Iterator[Measured]:
        """Count the block as one task."""
        tags, measured, began = {"stage": stage}, Measured(), time.monotonic()
        try:
            yield measured
        except BaseException:
            self._failed.inc(1, tags)
            raise
        finally:
            self._tasks.inc(1, tags)
            self._seconds.observe(time.monotonic() - began, tags)
        for counter, name in ((self._frames, "frames"), (self._faces, "faces")):
            count = getattr(measured.result, name, 0)
            if count:
                counter.inc(count, tags)
