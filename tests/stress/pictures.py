"""Whether a target's pictures are worse than those that its source shows, read from end to end."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video.pyav.texts import TEXTS

_SIZE = (32, 18)
#: How far small pictures may be off, mean of code values of 255. A restored face changes some.
_TOLERANCE = 12.0
_NEAR = 0.011  # seconds by which a time may be off: ticks, and pictures moved by a tick


@dataclass(frozen=True)
class Picture:
    """A decoded picture: its time in seconds, and how it looks in 32x18 and grey."""

    time: float | None
    look: NDArray[np.float32]
    intact: bool  # no error came since the last keyframe


def pictures_of(path: Path, stream: int | None = None, *, keep: bool = False) -> list[Picture]:
    """All pictures that the decoder gives, in presentation order.

    `keep`: none is given back meanwhile, so that the decoder gets other memory for each.
    """
    found: list[Picture] = []
    kept: list[av.VideoFrame] = []
    clean = True
    with av.open(str(path), **TEXTS) as container:
        videos = container.streams.video
        video = container.streams[stream] if stream is not None else videos[0]
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


def worse(source: Path, target: Path, stream: int | None = None) -> str:
    """Which picture is missing or looks otherwise, and was not reported; empty where none is."""
    before, after = _steady(source, stream), pictures_of(target)
    told = json.loads(sidecar_path(target).read_text(encoding="utf-8"))["damage"]
    if len(before) == len(after):
        pairs = list(zip(before, after, strict=True))
    else:
        pairs = _by_time(before, after)
    for one, other in pairs:
        if not one.intact or _is_told(one, told):
            continue
        if other is None:
            return f"the picture at {one.time} s is missing, and nobody said so"
        off = float(np.abs(one.look - other.look).mean())
        if off > _TOLERANCE:
            return f"the picture at {one.time} s is off by {off:.1f} of 255"
    return ""


def _steady(source: Path, stream: int | None) -> list[Picture]:
    """The source's pictures; those are not intact that decode in more than one way.

    Decoders leave parts of damaged pictures as the memory was before, and report nothing.
    """
    once, again = pictures_of(source, stream), pictures_of(source, stream, keep=True)
    pairs = zip(once, again, strict=True)
    same = [np.allclose(one.look, other.look, atol=1.0) for one, other in pairs]
    return [replace(p, intact=p.intact and s) for p, s in zip(once, same, strict=True)]


def _by_time(
    before: Sequence[Picture], after: Sequence[Picture]
) -> list[tuple[Picture, Picture | None]]:
    """Each picture with the one at its time, if all streams were moved by the same."""
    timed = sorted((p for p in after if p.time is not None), key=lambda p: p.time or 0.0)
    known = [p for p in before if p.time is not None]
    if not timed or not known:
        return []
    times = [p.time or 0.0 for p in timed]
    shifts = {0.0, times[0] - min(p.time or 0.0 for p in known)}
    tried = [[(p, _at(timed, times, (p.time or 0.0) + shift)) for p in known] for shift in shifts]
    return min(tried, key=lambda pairs: sum(other is None for _, other in pairs))


def _at(pictures: Sequence[Picture], times: Sequence[float], time: float) -> Picture | None:
    right = bisect_left(times, time)
    near = [n for n in (right - 1, right) if 0 <= n < len(times)]
    best = min(near, key=lambda n: abs(times[n] - time))
    return pictures[best] if abs(times[best] - time) <= _NEAR else None


def _is_told(picture: Picture, damage: Sequence[dict[str, float]]) -> bool:
    time = picture.time
    return time is not None and any(
        one["from_seconds"] - _NEAR <= time <= one["to_seconds"] + _NEAR for one in damage
    )
