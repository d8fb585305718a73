"""The interface of an executor: tasks in, outcomes out in any order, failures among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

Task = TypeVar("Task")
Result = TypeVar("Result")

#: A task function. It is given the task and a callback for the frames done since the last call.
TaskFunction = Callable[[Task, Callable[[int], None]], Result]
#: Looks at a result where the driver finds it, and raises FacepipeError where it is not whole. The
#: second argument: by its content too, which is asked of a sample.
Check = Callable[[Any, bool], None]


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """Outcome of task `number`: a result, or the error that ended its last attempt."""

    number: int
    result: Result | None
    error: BaseException | None = None


@dataclass(frozen=True)
class Trial:
    """What each worker of a cluster is tried with before its first task, and when one fails.

    `check` is given what the function returned, on the driver; it returns a remark on the worker,
    or None. Both raise where the worker is not fit to work.
    """

    function: TaskFunction[Any, Any]
    task: Any
    check: Callable[[Any], str | None]


@runtime_checkable
class RemoteTask(Protocol):
    """A task that also runs on machines which see neither its source nor its target."""

    @property
    def output_folder(self) -> Path | None:
        """The folder that it writes to; None where it writes nothing."""
        ...

    def for_remote(self, address: Callable[[str], str], folder: Path) -> Self:
        """The task for a machine that reads sources at addresses and writes to `folder`."""
        ...


class Executor(Protocol):
    """Runs pure task functions; yields each task's outcome exactly once, as it is done."""

    #: Whether the workers are processes of this machine, with its devices.
    here: bool
    #: Whether the workers open the same paths as this process.
    shared: bool

    @property
    def workers(self) -> int:
        """How many there are now, or will be at once."""
        ...

    def start(self, trial: Trial | None = None) -> None:
        """Get the workers; where they are other machines', each passes the trial first.

        `map` does it where it was not done. Call it in the main thread.
        """
        ...

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
        check: Check | None = None,
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task; `progress` is called with frames as they are done.

        Several threads may call this at once; they share the workers. Closing the iterator early
        ends the tasks that are running. A result that does not pass `check` counts as a failure.
        Raises NoWorkersError where nothing can run any more.
        """
        ...

    def stop(self) -> None:
        """End the tasks that are running, and start no more; from any thread."""
        ...

    def close(self) -> None:
        """End all workers; their unfinished tasks are lost. No other thread may be in `map`."""
        ...
