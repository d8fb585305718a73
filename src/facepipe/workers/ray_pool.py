"""The workers of a Ray cluster: started on each node that has room, tried, replaced as they go.

One thread looks after them, so that no task waits for the cluster's head.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from facepipe import _version
from facepipe.errors import NoWorkersError, reason_of
from facepipe.workers import ray_worker
from facepipe.workers.base import Trial
from facepipe.workers.nodes import Node, NodeRecords
from facepipe.workers.ray_files import FileServer
from facepipe.workers.resources import worker_bytes

#: Seconds after which the cluster's nodes are looked at again, and between looks at new workers.
_NODES_SECONDS, _NEW_SECONDS = 5.0, 0.2
#: Seconds that a new worker may take for its trial.
_TRIAL_SECONDS = 180.0
#: Seconds in which a node's raylet must accept a connection to count as there.
_RAYLET_SECONDS = 3.0
#: Seconds that the head may take to end the workers.
_FAREWELL_SECONDS = 3.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """An actor, the node that it is on, and what it was last asked while it is new."""

    handle: Any
    node: Node
    asked: Any = None
    greeted: bool = False
    since: float = field(default_factory=time.monotonic)
    killed: bool = False  # by this process


class WorkerPool:
    """The workers of one executor. `needed`: what each reserves, by Ray's names of resources.

    `most`: how many at most; None: as many as the nodes hold.
    """

    def __init__(
        self,
        *,
        most: int | None,
        needed: Mapping[str, float],
        file_server: FileServer | None,
        trial: Trial | None,
        records: NodeRecords,
    ) -> None:
        self.records = records
        self.needed = dict(needed)
        self._most, self._file_server, self._trial = most, file_server, trial
        self._mine = _facepipe_of_this_process()
        self._nodes: dict[str, Node] = {}
        self._new: set[Worker] = set()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._to_kill: list[Worker] = []
        self._changed = threading.Condition()
        self._ended: NoWorkersError | None = None
        self._hinted = 0
        ray.cloudpickle.register_pickle_by_value(ray_worker)  # type: ignore[no-untyped-call]
        self._actor: Any = ray.remote(ray_worker.FacepipeWorker)
        self._thread = threading.Thread(target=self._look_after, daemon=True, name="workers")
        self._thread.start()

    @property
    def size(self) -> int:
        """Workers that there are, new ones included; one at least."""
        return max(len(self._new) + len(self._idle) + len(self._busy), 1)

    def wait_for_first(self, seconds: float) -> None:
        """Wait for a worker that passed its trial. Raises NoWorkersError where none comes."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._idle and not self._busy:
                self._raise_if_ended()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NoWorkersError(self._none_in(seconds))
                self._changed.wait(min(left, _NEW_SECONDS))

    def take(self, avoid: frozenset[str]) -> Worker | None:
        """A worker for a task, on none of the nodes `avoid` if there is another; None: not now."""
        with self._changed:
            self._raise_if_ended()
            others = self._others(avoid)
            for worker in self._idle:
                if worker.node.id not in avoid or not others:
                    self._idle.remove(worker)
                    self._busy.add(worker)
                    return worker
            return None

    def others(self, nodes: frozenset[str]) -> bool:
        """Whether a worker is, or is about to be, on a node besides these."""
        with self._changed:
            return self._others(nodes)

    def give_back(self, worker: Worker) -> None:
        """Take back a worker that has done its task."""
        with self._changed:
            self._busy.discard(worker)
            if worker.killed or self.records.is_aside(worker.node.id):
                self._to_kill.append(worker)
            else:
                self._idle.append(worker)
            self._changed.notify_all()

    def discard(self, worker: Worker) -> None:
        """End a worker, or forget one that has ended; another takes its place."""
        with self._changed:
            self._busy.discard(worker)
            worker.killed = True
            self._to_kill.append(worker)
            self._changed.notify_all()

    def end(self, reason: NoWorkersError, *, head_is_there: bool = True) -> None:
        """End all workers and start none; `reason` is raised from now on."""
        with self._changed:
            self._ended = self._ended or reason
            workers = [*self._new, *self._idle, *self._busy, *self._to_kill]
            self._new, self._idle, self._to_kill = set(), [], []
            self._changed.notify_all()
        for worker in workers:
            worker.killed = True
            with suppress(Exception):
                worker.handle.leave.remote()  # the head is not needed for it
        if head_is_there:
            # A head that goes at the same moment would keep this process waiting.
            rest = threading.Thread(target=self._end_by_head, args=(workers,), daemon=True)
            rest.start()
            rest.join(_FAREWELL_SECONDS)

    def _end_by_head(self, workers: Sequence[Worker]) -> None:
        """Have the head end workers, those too that have not begun, and withdraw what was asked."""
        for worker in workers:
            with suppress(Exception):
                ray.kill(worker.handle)
        self._hint(0)

    def join(self) -> None:
        """Wait until the pool's thread has ended, which may be waiting for the head."""
        if threading.current_thread() is not self._thread:
            self._thread.join(_RAYLET_SECONDS)

    def is_there(self, node: Node) -> bool:
        """Whether a node's raylet answers: the head takes its time to notice that it is gone."""
        try:
            with socket.create_connection((node.address, node.port), timeout=_RAYLET_SECONDS):
                return True
        except OSError:
            return False

    def _others(self, nodes: frozenset[str]) -> bool:
        workers = (*self._idle, *self._busy, *self._new)
        return any(worker.node.id not in nodes for worker in workers)

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise self._ended

    # What follows runs in the pool's own thread.

    def _look_after(self) -> None:
        looked = -_NODES_SECONDS
        while self._ended is None:
            try:
                if time.monotonic() - looked >= _NODES_SECONDS:
                    looked = time.monotonic()
                    self._refresh_nodes()
                    self._start_workers()
                self._kill_discarded()
                self._welcome()
            except Exception as error:  # the head may be away for a while; `take` goes on
                log.warning("the cluster is not answering: %s", _first_line(error))
            with self._changed:
                if self._ended is None and not self._to_kill:
                    self._changed.wait(_NEW_SECONDS)

    def _refresh_nodes(self) -> None:
        alive = [_node(one) for one in _all_nodes() if one["Alive"]]
        self.records.meet(alive)
        with self._changed:
            self._nodes = {node.id: node for node in alive}
            trusted = {node for node in self._nodes if not self.records.is_aside(node)}
            gone = [worker for worker in self._idle if worker.node.id not in trusted]
            self._to_kill += gone
            for worker in gone:
                self._idle.remove(worker)
        if alive and not trusted:
            self._end_without_nodes()

    def _end_without_nodes(self) -> None:
        complaints = "; ".join(self.records.complaints())
        self.end(NoWorkersError(f"every node of the cluster was set aside: {complaints}"))

    def _start_workers(self) -> None:
        """Start workers where there is room, on the emptiest nodes first."""
        with self._changed:
            held = Counter(one.node.id for one in (*self._new, *self._idle, *self._busy))
            nodes = {key: node for key, node in self._nodes.items() if self.records.usable(key)}
        room = {key: node.room(self.needed) - held[key] for key, node in nodes.items()}
        wanted = self._wanted(held.total(), room.values())
        for _ in range(wanted):
            emptiest = max(room, key=room.__getitem__)
            room[emptiest] -= 1
            self._start(nodes[emptiest])
        # An autoscaler answers to what is asked for: one at least where there is nothing yet.
        self._hint(self._most or (0 if held or wanted > 0 else 1))

    def _wanted(self, held: int, rooms: Collection[int]) -> int:
        wanted = sum(room for room in rooms if room > 0)
        return wanted if self._most is None else min(self._most - held, wanted)

    def _start(self, node: Node) -> None:
        handle = self._actor.options(
            num_cpus=self.needed.get("CPU", 0),
            num_gpus=self.needed.get("GPU", 0),
            memory=self.needed.get("memory", 0),
            max_concurrency=2,  # it can be told to leave while it works
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node.id, soft=False),
        ).remote()
        worker = Worker(handle, node)
        worker.asked = handle.greet.remote()
        with self._changed:
            if self._ended is None:
                self._new.add(worker)
                return
        ray.kill(handle)

    def _welcome(self) -> None:
        """Try the workers that have started, and drop those that are not fit or could not start."""
        asked = {worker.asked: worker for worker in self._new}
        if not asked:
            return
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
        for reference in answered:
            worker = asked[reference]
            reason = self._why_not(worker)
            if reason is None and not worker.greeted:
                self._equip(worker)
                continue
            self._settle(worker, reason)
        for worker in list(self._new):
            if worker.greeted and time.monotonic() - worker.since > _TRIAL_SECONDS:
                self._settle(worker, f"its worker took more than {_TRIAL_SECONDS:g} s to begin")

    def _equip(self, worker: Worker) -> None:
        trial = None if self._trial is None else (self._trial.function, self._trial.task)
        worker.greeted, worker.since = True, time.monotonic()
        worker.asked = worker.handle.equip.remote(self._file_server, trial)

    def _why_not(self, worker: Worker) -> str | None:
        """Why the worker that has answered is not fit; None: it is, as far as it was asked."""
        try:
            answer = ray.get(worker.asked, timeout=_RAYLET_SECONDS)
        except RayTaskError as error:
            return reason_of(error.cause if isinstance(error.cause, Exception) else error)
        except (RayError, GetTimeoutError) as error:
            if not self.is_there(worker.node):
                return ""  # nobody's fault
            return f"its worker did not start ({_first_line(error)})"
        if not worker.greeted:
            return _difference(answer, self._mine)
        return self.unfit(worker.node.id, answer)

    def unfit(self, node: str, answer: Any) -> str | None:
        """Why a worker is not fit, by what its trial returned; None: it is."""
        if self._trial is None:
            return None
        try:
            remark = self._trial.check(answer)
        except Exception as error:  # whatever a check finds
            return reason_of(error)
        if remark:
            self.records.remark(node, remark)
        return None

    def _settle(self, worker: Worker, reason: str | None) -> None:
        """Take a new worker among the idle ones, or end it."""
        with self._changed:
            self._new.discard(worker)
            if reason is None and self._ended is None:
                self._idle.append(worker)
            else:
                self._to_kill.append(worker)
            self._changed.notify_all()
        if reason is None:
            self.records.fit(worker.node.id)
        elif reason:
            self.records.failed(worker.node.id, reason)

    def _kill_discarded(self) -> None:
        with self._changed:
            workers, self._to_kill = self._to_kill, []
        for worker in workers:
            worker.killed = True
            with suppress(Exception):
                ray.kill(worker.handle)

    def _hint(self, workers: int) -> None:
        """Ask an autoscaler for room for so many workers."""
        if workers != self._hinted:
            self._hinted = workers
            bundles = [{name: n for name, n in self.needed.items() if n}] * workers
            with suppress(Exception):  # there may be none
                request_resources(bundles=bundles)

    def _none_in(self, seconds: float) -> str:
        cores = "a processor" if self.needed.get("CPU") else "no processor"
        text = f"{cores} and {int(self.needed.get('memory', 0)) >> 20} MiB of memory"
        text += f" and {self.needed['GPU']:g} of a GPU" if self.needed.get("GPU") else ""
        complaints = "".join(f"; {line}" for line in self.records.complaints())
        return f"the cluster gave no worker in {seconds:g} s: each needs {text}{complaints}"


