"""What tests of videos look at: spans, hashes of frames, packets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import av

from facepipe.datatypes import Frame, Part, Span, VideoInfo
from facepipe.video import EncodeSettings, decode, encode

LOSSLESS = EncodeSettings("libx264", (("qp", "0"), ("preset", "ultrafast")), threads=1)

Render = Callable[..., VideoInfo]


def whole(info: VideoInfo) -> Span:
    """All of a video."""
    return Span(0, info.pts[0], info.pts[-1] + 1)


def at_keyframes(info: VideoInfo) -> list[Span]:
    """A span for each keyframe."""
    cuts = [info.pts[0], *info.keyframe_pts[1:], info.pts[-1] + 1]
    return [Span(n, start, stop) for n, (start, stop) in enumerate(pairwise(cuts))]


def rendered(info: VideoInfo, span: Span, path: Path, settings: EncodeSettings) -> Part:
    """A span of a video, decoded and encoded unchanged."""
    count = encode(decode(info, span), path, info=info, span=span, settings=settings)
    return Part(span, str(path), count, 0)


def digest(frame: Frame) -> tuple[int, str]:
    """A frame's pts and the hash of its pixels."""
    return frame.pts, hashlib.md5(b"".join(plane.tobytes() for plane in frame.planes)).hexdigest()


def digests(path: Path, info: VideoInfo, spans: Sequence[Span]) -> list[tuple[int, str]]:
    """Pts and hashes of a video's frames, span by span."""
    return [digest(frame) for span in spans for frame in decode(info, span)]


Packets = list[tuple[int | None, int | None, str]]


def packets(path: Path, kind: str | None = None) -> dict[int, Packets]:
    """For each stream: pts, duration and hash of every packet."""
    found: dict[int, Packets] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and kind in (None, packet.stream.type):
                entry = (packet.pts, packet.duration, hashlib.md5(bytes(packet)).hexdigest())
                found.setdefault(packet.stream.index, []).append(entry)
    return found
