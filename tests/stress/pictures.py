"""Whether a target's pictures are worse than those that its source shows, read from end to end."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video.pyav.texts import TEXTS

_SIZE = (32, 18)
#: How far small pictures may be off, mean of code values of 255. A restored face changes some.
_TOLERANCE = 12.0
_NEAR = 0.011  # seconds by which a time may be off: ticks, and pictures moved by a tick
#: The same after a joint, where audio may last longer than the pictures did.
_NEAR_AFTER_JOINT = 0.03


@dataclass(frozen=True)
class Picture:
    """A decoded picture: its time in seconds, and how it looks in 32x18 and grey."""

    time: float | None
    look: NDArray[np.float32]
    intact: bool  # no error came since the last keyframe


def pictures_of(path: Path, stream: int, *, keep: bool = False) -> list[Picture]:
    """All pictures that the decoder gives of a stream, in presentation order.

    `keep`: none is given back meanwhile, so that the decoder gets other memory for each.
    """
    found: list[Picture] = []
    kept: list[av.VideoFrame] = []
    clean = True
    with av.open(str(path), **TEXTS) as container:
        video = container.streams[stream]
        assert isinstance(video, av.VideoStream)
        video.codec_context.thread_count = 1
        packets = container.demux(video)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                clean = clean and not packet.is_corrupt
                frames = video.codec_context.decode(packet if packet.size else None)
            except (av.FFmpegError, IndexError):
                clean = False
                if packet is None or not packet.size:
                    break
                continue
            for frame in frames:
                clean = (clean or frame.key_frame) and not frame.is_corrupt
                small = frame.reformat(*_SIZE, "gray", interpolation="AREA").to_ndarray()
                time = frame.time
                time = None if time is None or math.isnan(time) else time
                kept += [frame] if keep else []
                found.append(Picture(time, small.astype(np.float32), clean))
    return found


def enhanced_stream(target: Path) -> int:
    """The index of the stream of a target that facepipe has written; its sidecar tells its size."""
    told = _sidecar(target)["output"]
    with av.open(str(target), **TEXTS) as container:
        videos = [
            one for one in container.streams.video if not one.disposition & Disposition.attached_pic
        ]
        like = [one for one in videos if (one.width, one.height) == (told["width"], told["height"])]
        return (like or videos)[0].index


def worse(source: Path, target: Path) -> str:
    """Which picture is missing or looks otherwise, and was not reported; empty where none is."""
    told = _sidecar(target)
    before = _steady(source, told["source"]["stream"])
    after = pictures_of(target, enhanced_stream(target))
    if len(before) == len(after):
        return next(_faults(zip(before, after, strict=True), told), "")
    tried = [list(_faults(pairs, told)) for pairs in _by_time(before, after, told["clock"])]
    return next(iter(min(tried, key=len, default=[])), "")


def _faults(
    pairs: Iterable[tuple[Picture, Picture | None]], told: Mapping[str, Any]
) -> Iterator[str]:
    for one, other in pairs:
        if not one.intact or _is_told(one, told):
            continue
        if other is None:
            yield f"the picture at {one.time} s is missing, and nobody said so"
        elif (off := float(np.abs(one.look - other.look).mean())) > _TOLERANCE:
            yield f"the picture at {one.time} s is off by {off:.1f} of 255"


def _sidecar(target: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(sidecar_path(target).read_text(encoding="utf-8"))
    return told


def _steady(source: Path, stream: int) -> list[Picture]:
    """The source's pictures; those are not intact that decode in more than one way.

    Decoders leave parts of damaged pictures as the memory was before, and report nothing.
    """
    once, again = pictures_of(source, stream), pictures_of(source, stream, keep=True)
    pairs = zip(once, again, strict=True)
    same = [np.allclose(one.look, other.look, atol=1.0) for one, other in pairs]
    return [replace(p, intact=p.intact and s) for p, s in zip(once, same, strict=True)]


def _by_time(
    before: Sequence[Picture], after: Sequence[Picture], clock: Mapping[str, Any]
) -> Iterator[list[tuple[Picture, Picture | None]]]:
    """Each picture with the one at its time, for each way in which all may have been moved."""
    timed = sorted((p for p in after if p.time is not None), key=lambda p: p.time or 0.0)
    known = [p for p in before if p.time is not None]
    if not timed or not known:
        return
    times = [p.time or 0.0 for p in timed]
    joined = _moves(clock)
    for shift in {
        0.0,
        times[0] - min(p.time or 0.0 for p in known),
        -clock["output_earlier_seconds"],
    }:
        found = []
        for picture in known:
            time = (picture.time or 0.0) + shift
            twins = [
                _at(timed, times, time + move, _NEAR_AFTER_JOINT if move else _NEAR)
                for move in joined
            ]
            found.append((picture, next(filter(None, twins), None)))
        yield found


def _moves(clock: Mapping[str, Any]) -> list[float]:
    """Seconds by which what follows each joint of the source's clock was moved."""
    jumps = [joint["jump_seconds"] for joint in clock["joints"]]
    return [-sum(jumps[:count]) for count in range(len(jumps) + 1)]


def _at(
    pictures: Sequence[Picture], times: Sequence[float], time: float, near: float
) -> Picture | None:
    right = bisect_left(times, time)
    beside = [n for n in (right - 1, right) if 0 <= n < len(times)]
    best = min(beside, key=lambda n: abs(times[n] - time))
    return pictures[best] if abs(times[best] - time) <= near else None


def _is_told(picture: Picture, told: Mapping[str, Any]) -> bool:
    if picture.time is None:
        return False
    times = [picture.time + move for move in _moves(told["clock"])]
    return any(
        one["from_seconds"] - _NEAR <= time <= one["to_seconds"] + _NEAR
        for one in told["damage"]
        for time in times
    )
