"""How far one driver carries: 10,000 hours of film on 10 to 1,000 nodes, simulated with simpy.

    python benchmarks/scale.py --measure CLIP... > times.json   # pip install 'facepipe[cluster]'
    python benchmarks/scale.py simulate --times times.json      # pip install simpy

The first line measures what each step costs on this machine, the second what that comes to on a
cluster. Without --times the table MEASURED is taken. docs/scale.md reads the results.

What the model simplifies. Spans go in groups (GROUP) of one film to one node, whose cores share
them evenly; what a lost node had done of its group stays done, but for half a span on each core.
Each driver's Python (the GIL), its network, its file server, and the store serve one
request after another. In a driver's Python tasks go ahead; films are probed, linked and muxed in
what time is left, and looking after what runs gives way to both.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import random
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import simpy

from facepipe._files import sha256_of
from facepipe.batch.event_log import journal
from facepipe.configs.settings import Settings
from facepipe.datatypes import Part, SpanFaces
from facepipe.faces.tracking.link import link
from facepipe.pipeline.api import enhance
from facepipe.pipeline.preflight import Plan, make_plan
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.tasks import (
    AnalyzeTask,
    RenderTask,
    analyze_span,
    render_span,
    tracks_within,
)
from facepipe.video import decode, probe
from facepipe.video.encode import part_shift
from facepipe.workers.base import Outcome

MB = 1e6
SETTINGS = Settings()
SHORT, LONG = 9_000, 45_000  # frames of the films that clips are repeated to
SPAN_FRAMES = 150  # of a simulated span: 6 s at 25 frames a second


@dataclass(frozen=True)
class Times:
    """What the steps cost, in seconds of one core and in bytes; `film_frame`: of the whole film."""

    # a worker
    analyze_frame_s: float
    analyze_face_s: float
    render_frame_s: float
    render_face_s: float
    part_frame_bytes: float
    faces_face_bytes: float  # of a pickled SpanFaces
    # a driver's Python
    probe_frame_s: float
    link_face_s: float  # with analysis.json written and read, and tracks cut to spans
    mux_frame_s: float  # with the film read back, and the report
    keep_task_s: float
    dispatch_task_s: float
    sent_mb_s: float
    brought_mb_s: float
    look_s: float  # one look of a film's thread at what it runs
    looks_apart_s: float
    # beside it
    sha_mb_s: float
    serve_mb_s: float
    # bytes
    faces_frame: float  # enhanced, in the clip with most of them
    source_frame_bytes: float
    task_film_frame_bytes: float  # of a pickled task: it holds the pts of its film
    driver_read_films: float  # what a driver reads and writes of a film, in sizes of the film
    driver_written_films: float
    index_film_frame_bytes: float  # what a worker reads to open the film, from a shared disk
    remote_film_frame_bytes: float  # the same of a remote file
    remote_span_bytes: float  # and what it reads of that for a span


#: Measured on 2026-11-23, on two cores of a Xeon with AMX (OpenVINO in bfloat16).
MEASURED = Times(
    analyze_frame_s=0.0138,
    analyze_face_s=0.0125,
    render_frame_s=0.0104,
    render_face_s=0.0183,
    part_frame_bytes=3820,
    faces_face_bytes=649,
    probe_frame_s=8.09e-6,
    link_face_s=0.000351,
    mux_frame_s=0.000159,
    keep_task_s=0.000421,
    dispatch_task_s=0.00211,
    sent_mb_s=0.00441,
    brought_mb_s=0.00169,
    look_s=0.0006,
    looks_apart_s=0.1,
    sha_mb_s=0.000727,
    serve_mb_s=0.00243,
    faces_frame=0.754,
    source_frame_bytes=2230,
    task_film_frame_bytes=5.33,
    driver_read_films=8.28,
    driver_written_films=2.52,
    index_film_frame_bytes=32.6,
    remote_film_frame_bytes=32.6,
    remote_span_bytes=3.0e6,
)


# --- measured on this machine ---------------------------------------------------------------------


def ignore(_frames: int) -> None:
    """Nobody asks how far a task has come."""


def tiled(clip: Path, film: Path, frames: int) -> None:
    """The clip's packets again and again as one film of so many frames, or a few more."""
    info = probe(clip)
    with av.open(str(film), "w") as out:
        with av.open(str(clip)) as opened:
            streams = {one.index: out.add_stream_from_template(one) for one in opened.streams}
            lasting = (opened.duration or 0) / av.time_base
        lasting = max(lasting, info.seconds + 1 / info.frames_per_second) + 0.05
        for number in range(math.ceil(frames / len(info.pts))):
            with av.open(str(clip)) as opened:
                for packet in opened.demux():
                    if packet.size:
                        later = round(number * lasting / packet.time_base)
                        packet.pts, packet.dts = packet.pts + later, packet.dts + later
                        packet.stream = streams[packet.stream.index]
                        out.mux_one(packet)


