"""Measure on this machine what each step of facepipe costs; prints the JSON that simulate.py reads.

    OMP_NUM_THREADS=1 python benchmarks/cluster/measure.py CLIP... > times.json

It needs `pip install 'facepipe[cluster]'`. docs/scale.md explains the results.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from times import MB, Times

from facepipe._system.files import sha256_of
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

SETTINGS = Settings()
SHORT, LONG = 9_000, 45_000  # frames of the videos that clips are repeated to


def ignore(_frames: int) -> None:
    """Progress that nobody watches."""


def repeat_clip(clip: Path, video: Path, frames: int) -> None:
    """Repeat the packets of a clip as one video of at least so many frames."""
    info = probe(clip)
    with av.open(str(video), "w") as out:
        with av.open(str(clip)) as opened:
            streams = {one.index: out.add_stream_from_template(one) for one in opened.streams}
            seconds_each = (opened.duration or 0) / av.time_base
        seconds_each = max(seconds_each, info.seconds + 1 / info.frames_per_second) + 0.05
        for number in range(math.ceil(frames / len(info.pts))):
            with av.open(str(clip)) as opened:
                for packet in opened.demux():
                    if packet.size:
                        later = round(number * seconds_each / packet.time_base)
                        packet.pts, packet.dts = packet.pts + later, packet.dts + later
                        packet.stream = streams[packet.stream.index]
                        out.mux_one(packet)


def copy_parts(plan: Plan, folder: Path) -> None:
    """Write a part for each span, of the source's own packets."""
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


def io_bytes() -> tuple[int, int]:
    """Bytes that this process has read and written so far, cached ones included."""
    results = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(results["rchar"]), int(results["wchar"])


class PreparedExecutor:
    """An executor with precomputed results, so that only the driver's own work takes time.

    `seconds` of CPU time of this process, by step: probing, keeping detections, linking, keeping
    parts, and, after the last mark, muxing.
    """

    workers = 1
    here = shared = True

    def __init__(self, work: ClipWork, parts: Path) -> None:
        self._work, self._parts = work, parts
        self._mark = time.process_time()
        self.seconds: list[float] = []
        self.task_bytes: list[float] = []

    def close(self) -> None:
        """There is nothing to close."""

    def since_mark(self) -> float:
        """CPU seconds of this process since the last call."""
        before, self._mark = self._mark, time.process_time()
        return self._mark - before

    def map(
        self, _function: Callable[..., Any], tasks: Sequence[Any], **_: Any
    ) -> Iterator[Outcome[Any]]:
        """Yield the precomputed results."""
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
            return self._work.detections_of(task)
        os.link(self._parts / task.target.name, task.target)
        pts, span = task.info.pts, task.span
        return Part(
            span, str(task.target), bisect_left(pts, span.stop) - bisect_left(pts, span.start), 0
        )


