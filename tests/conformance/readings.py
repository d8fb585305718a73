"""What a video shows of itself, made fit to be compared, and differences in words."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from conformance.witness import Passed, Picture, Track, Video

#: What ffprobe says of colours that are left open.
UNKNOWN = {None, "unknown", "unspecified"}
_SHOWN_ELSEWHERE = ("language", "alpha_mode", "stereo_mode")  # in properties of their own


def times_of(video: Video) -> list[Fraction | None]:
    """When each picture is shown, None where the video does not say."""
    shown = [p.pts for p in video.pictures if p.pts is not None]
    if len(shown) == len(video.pictures):
        return [*sorted(shown)]  # AVI keeps times of decoding alone
    packets = sorted(p.pts for p in video.video.packets if p.pts is not None)
    if len(packets) == len(video.pictures):
        return list(packets)
    return [p.pts for p in video.pictures]


def keeps_clock(path: Path) -> bool:
    """Whether a video in that container begins at whatever time its clock shows."""
    return path.suffix in (".ts", ".m2ts", ".nut")


def begin_of(video: Video) -> Fraction:
    """When the first picture or sound is to be seen or heard."""
    shown = [time for time in times_of(video) if time is not None]
    heard = [_heard(t, p) for t in video.others if t.kind in ("audio", "video") for p in t.packets]
    return min([*shown, *(time for time in heard if time is not None)], default=Fraction(0))


def _heard(track: Track, packet: Passed) -> Fraction | None:
    """When a packet is heard, behind the samples that players skip."""
    skipped = 0
    for name, content in packet.side_data:
        if name == "skip_samples" and track.kind == "audio":
            skipped = int.from_bytes(content[:4], "little")
    rate = track.shape[0] if skipped else 1
    assert isinstance(rate, int)
    return None if packet.pts is None else packet.pts + Fraction(skipped, rate)


def from_zero(video: Video, target: Path) -> Video:
    """The video with the times that it is to have in a target: where no clock is kept, from 0 on.

    What lies before 0 elsewhere than in broadcasts is there to be skipped; what edit lists say is
    meant so.
    """
    begin = begin_of(video)
    broadcast = video.path.suffix in (".ts", ".m2ts", ".mpg", ".vob")
    indexed = video.path.suffix in (".mp4", ".mov") and b"moof" not in video.path.read_bytes()
    if keeps_clock(target) or indexed or not begin or (begin < 0 and not broadcast):
        return video
    return moved(video, begin)


def moved(video: Video, begin: Fraction) -> Video:
    """The video whose times are counted from another begin."""
    end = video.video.end
    return replace(
        video,
        video=replace(_earlier(video.video, begin), end=None if end is None else end - begin),
        others=tuple(_earlier(track, begin) for track in video.others),
        pictures=tuple(
            replace(p, pts=None if p.pts is None else p.pts - begin) for p in video.pictures
        ),
        chapters=tuple((max(a - begin, Fraction(0)), b - begin, t) for a, b, t in video.chapters),
    )


def with_room(video: Video, target: Video) -> Video:
    """The video as it is to be in a transport stream, which may begin later to fill buffers.

    By whole half seconds, and only where the source's clock begins near 0.
    """
    if target.path.suffix not in (".ts", ".m2ts"):
        return video
    ours, theirs = (min(t for t in times_of(v) if t is not None) for v in (target, video))
    halves = round(2 * (ours - theirs))
    is_near = begin_of(video) < 1 and abs(ours - theirs - Fraction(halves, 2)) <= target.video.tick
    if halves <= 0 or not is_near:
        return video
    return moved(video, -Fraction(halves, 2))


def _earlier(track: Track, begin: Fraction) -> Track:
    moved = (replace(p, pts=None if p.pts is None else p.pts - begin) for p in track.packets)
    return replace(track, packets=tuple(moved))


def first_off(pairs: Sequence[tuple[Fraction, Fraction]], allowed: Fraction) -> str:
    """Which pairs of ours and theirs are further apart than allowed, in words; nothing for none."""
    off = [n for n, (ours, theirs) in enumerate(pairs) if abs(ours - theirs) > allowed]
    if not off:
        return ""
    ours, theirs = pairs[off[0]]
    return f"{len(off)} of {len(pairs)} off, number {off[0]} by {seconds(ours - theirs)}"


def formats_of(video: Video) -> list[str]:
    """What a picture's samples can hold, whatever their order in memory."""
    return sorted({_holds(p.format) for p in video.pictures})