def copied_parts(plan: Plan, folder: Path) -> None:
    """A part for each span that holds the source's own packets."""
    stops, shift = [span.stop for span in plan.spans], part_shift(plan.info)
    outs: dict[int, tuple[Any, Any]] = {}
    with av.open(plan.info.path) as opened:
        source = opened.streams[plan.info.stream_index]
        for packet in opened.demux(source):
            if not packet.size:
                continue
            number = bisect_right(stops, packet.pts)
            if number not in outs:
                path = folder / f"part-{number:05}.nut"
                out = av.open(str(path), "w", options={"avoid_negative_ts": "disabled"})
                outs[number] = out, out.add_stream_from_template(source)
                if number >= 2:
                    outs[number - 2][0].close()
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = outs[number][1]
            outs[number][0].mux_one(packet)
    for out, _ in outs.values():
        out.close()


def read_and_written() -> tuple[int, int]:
    """Bytes that this process has read and written so far, cached ones too."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"]), int(told["wchar"])


class Prepared:
    """An executor whose tasks were done before: what takes time is the driver's own work.

    `seconds` of this process: until spans are analyzed, keeping what was found, linking, keeping
    parts; what follows the last mark is the mux.
    """

    workers = 1
    here = True

    def __init__(self, work: WorkDone, parts: Path) -> None:
        self._work, self._parts = work, parts
        self._mark = time.process_time()
        self.seconds: list[float] = []
        self.task_bytes: list[float] = []

    def close(self) -> None:
        """There is nothing to close."""

    def since_mark(self) -> float:
        """Seconds of this process since this was last asked."""
        before, self._mark = self._mark, time.process_time()
        return self._mark - before

    def map(
        self, _function: Callable[..., Any], tasks: Sequence[Any], **_: Any
    ) -> Iterator[Outcome[Any]]:
        """What the tasks would give."""
        if tasks:
            self.seconds.append(self.since_mark())
            done = [self._done(task) for task in tasks]
            self.task_bytes.append(sum(len(pickle.dumps(task, 5)) for task in tasks[:9]) / 9)
            self.since_mark()
            for number, result in enumerate(done):
                yield Outcome(number, result)
            self.seconds.append(self.since_mark())

    def _done(self, task: AnalyzeTask | RenderTask) -> SpanFaces | Part:
        if isinstance(task, AnalyzeTask):
            return self._work.repeated(task)
        os.link(self._parts / task.target.name, task.target)
        pts, span = task.info.pts, task.span
        return Part(
            span, str(task.target), bisect_left(pts, span.stop) - bisect_left(pts, span.start), 0
        )


@dataclass
class WorkDone:
    """What a worker did of a film that repeats its clip every `period` frames, and its seconds."""

    plan: Plan
    period: int
    first: int  # the repetition that it worked on
    found: list[SpanFaces]
    frames: int
    faces: int  # enhanced
    analyze_s: float
    plain_s: float
    render_s: float
    part_bytes: float
    found_bytes: float

    def repeated(self, task: AnalyzeTask) -> SpanFaces:
        """What would be found in a span of the film, by what was found in one repetition."""
        pts, span, period = self.plan.info.pts, task.span, self.period
        begin, end = bisect_left(pts, span.start), bisect_left(pts, span.stop)
        looks, cuts = [], set()
        for number in range(begin // period, (end - 1) // period + 1):
            ahead = (number - self.first) * period

            def there(time: int, ahead: int = ahead) -> int:
                return pts[min(max(bisect_left(pts, time) + ahead, 0), len(pts) - 1)]

            for found in self.found:
                cuts |= {there(cut) for cut in found.cuts}
                for look in found.detections:
                    at = bisect_left(pts, look.pts)
                    if at // period == self.first and begin <= at + ahead < end:
                        motion = tuple(replace(one, pts=there(one.pts)) for one in look.motion)
                        looks.append(replace(look, pts=there(look.pts), motion=motion))
        return SpanFaces(
            span=span,
            detections=tuple(looks),
            cuts=tuple(sorted(c for c in cuts if span.start <= c < span.stop)),
        )


def work_done(clip: Path, folder: Path, most: int) -> WorkDone:
    """Analyze and render some spans from the middle of a film that repeats the clip."""
    film = folder / f"{clip.stem}.mp4"
    tiled(clip, film, LONG)
    plan = make_plan(film, SETTINGS, target=folder / "none.mp4")
    info, period = plan.info, len(probe(clip).pts)
    first = len(info.pts) // period // 2
    start, stop = info.pts[first * period], info.pts[first * period + min(period, most)]
    spans = [span for span in plan.spans if span.stop > start and span.start < stop]
    looks_at = frozenset(anchors(info))
    tasks = [AnalyzeTask(info, span, looks_at, SETTINGS.detect, 1) for span in spans]

    def seconds(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
        before = time.process_time()
        made = work()
        return time.process_time() - before, made

    def render(what: Sequence[RenderTask]) -> list[Part]:
        return [render_span(task, ignore) for task in what]

    analyze_span(tasks[0], ignore)  # loads the networks
    analyze_s, found = seconds(lambda: [analyze_span(task, ignore) for task in tasks])
    tracks = link(found, detect=SETTINGS.detect, settings=SETTINGS.link, info=info)
    (folder / "rendered").mkdir(exist_ok=True)
    renders = [
        RenderTask(
            info,
            span,
            tracks_within(tracks, span, info),
            SETTINGS.restore,
            plan.encode,
            folder / "rendered" / f"{span.index}.nut",
        )
        for span in spans
    ]
    render(renders[:1])
    plain_s, _ = seconds(lambda: render([replace(task, tracks=()) for task in renders]))
    render_s, parts = seconds(lambda: render(renders))
    return WorkDone(
        plan=plan,
        period=period,
        first=first,
        found=found,
        frames=sum(part.frames for part in parts),
        faces=sum(part.faces for part in parts),
        analyze_s=analyze_s,
        plain_s=plain_s,
        render_s=render_s,
        part_bytes=sum(Path(part.path).stat().st_size for part in parts),
        found_bytes=sum(len(pickle.dumps(one, 5)) for one in found),
    )


def measure_workers(clips: Sequence[Path], folder: Path) -> tuple[dict[str, float], WorkDone]:
    """What workers take; and the work on the clip with most faces."""
    done = [work_done(clip, folder, 300) for clip in clips]
    faces = [one.faces / one.frames for one in done]
    each = [one.analyze_s / one.frames for one in done]
    most = done[faces.index(max(faces))]
    slope, base = (0.0, each[0]) if len(set(faces)) == 1 else np.polyfit(faces, each, 1)
    frames = sum(one.frames for one in done)
    return {
        "analyze_frame_s": float(base),
        "analyze_face_s": float(slope),
        "render_frame_s": sum(one.plain_s for one in done) / frames,
        "render_face_s": sum(one.render_s - one.plain_s for one in done if one.faces)
        / max(sum(one.faces for one in done), 1),
        "part_frame_bytes": sum(one.part_bytes for one in done) / frames,
        "faces_face_bytes": most.found_bytes / max(most.faces, 1),
        "faces_frame": max(faces),
    }, most


def measure_driver(done: WorkDone, folder: Path) -> dict[str, float]:
    """What a driver takes for a whole film whose spans come back at once."""
    film, frames = Path(done.plan.info.path), len(done.plan.info.pts)
    parts, target = folder / "parts", folder / "out.mp4"
    parts.mkdir()
    copied_parts(done.plan, parts)
    read, written = read_and_written()
    began = time.process_time()
    sha256_of(film)  # it is remembered
    size = film.stat().st_size
    sha_mb_s = (time.process_time() - began) / (size / MB)
    prepared = Prepared(done, parts)
    enhance(film, target, SETTINGS, executor=prepared)
    prepared.seconds.append(prepared.since_mark())
    read, written = (
        now - then for now, then in zip(read_and_written(), (read, written), strict=True)
    )
    probing, kept, linking, kept_too, muxing = prepared.seconds
    return {
        "probe_frame_s": probing / frames,
        "link_face_s": linking / (frames * done.faces / done.frames),
        "mux_frame_s": (muxing - sha_mb_s * target.stat().st_size / MB) / frames,
        "keep_task_s": (kept + kept_too) / len(done.plan.spans) / 2,
        "sha_mb_s": sha_mb_s,
        "source_frame_bytes": size / frames,
        "task_film_frame_bytes": sum(prepared.task_bytes) / 2 / frames,
        "driver_read_films": read / size,
        "driver_written_films": written / size,
    }


def measure_reading(short_film: Path, film: Path) -> dict[str, float]:
    """Bytes that a worker reads for one span in the middle, of a short film and of a long one."""
    from facepipe.workers import ray_files

    fetched = 0

    def fetch(self: Any, start: int, end: int) -> bytes:
        nonlocal fetched
        fetched += end - start
        with Path(ray_files._resolve(self.path)[1]).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def size(self: Any, path: str, **_: Any) -> dict[str, Any]:
        there = ray_files._resolve(self._strip_protocol(path))[1]
        return {"name": path, "size": Path(there).stat().st_size, "type": "file"}

    ray_files._connected["here"] = None  # the server is not asked: the files are here
    ray_files._RemoteFile._fetch_range, ray_files._RemoteFileSystem.info = fetch, size
    told: list[tuple[int, int, int]] = []
    for path in (short_film, film):
        plan = make_plan(path, SETTINGS)
        span = plan.spans[len(plan.spans) // 2]
        before = read_and_written()[0]
        frames = sum(1 for _ in decode(plan.info, span))
        here = read_and_written()[0] - before
        fetched = 0
        away = replace(plan.info, path=f"{ray_files._SCHEME}://here{path}")
        assert frames == sum(1 for _ in decode(away, span))
        told.append((len(plan.info.pts), here, fetched))
    (short, here, remote_short), (long, there, remote_long) = told
    slope = (remote_long - remote_short) / (long - short)
    return {
        "index_film_frame_bytes": (there - here) / (long - short),
        "remote_film_frame_bytes": slope,
        "remote_span_bytes": remote_long - slope * long,
    }


@dataclass(frozen=True)
class Nothing:
    """A task that does nothing: it is sent, waits, and brings so many bytes."""

    output_folder: Path
    load: tuple[int, ...] = ()
    seconds: float = 0.0
    bytes: int = 0
    folder: Path | None = None

    def for_remote(self, _address: Callable[[str], str], folder: Path) -> Nothing:
        """See RemoteTask."""
        return replace(self, folder=folder)


def nothing(task: Nothing, _progress: Callable[[int], None]) -> None:
    """Do a task that does nothing."""
    time.sleep(task.seconds)
    if task.folder and task.bytes:
        (task.folder / "part").write_bytes(bytes(task.bytes))


def measure_dispatch(film: Path, folder: Path) -> dict[str, float]:
    """Seconds of a driver's thread for tasks on Ray, and of the file server for what it sends."""

    import psutil
    import ray

    from facepipe.workers.dispatch import _POLL_SECONDS
    from facepipe.workers.ray_executor import RayExecutor

    def each(tasks: Sequence[Nothing]) -> float:
        before = time.thread_time()
        for outcome in executor.map(nothing, tasks, progress=ignore):
            assert outcome.error is None, outcome.error
        return (time.thread_time() - before) / len(tasks)

    pts = probe(film).pts
    with journal(folder / "journal.jsonl"), RayExecutor("local", workers=2) as executor:
        each([Nothing(folder)] * 30)
        task_s = each([Nothing(folder)] * 300)
        sent_s = each([Nothing(folder, load=pts)] * 100)
        brought_s = each([Nothing(folder, bytes=10**6)] * 100)
        waited = 4.0
        looking_s = each([Nothing(folder, seconds=waited)]) - task_s
        server: Any = executor._engine._file_server._reader  # type: ignore[union-attr]
        below = psutil.Process().children(recursive=True)
        process = next(one for one in below if "_Librarian" in " ".join(one.cmdline()))
        used = sum(process.cpu_times()[:2])
        for _ in range(200):
            ray.get(server.read.remote(str(film), 0, 2**20))
        serve_s = (sum(process.cpu_times()[:2]) - used) / (200 * 2**20 / MB)
    load = len(pickle.dumps(Nothing(folder, load=pts), 5)) / MB
    return {
        "dispatch_task_s": task_s,
        "sent_mb_s": (sent_s - task_s) / load,
        "brought_mb_s": brought_s - task_s,
        "look_s": looking_s / (waited / _POLL_SECONDS),
        "looks_apart_s": _POLL_SECONDS,
        "serve_mb_s": serve_s,
    }