@dataclass
class ClipWork:
    """Results and CPU seconds of a worker; the video repeats its clip every `period` frames."""

    plan: Plan
    period: int
    first: int  # the repetition that was measured
    found: list[SpanFaces]
    frames: int
    faces: int  # enhanced
    analyze_s: float
    plain_s: float
    render_s: float
    part_bytes: float
    detections_bytes: float

    def detections_of(self, task: AnalyzeTask) -> SpanFaces:
        """The detections in a span of the video, by those in one repetition of the clip."""
        pts, span, period = self.plan.info.pts, task.span, self.period
        first_frame, end = bisect_left(pts, span.start), bisect_left(pts, span.stop)
        detections, cuts = [], set()
        for number in range(first_frame // period, (end - 1) // period + 1):
            shift = (number - self.first) * period

            def shifted(time: int, shift: int = shift) -> int:
                return pts[min(max(bisect_left(pts, time) + shift, 0), len(pts) - 1)]

            for found in self.found:
                cuts |= {shifted(cut) for cut in found.cuts}
                for detection in found.detections:
                    at = bisect_left(pts, detection.pts)
                    if at // period == self.first and first_frame <= at + shift < end:
                        motion = tuple(
                            replace(one, pts=shifted(one.pts)) for one in detection.motion
                        )
                        detections.append(
                            replace(detection, pts=shifted(detection.pts), motion=motion)
                        )
        return SpanFaces(
            span=span,
            detections=tuple(detections),
            cuts=tuple(sorted(c for c in cuts if span.start <= c < span.stop)),
        )


def measure_clip(clip: Path, folder: Path, max_frames: int) -> ClipWork:
    """Analyze and render some spans from the middle of a video that repeats the clip."""
    video = folder / f"{clip.stem}.mp4"
    repeat_clip(clip, video, LONG)
    plan = make_plan(video, SETTINGS, target=folder / "none.mp4")
    info, period = plan.info, len(probe(clip).pts)
    first = len(info.pts) // period // 2
    start, stop = info.pts[first * period], info.pts[first * period + min(period, max_frames)]
    spans = [span for span in plan.spans if span.stop > start and span.start < stop]
    detection_anchors = frozenset(anchors(info))
    tasks = [AnalyzeTask(info, span, detection_anchors, SETTINGS.detect, 1) for span in spans]

    def seconds(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
        before = time.process_time()
        result = work()
        return time.process_time() - before, result

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
    return ClipWork(
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
        detections_bytes=sum(len(pickle.dumps(one, 5)) for one in found),
    )


def measure_workers(clips: Sequence[Path], folder: Path) -> tuple[dict[str, float], ClipWork]:
    """Costs of workers; and the work on the clip with most faces."""
    done = [measure_clip(clip, folder, 300) for clip in clips]
    faces = [one.faces / one.frames for one in done]
    seconds_a_task = [one.analyze_s / one.frames for one in done]
    max_frames = done[faces.index(max(faces))]
    slope, base = (
        (0.0, seconds_a_task[0]) if len(set(faces)) == 1 else np.polyfit(faces, seconds_a_task, 1)
    )
    frames = sum(one.frames for one in done)
    return {
        "analyze_frame_s": float(base),
        "analyze_face_s": float(slope),
        "render_frame_s": sum(one.plain_s for one in done) / frames,
        "render_face_s": sum(one.render_s - one.plain_s for one in done if one.faces)
        / max(sum(one.faces for one in done), 1),
        "part_frame_bytes": sum(one.part_bytes for one in done) / frames,
        "detections_face_bytes": max_frames.detections_bytes / max(max_frames.faces, 1),
        "faces_frame": max(faces),
    }, max_frames


def measure_driver(done: ClipWork, folder: Path) -> dict[str, float]:
    """Costs of a driver for a whole video whose spans come back at once."""
    video, frames = Path(done.plan.info.path), len(done.plan.info.pts)
    parts, target = folder / "parts", folder / "out.mp4"
    parts.mkdir()
    copy_parts(done.plan, parts)
    read, written = io_bytes()
    began = time.process_time()
    sha256_of(video)  # the result is cached
    size = video.stat().st_size
    sha_mb_s = (time.process_time() - began) / (size / MB)
    executor = PreparedExecutor(done, parts)
    enhance(video, target, SETTINGS, executor=executor)
    executor.seconds.append(executor.since_mark())
    read, written = (now - then for now, then in zip(io_bytes(), (read, written), strict=True))
    probing, kept, linking, kept_too, muxing = executor.seconds
    return {
        "probe_frame_s": probing / frames,
        "link_face_s": linking / (frames * done.faces / done.frames),
        "mux_frame_s": (muxing - sha_mb_s * target.stat().st_size / MB) / frames,
        "keep_task_s": (kept + kept_too) / len(done.plan.spans) / 2,
        "sha_mb_s": sha_mb_s,
        "source_frame_bytes": size / frames,
        "task_video_frame_bytes": sum(executor.task_bytes) / 2 / frames,
        "driver_read_videos": read / size,
        "driver_written_videos": written / size,
    }


def measure_reading(short_video: Path, video: Path) -> dict[str, float]:
    """Bytes that a worker reads for one span in the middle of a short video and of a long one."""
    from facepipe.workers import ray_files

    fetched = 0

    def fetch(self: Any, start: int, end: int) -> bytes:
        nonlocal fetched
        fetched += end - start
        with Path(ray_files._resolve(self.path)[1]).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def size(self: Any, path: str, **_: Any) -> dict[str, Any]:
        local = ray_files._resolve(self._strip_protocol(path))[1]
        return {"name": path, "size": Path(local).stat().st_size, "type": "file"}

    ray_files._connected["here"] = None  # the file server is not used: the files are here
    ray_files._RemoteFile._fetch_range, ray_files._RemoteFileSystem.info = fetch, size
    results: list[tuple[int, int, int]] = []
    for path in (short_video, video):
        plan = make_plan(path, SETTINGS)
        span = plan.spans[len(plan.spans) // 2]
        before = io_bytes()[0]
        frames = sum(1 for _ in decode(plan.info, span))
        here = io_bytes()[0] - before
        fetched = 0
        away = replace(plan.info, path=f"{ray_files._SCHEME}://here{path}")
        assert frames == sum(1 for _ in decode(away, span))
        results.append((len(plan.info.pts), here, fetched))
    (short, here, served_short), (long, shifted, served_long) = results
    slope = (served_long - served_short) / (long - short)
    return {
        "index_video_frame_bytes": (shifted - here) / (long - short),
        "served_video_frame_bytes": slope,
        "served_span_bytes": served_long - slope * long,
    }


@dataclass(frozen=True)
class EmptyTask:
    """A task that does nothing: it is sent, waits, and returns so many bytes."""

    output_folder: Path
    load: tuple[int, ...] = ()
    seconds: float = 0.0
    bytes: int = 0
    folder: Path | None = None

    def for_remote(self, _address: Callable[[str], str], folder: Path) -> EmptyTask:
        """See RemoteTask."""
        return replace(self, folder=folder)


def run_empty_task(task: EmptyTask, _progress: Callable[[int], None]) -> None:
    """Wait, and write the bytes."""
    time.sleep(task.seconds)
    if task.folder and task.bytes:
        (task.folder / "part").write_bytes(bytes(task.bytes))


def measure_dispatch(video: Path, folder: Path) -> dict[str, float]:
    """Seconds of a driver's thread for tasks on Ray, and of the file server for what it serves."""

    import psutil
    import ray

    from facepipe.workers.dispatch import _POLL_SECONDS
    from facepipe.workers.ray_executor import RayExecutor

    def seconds_a_task(tasks: Sequence[EmptyTask]) -> float:
        before = time.thread_time()
        for outcome in executor.map(run_empty_task, tasks, progress=ignore):
            assert outcome.error is None, outcome.error
        return (time.thread_time() - before) / len(tasks)

    pts = probe(video).pts
    with journal(folder / "journal.jsonl"), RayExecutor("local", workers=2) as executor:
        seconds_a_task([EmptyTask(folder)] * 30)
        task_s = seconds_a_task([EmptyTask(folder)] * 300)
        send_s = seconds_a_task([EmptyTask(folder, load=pts)] * 100)
        receive_s = seconds_a_task([EmptyTask(folder, bytes=10**6)] * 100)
        waiting_s = 4.0
        polling_s = seconds_a_task([EmptyTask(folder, seconds=waiting_s)]) - task_s
        file_server: Any = executor._engine._file_server._reader  # type: ignore[union-attr]
        children = psutil.Process().children(recursive=True)
        process = next(one for one in children if "_FileReader" in " ".join(one.cmdline()))
        cpu_before = sum(process.cpu_times()[:2])
        for _ in range(200):
            ray.get(file_server.read.remote(str(video), 0, 2**20))
        lend_s = (sum(process.cpu_times()[:2]) - cpu_before) / (200 * 2**20 / MB)
    load = len(pickle.dumps(EmptyTask(folder, load=pts), 5)) / MB
    return {
        "dispatch_task_s": task_s,
        "send_mb_s": (send_s - task_s) / load,
        "receive_mb_s": receive_s - task_s,
        "poll_s": polling_s / (waiting_s / _POLL_SECONDS),
        "poll_interval_s": _POLL_SECONDS,
        "serve_mb_s": lend_s,
    }


def measure(clips: Sequence[Path]) -> Times:
    """Measure all of Times on this machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workers, done = measure_workers(clips, folder)
        video, short = Path(done.plan.info.path), folder / "short.mp4"
        repeat_clip(next(clip for clip in clips if clip.stem == video.stem), short, SHORT)
        results = workers | measure_driver(done, folder) | measure_reading(short, video)
        return Times(**results | measure_dispatch(video, folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    json.dump(asdict(measure(parser.parse_args().clips)), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
