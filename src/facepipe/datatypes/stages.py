"""Seconds of CPU by stage of a run: where its time goes.

Code says `with stage("crop"):`. That costs next to nothing, unless a `StageClock` measures this
context.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

Stage = Literal[
    "decode",
    "search",
    "detector",
    "registration",
    "crop",
    "fusion",
    "network",
    "smoothing",
    "paste",
    "scaling",
    "encode",
    "mux",
    "other",
    "waiting",
]
#: All stages in the order of their work. `search` is finding faces but for the network that does,
#: which is `detector`; `network` restores and parses them; `other` is all CPU time that no stage
#: has, as of loading. `waiting` is no CPU time, but that in which a worker at a task did not run.
STAGES: tuple[Stage, ...] = get_args(Stage)

Item = TypeVar("Item")


@dataclass
class StageTimes:
    """Seconds by stage, of one process or of many; stages that did not run are absent."""

    seconds: dict[Stage, float] = field(default_factory=dict)

    def add(self, more: Mapping[Stage, float]) -> None:
        """Add the seconds of `more` to the same stages."""
        for name, seconds in more.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class StageClock:
    """Adds the CPU time of one thread, as it enters and leaves stages, to `times`.

    A stage within another one counts for itself alone. Other threads of the process are those of
    encoders: `of_others` says to which stage their time belongs, and what is left of it is other.
    """

    def __init__(self, times: StageTimes) -> None:
        self.times = times
        self._inside: list[Stage] = ["other"]
        self._since = time.thread_time()
        self._others = _others()

    def __enter__(self) -> None:
        self._token = _CLOCK.set(self)

    def __exit__(self, *_: object) -> None:
        _CLOCK.reset(self._token)
        self._charge()
        self.of_others("other")

    @contextmanager
    def at(self, name: Stage) -> Iterator[None]:
        """The context in which this thread's time is that stage's."""
        self._charge()
        self._inside.append(name)
        try:
            yield
        finally:
            self._charge()
            self._inside.pop()

    def of_others(self, name: Stage) -> None:
        """Count what other threads did since the last call as that stage's."""
        before, self._others = self._others, _others()
        self.times.add({name: max(self._others - before, 0.0)})

    def read(self) -> dict[Stage, float]:
        """The seconds up to now, in the order of STAGES, to the millisecond."""
        self._charge()
        self.of_others("other")
        seconds = self.times.seconds
        return {name: round(seconds[name], 3) for name in STAGES if name in seconds}

    def _charge(self) -> None:
        before, self._since = self._since, time.thread_time()
        self.times.add({self._inside[-1]: self._since - before})


_CLOCK: ContextVar[StageClock | None] = ContextVar("stage clock", default=None)
_NOT_MEASURED = nullcontext()


def current_clock() -> StageClock | None:
    """The clock that measures this context; None: nothing is measured."""
    return _CLOCK.get()


@contextmanager
def measured(*, on: bool) -> Iterator[None]:
    """The context in which this thread's time is measured, if it is `on`."""
    with StageClock(StageTimes()) if on else _NOT_MEASURED:
        yield


def seconds_so_far() -> dict[Stage, float] | None:
    """Seconds by stage up to now, in the order of STAGES; None: nothing is measured."""
    clock = _CLOCK.get()
    return None if clock is None else clock.read()


def stage(name: Stage) -> AbstractContextManager[None]:
    """The context of one stage's work."""
    clock = _CLOCK.get()
    return _NOT_MEASURED if clock is None else clock.at(name)


def staged(name: Stage, items: Iterable[Item]) -> Iterator[Item]:
    """The items; making each one is that stage's work."""
    iterator = iter(items)
    while True:
        with stage(name):
            item = next(iterator, _END)
        if isinstance(item, _End):
            return
        yield item


@contextmanager
def others_are(name: Stage) -> Iterator[None]:
    """The context in which the process's other threads work for one stage, as an encoder's do."""
    clock = _CLOCK.get()
    if clock is not None:
        clock.of_others("other")
    yield
    if clock is not None:
        clock.of_others(name)


class _End:
    """What ends an iterator whose items may be anything."""


_END = _End()


def _others() -> float:
    """Seconds of CPU of the process's other threads."""
    return time.process_time() - time.thread_time()
