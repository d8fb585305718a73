"""The interface of an executor: tasks in, outcomes out in any order, failures among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

#: A task function. It is given the task and a callback for the frames done since the last call.
TaskFunction = Callable[[Task, Callable[[int], None]], Result]


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """Outcome of task `number`: a result, or the error that ended its last attempt."""

    number: int
    result: Result | None
    error: BaseException | None = None


class Executor(Protocol):
    """Runs pure task functions; yields each task's outcome exactly once, as it is done."""

    workers: int
    #: Whether the workers are processes of this machine, with its devices.
    here: bool

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task; `progress` is called with frames as they are done.

        Several threads may call this at once; they share the workers. Closing the iterator early
        ends the tasks that are running.
        """
        ...

    def close(self) -> None:
        """End all workers; their unfinished tasks are lost."""
        ...
