"""Retries on a cluster of made-up nodes: where a task goes next, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from facepipe.errors import InputError, NoWorkersError, WorkersLostError
from facepipe.workers import dispatch as module
from facepipe.workers.base import Check, Outcome
from facepipe.workers.dispatch import NodeFault, WorkerLost, dispatch


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF", 0.0)


class Nodes:
    """One worker on each node, which runs a task when its result is asked for."""

    max_lost_workers = 3

    def __init__(self, *names: str) -> None:
        self.free = list(names)
        self.names = set(names)
        self.blamed: list[str] = []
        self.began: list[tuple[str, Any]] = []

    def begin(
        self, function: Any, task: Any, avoid: frozenset[str] = frozenset()
    ) -> tuple[str, Any, Any] | None:
        for name in self.free:
            if name not in avoid or not self.others(avoid):
                self.free.remove(name)
                self.began.append((name, task))
                return name, function, task
        return None

    def ended(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        return handles

    def frames(self, handle: Any) -> int:
        return 0

    def result(self, handle: Any, check: Check | None = None) -> Any:
        name, function, task = handle
        self.free.append(name)
        result = function(task, name)
        if check is not None:
            check(result, False)
        return result

    def node(self, handle: Any) -> str:
        return str(handle[0])

    def others(self, nodes: frozenset[str]) -> bool:
        return bool(self.names - nodes)

    def blame(self, node: str, error: BaseException) -> None:
        self.blamed.append(node)

    def abandon(self, handle: Any) -> None: ...

    def close(self) -> None: ...


def run(nodes: Nodes, function: Callable[[Any, Any], Any], tasks: Sequence[Any]) -> list[Any]:
    outcomes: list[Outcome[Any]] = list(
        dispatch(nodes, function, tasks, progress=lambda _: None)  # type: ignore[arg-type]
    )
    return [o.result or o.error for o in sorted(outcomes, key=lambda o: o.number)]


def test_what_fails_on_one_node_is_done_by_another_and_the_first_is_blamed() -> None:
    def work(task: int, node: str) -> int:
        if node == "bad":
            raise InputError("no such file")
        return task

    nodes = Nodes("bad", "good")
    assert run(nodes, work, [1, 2, 3]) == [1, 2, 3]
    assert set(nodes.blamed) == {"bad"}
    assert len(nodes.began) == 3 + len(nodes.blamed)


def test_what_fails_on_two_nodes_fails_and_no_node_is_blamed() -> None:
    def work(task: int, node: str) -> int:
        raise InputError(f"{task} is damaged")

    nodes = Nodes("a", "b", "c")
    (error,) = run(nodes, work, [1])
    assert str(error) == "1 is damaged"
    assert [name for name, _ in nodes.began] == ["a", "b"]
    assert nodes.blamed == []


def test_what_facepipe_refuses_on_the_only_node_is_not_tried_again() -> None:
    def work(task: int, node: str) -> int:
        raise InputError("damaged")

    nodes = Nodes("a")
    run(nodes, work, [1])
    assert len(nodes.began) == 1


def test_a_node_at_fault_takes_none_of_the_attempts() -> None:
    def work(task: int, node: str) -> int:
        if node in ("a", "b", "c"):
            raise NodeFault("its disk is full")
        return task

    nodes = Nodes("a", "b", "c", "d")
    assert run(nodes, work, [1]) == [1]
    assert [name for name, _ in nodes.began] == ["a", "b", "c", "d"]


def test_workers_lost_before_the_task_began_take_no_lives() -> None:
    left = [WorkerLost("gone", begun=False)] * 20 + [WorkerLost("killed")] * 2

    def work(task: int, node: str) -> int:
        if left:
            raise left.pop()
        return task

    assert run(Nodes("a"), work, [1]) == [1]


def test_a_task_that_loses_every_worker_is_given_up_as_lost() -> None:
    def work(task: int, node: str) -> int:
        raise WorkerLost("killed")

    nodes = Nodes("a", "b")
    (error,) = run(nodes, work, [1])
    assert isinstance(error, WorkersLostError)
    assert len(nodes.began) == nodes.max_lost_workers


def test_nothing_is_tried_again_when_there_are_no_workers_any_more() -> None:
    class Ended(Nodes):
        def begin(
            self, function: Any, task: Any, avoid: frozenset[str] = frozenset()
        ) -> tuple[str, Any, Any] | None:
            raise NoWorkersError("the head is gone")

    with pytest.raises(NoWorkersError, match="the head is gone"):
        run(Ended("a"), lambda task, node: task, [1])
