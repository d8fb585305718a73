"""What is known of a cluster's nodes: their room, their failures, and when they are set aside."""

from __future__ import annotations

import pytest

from facepipe.workers import nodes as module
from facepipe.workers.nodes import Node, NodeRecords

NEEDED = {"CPU": 1, "memory": 2.0, "GPU": 0.1}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def records(told: list[str]) -> NodeRecords:
    made = NodeRecords(told.append)
    made.meet([node("good"), node("bad")])
    return made


def node(name: str, **resources: float) -> Node:
    return Node(name, f"{name}.example", "192.0.2.1", 1, resources)


@pytest.mark.parametrize(
    ("resources", "room"),
    [
        ({"CPU": 8.0, "memory": 100.0, "GPU": 1.0}, 8),
        ({"CPU": 80.0, "memory": 100.0, "GPU": 0.3}, 3),
        ({"CPU": 80.0, "memory": 5.0, "GPU": 1.0}, 2),
        ({"CPU": 80.0, "memory": 100.0}, 0),
    ],
)
def test_room_is_what_the_scarcest_resource_holds(resources: dict[str, float], room: int) -> None:
    assert node("n", **resources).room(NEEDED) == room
    assert node("n", **resources).room({**NEEDED, "GPU": 0}) >= room


def test_the_second_failure_sets_a_node_aside(records: NodeRecords, told: list[str]) -> None:
    records.failed("bad", "no such file")
    assert records.usable("bad")
    records.failed("bad", "no such file")
    records.failed("bad", "no such file")  # of a task that was running meanwhile
    assert not records.usable("bad")
    assert records.is_aside("bad")
    assert records.usable("good")
    assert [line.split(":")[0] for line in told] == [
        "node bad.example",
        "node bad.example is set aside, as it fails",
    ]
    assert records.complaints() == ["node bad.example: no such file (3 failures, set aside)"]


def test_a_node_set_aside_is_tried_again_much_later(
    records: NodeRecords, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        records.failed("bad", "no such file")
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    assert records.usable("bad")
    assert records.is_aside("bad")  # until it shows that it is fit
    records.failed("bad", "no such file")
    assert len(told) == 2  # nobody is told again
    records.fit("bad")
    assert not records.is_aside("bad")
    assert told[-1] == "node bad.example is fit again and gets tasks"


def test_only_losses_without_a_task_done_between_set_a_node_aside(records: NodeRecords) -> None:
    for _ in range(3):
        for _ in range(7):
            records.lost("bad", "killed")
        records.done("bad")
    assert not records.is_aside("bad")
    for _ in range(8):
        records.lost("bad", "killed")
    assert records.is_aside("bad")


def test_a_remark_is_made_once(records: NodeRecords, told: list[str]) -> None:
    for _ in range(3):
        records.remark("good", "it has av 17")
    assert told == ["node good.example: it has av 17"]
