"""Search of a part of a video, for a preview: whole where it is short, at telling places if not.

First single keyframes are searched all over the video. Where they show most faces, a second of it
is searched as a run searches it.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Span, SpanFaces, VideoInfo
from facepipe.errors import FacepipeError
from facepipe.faces.tracking.link import link
from facepipe.pipeline import api
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.passes import Event, slim_info
from facepipe.pipeline.preflight import Plan, alignment_of
from facepipe.pipeline.selection import choose
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.tasks import AnalyzeTask, analyze_span
from facepipe.workers.base import Executor

#: Pixels of all frames up to which a video is searched whole: about ten seconds of 640x360.
WHOLE_PIXELS = 80e6
#: Pixels that are searched in single frames, and in stretches of a second.
_LOOK_PIXELS, _STRETCH_PIXELS = 50e6, 300e6
_LOOKS, _STRETCHES = (6, 24), (2, 8)  # least and most of each
_STRETCH_SECONDS = 1.0
#: Frames of a stretch, at most: of a video of a high rate it is shorter.
_STRETCH_FRAMES = 30
#: What a face counts that is too large to be enhanced, beside one that is not.
_TOO_LARGE = 0.2

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Sample:
    """What was found, and the seconds of the video that were searched; `whole`: all of them."""

    analysis: Analysis
    seconds: float
    whole: bool


def search_sample(
    source: Path,
    plan: Plan,
    settings: Settings,
    executor: Executor,
    on_event: OnEvent | None = None,
) -> Sample:
    """Find the faces of as much of the source as a preview needs. Errors: as `api.analyze`."""
    info = plan.info
    start, stop = plan.spans[0].start, plan.spans[-1].stop
    frames = [pts for pts in info.pts if start <= pts < stop]
    seconds = float((frames[-1] - frames[0]) * info.time_base)
    pixels = info.width * info.height
    if len(frames) * pixels <= WHOLE_PIXELS:
        return Sample(_whole(source, settings, executor, on_event), seconds, whole=True)
    looks = _spread(_possible(info, start, stop), _between(_LOOK_PIXELS / pixels, *_LOOKS))
    length = max(min(_STRETCH_FRAMES, round(info.frames_per_second * _STRETCH_SECONDS)), 2)
    stretches = _between(_STRETCH_PIXELS / pixels / length, *_STRETCHES)
    seen = _searched(info, [Span(k, pts, pts + 1) for k, pts in enumerate(looks)], settings,
                     executor, on_event, "look")  # fmt: skip
    canvas = alignment_of(settings).largest_face
    largest = settings.detect.max_face or canvas
    chosen = _most_telling(seen, stretches, largest)
    spans = _spans(info, chosen, length, stop)
    found = _searched(info, spans, settings, executor, on_event, "analyze")
    # A stretch is a shot of its own: what lies between it and the next was not seen.
    parts = [replace(one, cuts=tuple(sorted({one.span.start, *one.cuts}))) for one in found]
    tracks = link(parts, detect=settings.detect, settings=settings.link, info=info, largest=canvas)
    analysis = Analysis(
        source_sha256="",
        time_base=info.time_base,
        frames=len(info.pts),
        width=info.width,
        height=info.height,
        tracks=choose(tracks, settings.choose, info),
        cuts=tuple(sorted({cut for part in parts for cut in part.cuts})),
        stream=info.stream_index,
    )
    searched = sum(float((span.stop - span.start) * info.time_base) for span in spans)
    return Sample(analysis, searched, whole=False)


def _whole(
    source: Path, settings: Settings, executor: Executor, on_event: OnEvent | None
) -> Analysis:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "analysis.json"
        api.analyze(source, target, settings, executor=executor, on_event=on_event)
        return read_analysis(target, settings.limits)


def _between(value: float, least: int, most: int) -> int:
    return int(min(max(value, least), most))


def _possible(info: VideoInfo, start: int, stop: int) -> list[int]:
    """The pts at which a look may be taken: keyframes, or where these are few, any frames."""
    possible = [pts for pts in anchors(info) if start <= pts < stop]
    if len(possible) >= _LOOKS[0]:
        return possible
    inside = info.pts[bisect_left(info.pts, start) : bisect_left(info.pts, stop)]
    return list(inside[:: max(len(inside) // _LOOKS[1], 1)])


def _spread(values: Sequence[int], count: int) -> list[int]:
    """`count` of the values at most, evenly spread, the first and the last not among them."""
    if len(values) <= count:
        return list(values)
    places = (np.arange(count) + 0.5) * len(values) / count
    return [values[int(place)] for place in places]


def _searched(
    info: VideoInfo,
    spans: Sequence[Span],
    settings: Settings,
    executor: Executor,
    on_event: OnEvent | None,
    stage: str,
) -> list[SpanFaces]:
    """Search spans as the analyze pass does; by the span's number."""
    slim = slim_info(info)
    tasks = [
        AnalyzeTask(slim, span, frozenset({span.start}), settings.detect, beyond=0)
        for span in spans
    ]
    total = sum(
        bisect_left(info.pts, span.stop) - bisect_left(info.pts, span.start) for span in spans
    )
    done = 0

    def progress(frames: int) -> None:
        nonlocal done
        done += frames
        if on_event:
            on_event(Event(stage, min(done, total), total))

    found: dict[int, SpanFaces] = {}
    for outcome in executor.map(analyze_span, tasks, progress=progress):
        if outcome.result is None:
            raise outcome.error or FacepipeError(f"{info.path}: nothing could be searched")
        found[outcome.number] = outcome.result
    return [found[number] for number in sorted(found)]


def _most_telling(seen: Sequence[SpanFaces], count: int, largest: float) -> list[int]:
    """The pts of the `count` looks that show most, each further one less like those before it.

    A face counts by its score, less where its size was shown before, and little where it is larger
    than `largest`, so that it is not enhanced.
    """
    sizes = {one.span.start: _sizes(one, largest) for one in seen}
    chosen: list[int] = []
    shown: dict[int, int] = {}
    while len(chosen) < min(count, len(seen)):
        left = [pts for pts in sizes if pts not in chosen]

        def worth(pts: int) -> tuple[float, int]:
            return sum(score / (1 + shown.get(size, 0)) for size, score in sizes[pts]), -pts

        best = max(left, key=worth)
        chosen.append(best)
        for size, _ in sizes[best]:
            shown[size] = shown.get(size, 0) + 1
    return sorted(chosen)


def _sizes(seen: SpanFaces, largest: float) -> list[tuple[int, float]]:
    """The faces of a look: their size in steps of half an octave, and what they count."""
    found = []
    for one in seen.detections:
        sides = one.faces.boxes[:, 2:] - one.faces.boxes[:, :2]
        sizes = np.sqrt(np.maximum(sides.prod(1), 1))
        counts = one.faces.scores * np.where(sizes <= largest, 1.0, _TOO_LARGE)
        steps = np.rint(2 * np.log2(sizes)).astype(int)
        found += list(zip(steps.tolist(), counts.tolist(), strict=True))
    return found


def _spans(info: VideoInfo, begins: Sequence[int], length: int, stop: int) -> list[Span]:
    """A span of `length` frames from each begin on, up to the next begin or to `stop`."""
    spans = []
    for number, begin in enumerate(begins):
        at = bisect_left(info.pts, begin)
        end = info.pts[at + length] if at + length < len(info.pts) else info.pts[-1] + 1
        following = begins[number + 1] if number + 1 < len(begins) else stop
        spans.append(Span(number, begin, min(end, following, stop)))
    return spans