def measure(clips: Sequence[Path]) -> Times:
    """All of Times, on this machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workers, done = measure_workers(clips, folder)
        film, short = Path(done.plan.info.path), folder / "short.mp4"
        tiled(next(clip for clip in clips if clip.stem == film.stem), short, SHORT)
        told = workers | measure_driver(done, folder) | measure_reading(short, film)
        return Times(**told | measure_dispatch(film, folder))


# --- and simulated --------------------------------------------------------------------------------

CORES = 16
GROUP = 48  # spans that go to a node at once
FRAMES_A_SECOND = 25
HANDED_OVER = 3  # looks of all other threads that a hand-over waits for, where they fill the time
NODE_LIVES_S = 30 * 86400.0
PREEMPTED_S, REPLACED_S, NOTICED_S = 7200.0, 120.0, 30.0


@dataclass(frozen=True)
class Cluster:
    """What the films run on. `drivers` share the store, and nodes and films evenly."""

    nodes: int
    drivers: int
    shared: bool
    network_bytes: float  # a second, of each driver
    store_bytes: float  # a second, of the shared store, or of a serving driver's disk


class Line:
    """Serves one request after another, those of spans ahead of those of films."""

    def __init__(self) -> None:
        self.spans = self.all = self.busy = 0.0

    def take(self, now: float, seconds: float, *, ahead: bool = False) -> float:
        """When a request that comes now will be served."""
        self.busy += seconds
        self.all = max(self.all, now) + seconds
        if not ahead:
            return self.all
        self.spans = max(self.spans, now) + seconds
        return self.spans


@dataclass(frozen=True)
class Need:
    """What one span of a pass needs: of a core, of its driver's lines and of the store."""

    core_s: float
    python_s: float
    network_bytes: float
    served_mb: float
    store_bytes: float