def _holds(name: str) -> str:
    described = av.VideoFormat(name, 64, 64)
    parts = described.components
    alpha = any(part.is_alpha for part in parts)
    model = "rgb" if described.is_rgb or described.has_palette else "yuv"
    if len(parts) - alpha == 1 and model == "yuv":
        model = "gray"
    chroma = ""
    if model == "yuv":
        wide, high = described.chroma_width(64), described.chroma_height(64)
        chroma = f" with chroma {wide}x{high} of 64x64"
    depth = max(part.bits for part in parts)
    return f"{depth} bit {model}{'a' if alpha else ''}{chroma}"


def difference(one: av.VideoFrame, other: av.VideoFrame, scale: int) -> tuple[float, bool]:
    """How far two pictures are apart, and whether that could be told without a conversion."""
    resized = (one.width, one.height) != (other.width, other.height)
    if resized:
        other = other.reformat(one.width, one.height, interpolation="AREA")
    deeper = _layout(one) != _layout(other) and _holds_more(one, other)
    if deeper:
        one = one.reformat(format=other.format.name)
    before, after = _samples(one), _samples(other)
    exact = before is not None and after is not None and _layout(one) == _layout(other)
    exact = exact and not deeper and (not resized or scale != 1)
    if before is None or after is None or not exact:
        alpha = any(part.is_alpha for part in one.format.components)
        before, after = (
            [frame.to_ndarray(format="rgba" if alpha else "rgb24")] for frame in (one, other)
        )
        exact = scale == 1 and one.format.is_rgb and other.format.is_rgb
    if [plane.shape for plane in before] != [plane.shape for plane in after]:
        return 255.0, True
    unit = 2.0 ** (max(part.bits for part in one.format.components) - 8)
    return max(
        float(np.abs(a.astype(np.int32) - b.astype(np.int32)).mean((0, 1)).max()) / unit
        for a, b in zip(before, after, strict=True)
    ), exact  # fmt: skip