def needed_by_worker(gpus: float) -> dict[str, float]:
    """What a worker reserves, by Ray's names."""
    return {"CPU": 1, "memory": worker_bytes(), "GPU": gpus}


def _all_nodes() -> list[dict[str, Any]]:
    return list(ray.nodes())  # type: ignore[no-untyped-call]


def _node(one: Mapping[str, Any]) -> Node:
    """A node as Ray describes it."""
    host, address = str(one["NodeManagerHostname"]), str(one["NodeManagerAddress"])
    name = f"{host} ({address}, {one['NodeID'][:8]})"
    return Node(one["NodeID"], name, address, int(one["NodeManagerPort"]), one["Resources"])


def _facepipe_of_this_process() -> dict[str, str]:
    folder = Path(_version.__file__).parent
    return {"version": _version.__version__, "digest": ray_worker.package_digest(folder)}


def _difference(theirs: Mapping[str, str], mine: Mapping[str, str]) -> str | None:
    """How a worker's facepipe differs from this process's; None: it does not."""
    if "error" in theirs:
        return f"its facepipe does not import ({theirs['error']})"
    if theirs["version"] != mine["version"]:
        return f"it has facepipe {theirs['version']}, this process has {mine['version']}"
    if theirs["digest"] != mine["digest"]:
        return (
            f"its facepipe {theirs['version']} has other code or weights "
            f"(sha256 {theirs['digest'][:12]}, this process has {mine['digest'][:12]})"
        )
    return None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