@dataclass(frozen=True)
class Step:
    """What a driver does itself for a film: its Python, another core, bytes of the store."""

    python_s: float
    sha_s: float
    bytes: float


@dataclass(eq=False)
class Pass:
    """One pass over one film: when its last span is back, `over` happens."""

    need: Need
    left: int
    over: simpy.Event


class Driver:
    """One driver, its films and its nodes."""

    def __init__(self, world: World, films: Sequence[int], nodes: int) -> None:
        self.world, self.films = world, deque(films)
        self.python, self.network, self.file_server = Line(), Line(), Line()
        self.ready: list[tuple[Pass, int]] = []
        self.idle: deque[simpy.Event] = deque()
        self.hands = min(nodes * CORES, len(films))
        look = world.times.look_s * self.hands - world.times.looks_apart_s
        self.hand_over_s = HANDED_OVER * max(look, 0.0)
        threads = [world.process(self.thread()) for _ in range(self.hands)]
        world.process(self.end(threads))
        for _ in range(nodes):
            world.process(self.node())

    def thread(self) -> Generator[simpy.Event, Any, None]:
        """One film after another: what a thread of `facepipe batch` does."""
        world = self.world
        while self.films:
            frames = self.films.popleft()
            probed, linked, muxed = world.steps(frames)
            yield self.alone(probed)
            yield self.spans(frames, world.analyze_need(frames))
            yield self.alone(linked)
            yield self.spans(frames, world.render_need(frames))
            yield self.alone(muxed)

    def end(self, threads: Sequence[simpy.Event]) -> Generator[simpy.Event, Any, None]:
        """Send the nodes away when all is done."""
        yield self.world.all_of(threads)
        self.world.last = self.world.now
        self.films.clear()
        for event in self.idle:
            event.succeed(None)

    def alone(self, step: Step) -> simpy.Event:
        """What the driver does itself for a film."""
        world, now = self.world, self.world.now
        ends = [self.python.take(now, step.python_s)]
        ends.append(world.store_of(self).take(now, step.bytes / world.cluster.store_bytes))
        if world.cluster.shared:
            ends.append(self.network.take(now, step.bytes / world.cluster.network_bytes))
        return world.timeout(max(ends) - now + step.sha_s)

    def spans(self, frames: int, need: Need) -> simpy.Event:
        """Hand out all spans of a film; what happens when they are back."""
        count = max(frames // SPAN_FRAMES, 1)
        made = Pass(need, count, self.world.event())
        for begin in range(0, count, GROUP):
            self.put(made, min(GROUP, count - begin))
        return made.over

    def put(self, made: Pass, count: int) -> None:
        """Have spans worked on by an idle node, or the next that is."""
        if self.idle:
            self.idle.popleft().succeed((made, count))
        else:
            self.ready.append((made, count))

    def put_later(self, made: Pass, count: int) -> Generator[simpy.Event, Any, None]:
        """The same once it was noticed that they are lost."""
        yield self.world.timeout(NOTICED_S)
        self.put(made, count)

    def node(self) -> Generator[simpy.Event, Any, None]:
        """Work on one group after another; die, and be replaced."""
        world = self.world
        dies = world.now + world.life()
        while True:
            if self.ready:
                at = world.chance.randrange(len(self.ready))
                self.ready[at], self.ready[-1] = self.ready[-1], self.ready[at]
                made, count = self.ready.pop()
            else:
                self.idle.append(world.event())
                given = yield self.idle[-1]
                if given is None:
                    return
                made, count = given
            if world.now >= dies:  # it died while it had nothing to do
                world.process(self.put_later(made, count))
            else:
                now, core_s = world.now, made.need.core_s
                end = self.worked(made.need, count)
                yield world.timeout(min(end, dies) - now)
                share = min((dies - now) / (end - now), 1.0)
                done = count if share == 1 else max(int(share * count - CORES / 2), 0)
                world.useful_s += done * core_s
                made.left -= done
                if share == 1:
                    if not made.left:
                        made.over.succeed()
                    continue
                world.lost_s += min(share * count - done, CORES) * core_s
                world.process(self.put_later(made, count - done))
            yield world.timeout(REPLACED_S)
            dies = world.now + world.life()

    def worked(self, need: Need, count: int) -> float:
        """When so many spans that are begun now will be done and back."""
        world, now, cluster = self.world, self.world.now, self.world.cluster
        rounds = max(count / CORES, 1.0)
        uses = (
            (self.python, need.python_s),
            (self.network, need.network_bytes / cluster.network_bytes),
            (self.file_server, need.served_mb * world.times.serve_mb_s),
            (world.store_of(self), need.store_bytes / cluster.store_bytes),
        )
        back = [line.take(now, count * seconds, ahead=True) for line, seconds in uses]
        return max(now + rounds * (need.core_s + self.hand_over_s), *back)


class World(simpy.Environment):
    """All drivers of a cluster at work on all films. `films` in frames."""

    def __init__(
        self, times: Times, cluster: Cluster, films: Sequence[int], faces: float, seed: int
    ) -> None:
        super().__init__()
        self.times, self.cluster, self.faces = times, cluster, faces
        self.chance = random.Random(seed)
        self.useful_s = self.lost_s = self.last = 0.0
        self.store = Line()
        self.disks: dict[Driver, Line] = {}
        films, count = sorted(films, reverse=True), cluster.drivers
        self.drivers = [
            Driver(self, films[k::count], len(range(k, cluster.nodes, count))) for k in range(count)
        ]

    def life(self) -> float:
        """Seconds until a node fails or is preempted."""
        return self.chance.expovariate(1 / NODE_LIVES_S + 1 / PREEMPTED_S)

    def store_of(self, driver: Driver) -> Line:
        """Where the films of a driver lie."""
        return self.store if self.cluster.shared else self.disks.setdefault(driver, Line())

    def steps(self, frames: int) -> tuple[Step, Step, Step]:
        """Probing, linking and muxing a film."""
        times, part = self.times, frames * self.times.part_frame_bytes
        source = frames * times.source_frame_bytes
        # Read of the source: to probe, to hash, to copy its sound; of what was made of it the rest.
        moved = part * (times.driver_read_films - 3 + times.driver_written_films)
        return (
            Step(frames * times.probe_frame_s, times.sha_mb_s * source / MB, 2 * source),
            Step(frames * self.faces * times.link_face_s, 0, 0),
            Step(frames * times.mux_frame_s, times.sha_mb_s * part / MB, source + moved),
        )

    def analyze_need(self, frames: int) -> Need:
        """Of one span of a film of so many frames."""
        times = self.times
        core_s = SPAN_FRAMES * (times.analyze_frame_s + times.analyze_face_s * self.faces)
        return self._need(frames, core_s, SPAN_FRAMES * self.faces * times.faces_face_bytes, 0.0)

    def render_need(self, frames: int) -> Need:
        """The same of the second pass."""
        times = self.times
        core_s = SPAN_FRAMES * (times.render_frame_s + times.render_face_s * self.faces)
        return self._need(frames, core_s, 0.0, SPAN_FRAMES * times.part_frame_bytes)

    def _need(self, frames: int, core_s: float, result: float, part: float) -> Need:
        times = self.times
        task, opened = frames * times.task_film_frame_bytes, frames * times.index_film_frame_bytes
        read, served = opened + SPAN_FRAMES * times.source_frame_bytes, 0.0
        python_s = times.dispatch_task_s + times.keep_task_s + times.sent_mb_s * task / MB
        network = task + result
        if not self.cluster.shared:
            read = served = times.remote_span_bytes + frames * times.remote_film_frame_bytes
            network += served + part
            result += part
        python_s += times.brought_mb_s * result / MB
        return Need(core_s, python_s, network, served / MB, read + part)

    def told(self) -> str:
        """A cell of the table."""
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
        told = f"{wall / 3600:.1f} h, {busy['workers']:.0%}, {lost:.2%}, {limit}"
        return told + (f" {busy[limit]:.0%}" if limit != "workers" else "")


def films_of(hours: float, seed: int) -> list[int]:
    """Films of an hour on average, in frames."""
    chance, spread = random.Random(seed), 0.5
    films: list[int] = []
    while sum(films) < hours * 3600 * FRAMES_A_SECOND:
        length = chance.lognormvariate(-(spread**2) / 2, spread)
        films.append(max(int(length * 3600 * FRAMES_A_SECOND), SPAN_FRAMES))
    return films


def print_hour(times: Times, faces: float) -> None:
    """What an hour of film takes, of which a driver has but one: so many cores keep it busy."""
    frames, spans = 3600 * FRAMES_A_SECOND, 3600 * FRAMES_A_SECOND // SPAN_FRAMES
    serves, shares = (
        World(times, Cluster(1, 1, shared, 1, 1), [], faces, 0) for shared in (False, True)
    )
    probed, linked, muxed = shares.steps(frames)
    near, far = (
        (world.analyze_need(frames), world.render_need(frames)) for world in (shares, serves)
    )
    looked, rendered = (spans * need.core_s for need in near)
    tasks = spans * sum(need.python_s for need in near)
    python = tasks + probed.python_s + linked.python_s + muxed.python_s
    served = spans * sum(need.served_mb for need in far)
    own = probed.bytes + muxed.bytes
    sent = spans * sum(need.network_bytes for need in near)
    read = spans * sum(need.store_bytes for need in near)
    print(f"| an hour of film, {faces:.2f} faces a frame | |\n|---|---|")
    print(f"| workers: analyze, render | {looked:.0f} + {rendered:.0f} core seconds |")
    print(f"| driver's Python: probe | {probed.python_s:.1f} s |")
    print(f"| link, analysis.json | {linked.python_s:.1f} s |")
    print(f"| mux, read back, report | {muxed.python_s:.1f} s |")
    print(f"| {2 * spans} tasks | {tasks:.1f} s |")
    print(f"| all of it | {python:.1f} s: {(looked + rendered) / python:.0f} cores keep it busy |")
    print(f"| file server | {served / 1e3:.1f} GB, {served * times.serve_mb_s:.1f} s |")
    print(
        f"| driver's network, --shared | {own / 1e9:.1f} GB of films, {sent / 1e9:.1f} of tasks |"
    )
    print(f"| store, --shared | {own / 1e9:.1f} GB to the driver, {read / 1e9:.1f} to workers |")
    print(f"| memory of a film in hand | {frames * faces * times.faces_face_bytes / MB:.0f} MB |\n")


def simulate(asked: argparse.Namespace) -> None:
    times = Times(**json.loads(asked.times.read_text())) if asked.times else MEASURED
    faces = times.faces_frame if asked.faces is None else asked.faces
    if asked.mbit:
        source = asked.mbit * MB / 8 / FRAMES_A_SECOND
        part = source * times.part_frame_bytes / times.source_frame_bytes
        served = times.remote_span_bytes + SPAN_FRAMES * (source - times.source_frame_bytes)
        times = replace(
            times, source_frame_bytes=source, part_frame_bytes=part, remote_span_bytes=served
        )
    print_hour(times, faces)
    films = films_of(asked.hours, asked.seed)
    rates = asked.network * 1e9 / 8, asked.store * 1e9
    each = asked.nodes_a_driver
    print(f"{len(films)} films, {faces:.2f} faces a frame, {CORES} cores a node, seed {asked.seed}")
    print(f"| nodes | 1 driver serves | 1 driver, --shared | a driver for {each} nodes, --shared |")
    print("|---|---|---|---|")
    for nodes in asked.nodes:
        cells = []
        for drivers, shared in ((1, False), (1, True), (math.ceil(nodes / each), True)):
            cluster = Cluster(nodes, drivers, shared, *rates)
            cells.append(World(times, cluster, films, faces, asked.seed).told())
        print(f"| {nodes} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("simulate",), default="simulate")
    parser.add_argument("--measure", nargs="+", type=Path, metavar="CLIP", help="print times.json")
    parser.add_argument("--times", type=Path, help="a JSON that --measure printed")
    parser.add_argument("--hours", type=float, default=10_000)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--nodes-a-driver", type=int, default=5)
    parser.add_argument("--faces", type=float, help="a frame; those of the clip")
    parser.add_argument("--mbit", type=float, help="a second of film; that of the clip")
    parser.add_argument("--network", type=float, default=10, help="of a driver, Gbit/s")
    parser.add_argument("--store", type=float, default=5, help="of a store or disk, GB/s")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.measure:
        json.dump(asdict(measure(asked.measure)), sys.stdout, indent=2)
    else:
        simulate(asked)


if __name__ == "__main__":
    main()
