"""Simulate 10,000 hours of video on clusters of 10 to 1,000 nodes: how far does one driver scale?

    python benchmarks/cluster/simulate.py [--times times.json]      # pip install simpy

`times.json` comes from measure.py; without --times the table MEASURED of times.py is used.
docs/scale.md explains the results.

Simplifications of the model. Spans are sent in groups (GROUP) of one video to one node, whose cores
share them evenly. A group on a lost node keeps what was finished, less half a span on each core.
Each driver's Python (the GIL), its network, its file server and the shared store serve one request
after another. In a driver's Python, tasks come first; probing, linking and muxing get the time that
is left, and polling of running tasks comes last.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import simpy
from times import MB, MEASURED, Times

SPAN_FRAMES = 150  # of a simulated span: 6 s at 25 frames a second
CORES = 16
GROUP = 48  # spans that go to a node at once
FRAMES_A_SECOND = 25
#: Polls of all other threads that a handover waits for, where polling takes all the time.
HANDOVER_POLLS = 3
NODE_LIVES_S = 30 * 86400.0
PREEMPTED_S, REPLACED_S, NOTICED_S = 7200.0, 120.0, 30.0


@dataclass(frozen=True)
class Cluster:
    """The cluster. `drivers` share the store, and share nodes and videos evenly."""

    nodes: int
    drivers: int
    shared: bool
    network_bytes: float  # a second, of each driver
    store_bytes: (
        float  # a second, of the shared store, or of the disk of a driver that serves files
    )


class Queue:
    """A resource that serves one request at a time, those of spans before those of videos."""

    def __init__(self) -> None:
        self.spans = self.all = self.busy = 0.0

    def take(self, now: float, seconds: float, *, ahead: bool = False) -> float:
        """The time at which a request that arrives now is finished."""
        self.busy += seconds
        self.all = max(self.all, now) + seconds
        if not ahead:
            return self.all
        self.spans = max(self.spans, now) + seconds
        return self.spans


@dataclass(frozen=True)
class SpanCost:
    """Cost of one span: on a core, in the queues of its driver, and of the store."""

    core_s: float
    python_s: float
    network_bytes: float
    served_mb: float
    store_bytes: float


@dataclass(frozen=True)
class DriverStep:
    """Work of the driver itself on a video: Python, another core, bytes of the store."""

    python_s: float
    sha_s: float
    bytes: float


@dataclass(eq=False)
class Pass:
    """One pass over one video: `done` is triggered when its last span is back."""

    cost: SpanCost
    left: int
    done: simpy.Event


class Driver:
    """One driver, its videos and its nodes."""

    def __init__(self, world: World, videos: Sequence[int], nodes: int) -> None:
        self.world, self.videos = world, deque(videos)
        self.python, self.network, self.file_server = Queue(), Queue(), Queue()
        self.ready: list[tuple[Pass, int]] = []
        self.idle: deque[simpy.Event] = deque()
        self.active_videos = min(nodes * CORES, len(videos))
        late = world.times.poll_s * self.active_videos - world.times.poll_interval_s
        self.handover_s = HANDOVER_POLLS * max(late, 0.0)
        threads = [world.process(self.thread()) for _ in range(self.active_videos)]
        world.process(self.end(threads))
        for _ in range(nodes):
            world.process(self.node())

    def thread(self) -> Generator[simpy.Event, Any, None]:
        """A thread of `facepipe batch`: one video after another."""
        world = self.world
        while self.videos:
            frames = self.videos.popleft()
            probed, linked, muxed = world.steps(frames)
            yield self.driver_step(probed)
            yield self.spans(frames, world.analyze_cost(frames))
            yield self.driver_step(linked)
            yield self.spans(frames, world.render_cost(frames))
            yield self.driver_step(muxed)

    def end(self, threads: Sequence[simpy.Event]) -> Generator[simpy.Event, Any, None]:
        """Release the nodes when all videos are done."""
        yield self.world.all_of(threads)
        self.world.last = self.world.now
        self.videos.clear()
        for event in self.idle:
            event.succeed(None)

    def driver_step(self, step: DriverStep) -> simpy.Event:
        """Run a step of the driver itself."""
        world, now = self.world, self.world.now
        ends = [self.python.take(now, step.python_s)]
        ends.append(world.store_of(self).take(now, step.bytes / world.cluster.store_bytes))
        if world.cluster.shared:
            ends.append(self.network.take(now, step.bytes / world.cluster.network_bytes))
        return world.timeout(max(ends) - now + step.sha_s)

    def spans(self, frames: int, cost: SpanCost) -> simpy.Event:
        """Submit all spans of a video; gives the event that they are back."""
        count = max(frames // SPAN_FRAMES, 1)
        task_pass = Pass(cost, count, self.world.event())
        for first in range(0, count, GROUP):
            self.submit(task_pass, min(GROUP, count - first))
        return task_pass.done

    def submit(self, task_pass: Pass, count: int) -> None:
        """Give spans to an idle node, or to the next that is idle."""
        if self.idle:
            self.idle.popleft().succeed((task_pass, count))
        else:
            self.ready.append((task_pass, count))

    def resubmit(self, task_pass: Pass, count: int) -> Generator[simpy.Event, Any, None]:
        """Submit spans again when their loss is noticed."""
        yield self.world.timeout(NOTICED_S)
        self.submit(task_pass, count)

    def node(self) -> Generator[simpy.Event, Any, None]:
        """A node: works on one group after another, fails, and is replaced."""
        world = self.world
        fails_at = world.now + world.draw_lifetime()
        while True:
            if self.ready:
                choice = world.rng.randrange(len(self.ready))
                self.ready[choice], self.ready[-1] = self.ready[-1], self.ready[choice]
                task_pass, count = self.ready.pop()
            else:
                self.idle.append(world.event())
                given = yield self.idle[-1]
                if given is None:
                    return
                task_pass, count = given
            if world.now >= fails_at:  # it failed while idle
                world.process(self.resubmit(task_pass, count))
            else:
                now, core_s = world.now, task_pass.cost.core_s
                end = self.finish_time(task_pass.cost, count)
                yield world.timeout(min(end, fails_at) - now)
                share = min((fails_at - now) / (end - now), 1.0)
                done = count if share == 1 else max(int(share * count - CORES / 2), 0)
                world.useful_s += done * core_s
                task_pass.left -= done
                if share == 1:
                    if not task_pass.left:
                        task_pass.done.succeed()
                    continue
                world.lost_s += min(share * count - done, CORES) * core_s
                world.process(self.resubmit(task_pass, count - done))
            yield world.timeout(REPLACED_S)
            fails_at = world.now + world.draw_lifetime()

    def finish_time(self, cost: SpanCost, count: int) -> float:
        """The time at which so many spans that start now are done and back."""
        world, now, cluster = self.world, self.world.now, self.world.cluster
        rounds = max(count / CORES, 1.0)
        uses = (
            (self.python, cost.python_s),
            (self.network, cost.network_bytes / cluster.network_bytes),
            (self.file_server, cost.served_mb * world.times.serve_mb_s),
            (world.store_of(self), cost.store_bytes / cluster.store_bytes),
        )
        back = [queue.take(now, count * seconds, ahead=True) for queue, seconds in uses]
        return max(now + rounds * (cost.core_s + self.handover_s), *back)


class World(simpy.Environment):
    """The simulation: all drivers of a cluster and all videos, whose lengths are in frames."""

    def __init__(
        self, times: Times, cluster: Cluster, videos: Sequence[int], faces: float, seed: int
    ) -> None:
        super().__init__()
        self.times, self.cluster, self.faces = times, cluster, faces
        self.rng = random.Random(seed)
        self.useful_s = self.lost_s = self.last = 0.0
        self.store = Queue()
        self.disks: dict[Driver, Queue] = {}
        videos, count = sorted(videos, reverse=True), cluster.drivers
        self.drivers = [
            Driver(self, videos[k::count], len(range(k, cluster.nodes, count)))
            for k in range(count)
        ]

    def draw_lifetime(self) -> float:
        """Draw the seconds until a node fails or is preempted."""
        return self.rng.expovariate(1 / NODE_LIVES_S + 1 / PREEMPTED_S)

    def store_of(self, driver: Driver) -> Queue:
        """The storage of a driver's videos: the shared store, or its own disk."""
        return self.store if self.cluster.shared else self.disks.setdefault(driver, Queue())

    def steps(self, frames: int) -> tuple[DriverStep, DriverStep, DriverStep]:
        """The driver's steps for a video: probe, link, mux."""
        times, part = self.times, frames * self.times.part_frame_bytes
        source = frames * times.source_frame_bytes
        # The source is read to probe, to hash and to copy its audio; the rest is of the result.
        result_bytes = part * (times.driver_read_videos - 3 + times.driver_written_videos)
        return (
            DriverStep(frames * times.probe_frame_s, times.sha_mb_s * source / MB, 2 * source),
            DriverStep(frames * self.faces * times.link_face_s, 0, 0),
            DriverStep(
                frames * times.mux_frame_s, times.sha_mb_s * part / MB, source + result_bytes
            ),
        )

    def analyze_cost(self, frames: int) -> SpanCost:
        """Cost of one span of the analysis pass, for a video of so many frames."""
        times = self.times
        core_s = SPAN_FRAMES * (times.analyze_frame_s + times.analyze_face_s * self.faces)
        return self._span_cost(
            frames, core_s, SPAN_FRAMES * self.faces * times.detections_face_bytes, 0.0
        )

    def render_cost(self, frames: int) -> SpanCost:
        """Cost of one span of the render pass."""
        times = self.times
        core_s = SPAN_FRAMES * (times.render_frame_s + times.render_face_s * self.faces)
        return self._span_cost(frames, core_s, 0.0, SPAN_FRAMES * times.part_frame_bytes)

    def _span_cost(self, frames: int, core_s: float, result: float, part: float) -> SpanCost:
        times = self.times
        task, index_bytes = (
            frames * times.task_video_frame_bytes,
            frames * times.index_video_frame_bytes,
        )
        read, served = index_bytes + SPAN_FRAMES * times.source_frame_bytes, 0.0
        python_s = times.dispatch_task_s + times.keep_task_s + times.send_mb_s * task / MB
        network = task + result
        if not self.cluster.shared:
            read = served = times.served_span_bytes + frames * times.served_video_frame_bytes
            network += served + part
            result += part
        python_s += times.receive_mb_s * result / MB
        return SpanCost(core_s, python_s, network, served / MB, read + part)

    def table_cell(self) -> str:
        """Run the simulation; gives a cell of the table."""
        self.run()
        wall, count = self.last, len(self.drivers)
        cores = self.cluster.nodes * CORES
        stores = [self.store, *self.disks.values()]
        busy = {
            "workers": (self.useful_s + self.lost_s) / (cores * wall),
            "Python": sum(d.python.busy for d in self.drivers) / count / wall,
            "network": sum(d.network.busy for d in self.drivers) / count / wall,
            "file server": sum(d.file_server.busy for d in self.drivers) / count / wall,
            "store": max(store.busy for store in stores) / wall,
        }
        limit = max(busy, key=lambda name: busy[name])
        lost = self.lost_s / (self.useful_s + self.lost_s)
        table_cell = f"{wall / 3600:.1f} h, {busy['workers']:.0%}, {lost:.2%}, {limit}"
        return table_cell + (f" {busy[limit]:.0%}" if limit != "workers" else "")