def _holds_more(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Whether the format of `other` has all that `one`'s has, in planes of YUV."""
    if one.format.is_rgb or other.format.is_rgb:
        return False
    small, large = one.format.components, other.format.components
    return len(large) >= len(small) and large[0].bits > small[0].bits


def _layout(frame: av.VideoFrame) -> str:
    return frame.format.name.replace("yuvj", "yuv")


def _samples(frame: av.VideoFrame) -> list[NDArray[Any]] | None:
    """The planes as they are; None where components share one."""
    parts = frame.format.components
    if len(frame.planes) != len(parts) or not all(8 <= part.bits <= 16 for part in parts):
        return None
    kind = np.uint8 if parts[0].bits == 8 else np.uint16
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def colour_tag(picture: Picture, number: int) -> int:
    """One of range, matrix, primaries and transfer, where it means something."""
    tag = picture.colour[number]
    if av.VideoFormat(picture.format, 64, 64).is_rgb:
        return (2, 0, tag, tag)[number]  # nothing else is possible there
    # Some demuxers say RGB's matrix of pictures that are none, where it means nothing.
    return 2 if (number, tag) == (1, 0) else tag


def colour_keys(video: Video) -> Iterator[str]:
    """What ffprobe tells of colours in videos of that kind."""
    kinds = [av.VideoFormat(p.format, 64, 64) for p in video.pictures[:1]]
    if all(kind.is_rgb for kind in kinds):
        return
    yield from ("color_range", "color_space", "color_primaries", "color_transfer")


def chroma_moved(source: Video, target: Video) -> list[str]:
    """Where chroma lies now, if it did not lie there."""
    halved = all("32x32" in formats_of(video)[0] for video in (source, target))
    after, before = (told(video, "chroma_location") for video in (target, source))
    if not halved or before in UNKNOWN or after == before:
        return []
    if (before, after) == ("left", None):  # which is what it means
        return []
    return [f"chroma lies {after} instead of {before}"]


def told(video: Video, key: str) -> object:
    """What ffprobe says of the pictures."""
    assert video.second is not None
    return video.second["streams"][0].get(key)


def light_told(video: Video) -> set[str]:
    """The kinds of light levels that ffprobe finds in the stream itself."""
    kinds = told(video, "side_data_list")
    names = (
        {str(kind.get("side_data_type")) for kind in kinds} if isinstance(kinds, list) else set()
    )
    return {name for name in names if "light" in name or "Mastering" in name}


def mastering(data: bytes) -> tuple[float, ...]:
    """Ten numbers, to what H.265 writes of them."""
    numbers = struct.unpack("=22i", data[:88]) if len(data) >= 88 else ()
    pairs = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
    return tuple(round(n / d, 4) if d else 0.0 for n, d in pairs)


def levels(data: bytes) -> tuple[int, ...]:
    """The largest and the mean light level."""
    return struct.unpack("=2I", data[:8]) if len(data) >= 8 else ()


def repeats_of(video: Video) -> list[int]:
    """For each picture, how many more fields it is shown for; without ffprobe, one for each."""
    if video.second is None:
        return [1] * video.repeated
    return [int(f.get("repeat_pict", 0)) for f in video.second.get("frames", [])]


def shapes_of(video: Video) -> list[object]:
    """The shape of the pixels of each picture as ffprobe says it."""
    assert video.second is not None
    return [f.get("sample_aspect_ratio") for f in video.second.get("frames", [])]


def field_words(video: Video) -> str:
    """The first field of each picture by a letter, runs as counts."""
    said = "".join((name or "p")[0] for name in video.first_field)
    return re.sub(r"(.)\1{3,}", lambda m: f"{m[1]}*{len(m[0])}", said)


def track_difference(one: Track, other: Track) -> str:
    """What differs between two copies of a stream, in words."""
    if one.shape[:-1] != other.shape[:-1] or not _same_header(one, other):
        return f"{one.codec} is told {other.shape} instead of {one.shape}"
    if [p.digest for p in one.packets] != [p.digest for p in other.packets]:
        return f"{one.codec}: packets differ ({len(other.packets)}, {len(one.packets)} before)"
    pairs = [
        (a, b) for a, b in zip(one.packets, other.packets, strict=True)
        if a.pts is not None or b.pts is not None
    ]  # fmt: skip
    times = [(b.pts, a.pts) for a, b in pairs if a.pts is not None and b.pts is not None]
    if len(times) != len(pairs):
        return f"{one.codec}: packets lost or won a time"
    # Times of sound that the source has rounded, from the first one on, are counted in samples.
    late = first_off(times, one.tick if one.tick > other.tick else other.tick / 2)
    if late:
        return f"{one.codec}: {late}"
    if one.kind == "subtitle" and any(
        a.duration and abs(a.duration - b.duration) > other.tick for a, b in pairs
    ):
        return f"{one.codec}: shown for another time"
    if [p.side_data for p in one.packets] != [p.side_data for p in other.packets]:
        return f"{one.codec}: other samples are skipped"
    if one.samples != other.samples:
        return f"{one.codec}: {other.samples} samples decode instead of {one.samples}"
    return ""


def _same_header(one: Track, other: Track) -> bool:
    before, after = one.shape[-1], other.shape[-1]
    if one.codec == "aac" and None in (before, after):
        return True  # in a transport stream every packet has it
    if isinstance(before, bytes) and isinstance(after, bytes):
        return after.startswith(before)  # the mov muxer adds the rate of captions once more
    return before == after


def lead_of(video: Video, track: Track) -> Fraction | None:
    """How much later than the pictures a stream begins, in seconds."""
    shown = [time for time in times_of(video) if time is not None]
    timed = [p.pts for p in track.packets if p.pts is not None]
    return min(timed) - shown[0] if timed and shown else None


def lost_tags(
    name: str, before: Mapping[str, str], after: Mapping[str, str], dropped: Iterable[str]
) -> str:
    """The first key that is lost or changed, in words."""
    ours = {key.lower(): value for key, value in after.items()}
    for key, value in before.items():
        if key.lower() in _SHOWN_ELSEWHERE or {key, key.lower()} & set(dropped):
            continue
        mine = ours.get(key.lower())
        if mine != value and not (key.lower() == "comment" and mine and mine.startswith(value)):
            return f"{name}'s {key} is {mine!r} instead of {value!r}"
    return ""


def language_of(track: Track) -> str | None:
    """The language that a stream tells; `und` is none."""
    given = track.metadata.get("language")
    return None if given == "und" else given


def dispositions_of(video: Video, *, said: bool = True) -> list[Disposition]:
    """As players take them: of each kind the first is the default where none is said to be."""
    tracks = [video.video, *video.others]
    found = [track.disposition if said else Disposition(0) for track in tracks]
    for kind in {track.kind for track in tracks}:
        which = [n for n, track in enumerate(tracks) if track.kind == kind]
        if not any(found[n] & Disposition.default for n in which):
            found[which[0]] |= Disposition.default
    return found


def flag_words(values: Sequence[Disposition]) -> str:
    """Dispositions by name."""
    return "[" + ", ".join(v.name or str(int(v)) for v in values) + "]"


def matrix_words(found: set[bytes]) -> str:
    """Display matrices as numbers."""
    return listed({struct.unpack("=9i", m[:36]) if m else None for m in found})


def chapter_words(chapter: tuple[Fraction, Fraction, str]) -> str:
    """A chapter in words."""
    return f"{chapter[2]!r} {seconds(chapter[0])}-{seconds(chapter[1])}"


def listed(values: Iterable[object]) -> str:
    """Values in words, sorted."""
    return ", ".join(sorted(map(str, values))) or "nothing"


def seconds(value: Fraction) -> str:
    """A time in words."""
    return f"{float(value):.4g} s"