def draw_videos(hours: float, seed: int) -> list[int]:
    """Draw videos of an hour on average; their lengths in frames."""
    rng, spread = random.Random(seed), 0.5
    videos: list[int] = []
    while sum(videos) < hours * 3600 * FRAMES_A_SECOND:
        length = rng.lognormvariate(-(spread**2) / 2, spread)
        videos.append(max(int(length * 3600 * FRAMES_A_SECOND), SPAN_FRAMES))
    return videos


def print_hour(times: Times, faces: float) -> None:
    """Print the cost of an hour of video, and how many cores keep one driver's Python busy."""
    frames, spans = 3600 * FRAMES_A_SECOND, 3600 * FRAMES_A_SECOND // SPAN_FRAMES
    unshared_world, shared_world = (
        World(times, Cluster(1, 1, shared, 1, 1), [], faces, 0) for shared in (False, True)
    )
    probed, linked, muxed = shared_world.steps(frames)
    shared_needs, served_needs = (
        (world.analyze_cost(frames), world.render_cost(frames))
        for world in (shared_world, unshared_world)
    )
    analyzed, rendered = (spans * cost.core_s for cost in shared_needs)
    tasks = spans * sum(cost.python_s for cost in shared_needs)
    python = tasks + probed.python_s + linked.python_s + muxed.python_s
    served = spans * sum(cost.served_mb for cost in served_needs)
    own = probed.bytes + muxed.bytes
    sent = spans * sum(cost.network_bytes for cost in shared_needs)
    read = spans * sum(cost.store_bytes for cost in shared_needs)
    print(f"| an hour of video, {faces:.2f} faces a frame | |\n|---|---|")
    print(f"| workers: analyze, render | {analyzed:.0f} + {rendered:.0f} core seconds |")
    print(f"| driver's Python: probe | {probed.python_s:.1f} s |")
    print(f"| link, analysis.json | {linked.python_s:.1f} s |")
    print(f"| mux, read back, report | {muxed.python_s:.1f} s |")
    print(f"| {2 * spans} tasks | {tasks:.1f} s |")
    print(
        f"| all of it | {python:.1f} s: {(analyzed + rendered) / python:.0f} cores keep it busy |"
    )
    print(f"| file server | {served / 1e3:.1f} GB, {served * times.serve_mb_s:.1f} s |")
    print(
        f"| driver's network, --shared | {own / 1e9:.1f} GB of videos, {sent / 1e9:.1f} of tasks |"
    )
    print(f"| store, --shared | {own / 1e9:.1f} GB to the driver, {read / 1e9:.1f} to workers |")
    memory = frames * faces * times.detections_face_bytes / MB
    print(f"| memory of a video in progress | {memory:.0f} MB |\n")


def simulate(options: argparse.Namespace) -> None:
    times = Times(**json.loads(options.times.read_text())) if options.times else MEASURED
    faces = times.faces_frame if options.faces is None else options.faces
    if options.mbit:
        source = options.mbit * MB / 8 / FRAMES_A_SECOND
        part = source * times.part_frame_bytes / times.source_frame_bytes
        served = times.served_span_bytes + SPAN_FRAMES * (source - times.source_frame_bytes)
        times = replace(
            times, source_frame_bytes=source, part_frame_bytes=part, served_span_bytes=served
        )
    print_hour(times, faces)
    videos = draw_videos(options.hours, options.seed)
    rates = options.network * 1e9 / 8, options.store * 1e9
    each = options.nodes_a_driver
    print(f"{len(videos)} videos, {faces:.2f} faces a frame, {CORES} cores a node")
    headings = (
        "1 driver, files served",
        "1 driver, --shared",
        f"a driver for {each} nodes, --shared",
    )
    print(f"| nodes | {' | '.join(headings)} |\n|---|---|---|---|")
    for nodes in options.nodes:
        cells = []
        for drivers, shared in ((1, False), (1, True), (math.ceil(nodes / each), True)):
            cluster = Cluster(nodes, drivers, shared, *rates)
            cells.append(World(times, cluster, videos, faces, options.seed).table_cell())
        print(f"| {nodes} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=Path, help="a JSON that measure.py printed")
    parser.add_argument("--hours", type=float, default=10_000)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--nodes-a-driver", type=int, default=5)
    parser.add_argument("--faces", type=float, help="faces in a frame [those of the clip]")
    parser.add_argument("--mbit", type=float, help="Mbit/s of the videos [that of the clip]")
    parser.add_argument("--network", type=float, default=10, help="of a driver, Gbit/s")
    parser.add_argument("--store", type=float, default=5, help="of a store or disk, GB/s")
    parser.add_argument("--seed", type=int, default=0)
    simulate(parser.parse_args())


if __name__ == "__main__":
    main()
