"""What must be the same in the target as in the source: one function for each property.

Each returns "" where both are the same, the difference in words, or None where the film has
nothing of the kind.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest

import av
import numpy as np
from av.stream import Disposition

from witness import Film, Picture, Track, complaints, decoded

Verdict = str | None
Property = Callable[[Film, Film, int], Verdict]  # source, target, scale

#: How far a decoded picture may be from the source's, in code values of 255, as a mean.
LOSS = 5.0
_WRITER_KEYS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
_VIDEO_KEYS = ("bps", "number_of_", "_statistics_", "duration", "encoder", "vendor_id")
_NO_COLOUR = {None, "unknown", "unspecified"}


def pts(source: Film, target: Film, scale: int) -> Verdict:
    """Every picture at its own time, to the tick of the target's container."""
    ours, theirs = _times(target), _times(source)
    if len(ours) != len(theirs):
        return f"{len(ours)} times instead of {len(theirs)}"
    return _first_off(ours, theirs, target.video.tick / 2)


def duration(source: Film, target: Film, scale: int) -> Verdict:
    """The last picture is shown as long as in the source, where both say how long."""
    theirs, ours = _end(source.video), _end(target.video)
    if theirs is None or ours is None:  # transport streams hold no durations
        return None
    off = ours - theirs
    return "" if abs(off) <= target.video.tick else f"ends {_s(off)} later"


def frames(source: Film, target: Film, scale: int) -> Verdict:
    """As many pictures decode."""
    ours, theirs = len(target.pictures), len(source.pictures)
    return "" if ours == theirs else f"{ours} pictures instead of {theirs}"


def size(source: Film, target: Film, scale: int) -> Verdict:
    """Width and height, times the scale."""
    theirs = {(w * scale, h * scale) for w, h in (p.size for p in source.pictures)}
    ours = {p.size for p in target.pictures}
    return "" if ours == theirs else f"{ours} instead of {theirs}"


def pixel_format(source: Film, target: Film, scale: int) -> Verdict:
    """Depth, chroma, colour model and alpha."""
    ours, theirs = (_formats(film) for film in (target, source))
    return "" if ours == theirs else f"{', '.join(ours)} instead of {', '.join(theirs)}"


def pictures(source: Film, target: Film, scale: int) -> Verdict:
    """Each picture looks as it did: no other colours, order or alpha."""
    worst, where = 0.0, 0
    for number, (one, other) in enumerate(zip_longest(decoded(source.path), decoded(target.path))):
        if one is None or other is None:
            break
        off = _difference(one, other, scale)
        if off > worst:
            worst, where = off, number
    return "" if worst <= LOSS else f"picture {where} is off by {worst:.1f} of 255"


def colour(source: Film, target: Film, scale: int) -> Verdict:
    """Range, matrix, primaries, transfer and the place of chroma samples."""
    names = ("range", "matrix", "primaries", "transfer")
    found = []
    for number, name in enumerate(names):
        ours, theirs = ({_tag(p, number) for p in f.pictures} for f in (target, source))
        if ours != theirs:
            found.append(f"{name} {_set(ours)} instead of {_set(theirs)}")
    if source.second and target.second:
        for key in _colour_keys(source):
            after, before = _told(target, key), _told(source, key)
            if after != before and before not in _NO_COLOUR:
                found.append(f"ffprobe's {key} {after} instead of {before}")
    return "; ".join(found)


def light(source: Film, target: Film, scale: int) -> Verdict:
    """Mastering display and content light level."""
    if not any(any(p.light) for film in (source, target) for p in film.pictures):
        return None
    found = []
    for number, read in enumerate((_mastering, _levels)):
        ours = [read(p.light[number]) for p in target.pictures]
        theirs = [read(p.light[number]) for p in source.pictures]
        if set(ours) != set(theirs):
            found.append(f"{_set(set(ours))} instead of {_set(set(theirs))}")
    if not found and source.second and target.second:
        ours_told, theirs_told = (_side_data(film) for film in (target, source))
        if not theirs_told <= ours_told:
            found.append(f"ffprobe misses {_set(theirs_told - ours_told)} of the stream")
    return "; ".join(found)


def aspect(source: Film, target: Film, scale: int) -> Verdict:
    """The shape of a pixel."""
    theirs, ours = (film.aspect or Fraction(1) for film in (source, target))
    if theirs == ours == 1:
        return None
    if theirs != ours:
        return f"{ours} instead of {theirs}"
    if source.second and target.second:
        key = "sample_aspect_ratio"
        if _told(source, key) != _told(target, key):
            return f"ffprobe says {_told(target, key)} instead of {_told(source, key)}"
    return ""


def rotation(source: Film, target: Film, scale: int) -> Verdict:
    """The display matrix, number by number."""
    theirs, ours = ({p.matrix for p in film.pictures} for film in (source, target))
    if theirs == ours == {b""}:
        return None
    return "" if theirs == ours else f"{_matrices(ours)} instead of {_matrices(theirs)}"


def fields(source: Film, target: Film, scale: int) -> Verdict:
    """Interlacing, the field order of each picture, and fields that are shown twice."""
    interlaced = any(p.interlaced for film in (source, target) for p in film.pictures)
    repeats = [_repeats(film) for film in (source, target)]
    if not interlaced and not any(map(any, repeats)):
        return None
    if source.first_field != target.first_field:
        return f"{_fields(target)} instead of {_fields(source)}"
    if repeats[0] != repeats[1] and source.second and target.second:
        return f"{sum(map(bool, repeats[1]))} of {sum(map(bool, repeats[0]))} fields are repeated"
    if source.order > 1 and target.order != source.order:
        return f"the container tells order {target.order} instead of {source.order}"
    return ""


def captions(source: Film, target: Film, scale: int) -> Verdict:
    """Closed captions that lie in the pictures."""
    theirs, ours = ([p.captions for p in film.pictures] for film in (source, target))
    if not any(theirs) and not any(ours):
        return None
    told = f"{sum(map(bool, ours))} of {sum(map(bool, theirs))} pictures have their captions"
    return "" if theirs == ours else told


def streams(source: Film, target: Film, scale: int) -> Verdict:
    """Every packet of every other stream: payload, time, length, and what decoders are told."""
    if not source.others and not target.others:
        return None
    kinds, theirs = ([f"{t.kind} {t.codec}" for t in f.others] for f in (target, source))
    if kinds != theirs:
        return f"{', '.join(kinds) or 'none'} instead of {', '.join(theirs)}"
    found = (_track(a, b) for a, b in zip(source.others, target.others, strict=True))
    return "; ".join(said for said in found if said)


def sync(source: Film, target: Film, scale: int) -> Verdict:
    """How much later than the pictures each other stream begins."""
    found, compared = [], False
    for number, (one, other) in enumerate(zip(source.others, target.others, strict=False)):
        before, after = _lead(source, one), _lead(target, other)
        if before is None or after is None:
            continue
        compared = True
        if abs(after - before) > (target.video.tick + other.tick) / 2:
            found.append(f"stream {number} begins {_s(after - before)} later")
    return "; ".join(found) if compared else None


def metadata(source: Film, target: Film, scale: int) -> Verdict:
    """What the film and its streams are said to be; the program's own comment may be added."""
    found = [_tags("film", source.metadata, target.metadata, _WRITER_KEYS)]
    pairs = zip([source.video, *source.others], [target.video, *target.others], strict=False)
    for number, (one, other) in enumerate(pairs):
        keys = {k for k in one.metadata if k.lower().startswith(_VIDEO_KEYS)}
        dropped = {k.lower() for k in keys} if number == 0 else {"duration", "encoder"}
        found.append(_tags(f"stream {number}", one.metadata, other.metadata, dropped))
    return "; ".join(said for said in found if said)


def languages(source: Film, target: Film, scale: int) -> Verdict:
    """The language of each stream."""
    theirs, ours = ([_language(t) for t in (film.video, *film.others)] for film in (source, target))
    if not any(theirs) and not any(ours):
        return None
    return "" if theirs == ours else f"{ours} instead of {theirs}"


def dispositions(source: Film, target: Film, scale: int) -> Verdict:
    """Which streams are the default, forced, for the deaf, ..."""
    theirs, ours = ([t.disposition for t in (f.video, *f.others)] for f in (source, target))
    if not any(d & Disposition.default for d in theirs):  # mp4 cannot leave it open
        ours = [d & ~Disposition.default for d in ours]
    if not any(theirs) and not any(ours):
        return None
    return "" if theirs == ours else f"{_flags(ours)} instead of {_flags(theirs)}"


def chapters(source: Film, target: Film, scale: int) -> Verdict:
    """Chapters, to a millisecond, with their titles."""
    if not source.chapters and not target.chapters:
        return None
    if len(source.chapters) != len(target.chapters):
        return f"{len(target.chapters)} instead of {len(source.chapters)}"
    for one, other in zip(source.chapters, target.chapters, strict=True):
        off = max(abs(a - b) for a, b in zip(one[:2], other[:2], strict=True))
        if one[2] != other[2] or off > Fraction(1, 1000):
            return f"{_chapter(other)} instead of {_chapter(one)}"
    return ""


def attachments(source: Film, target: Film, scale: int) -> Verdict:
    """Attached files and covers, byte by byte."""
    if not any((source.attachments, source.covers, target.attachments, target.covers)):
        return None
    if sorted(source.covers) != sorted(target.covers):
        return f"{len(target.covers)} covers instead of {len(source.covers)}, or other bytes"
    same = source.attachments == target.attachments
    return "" if same else f"{target.attachments} instead of {source.attachments}"


def plays(source: Film, target: Film, scale: int) -> Verdict:
    """The ffmpeg program decodes all of it without a word, where the source makes it say none."""
    said = complaints(target.path)
    if not said or complaints(source.path):
        return None if said is None else ""
    return said.splitlines()[0]


PROPERTIES: Mapping[str, Property] = {
    "pts": pts,
    "duration": duration,
    "frames": frames,
    "size": size,
    "pixel format": pixel_format,
    "pictures": pictures,
    "colour": colour,
    "light": light,
    "aspect": aspect,
    "rotation": rotation,
    "fields": fields,
    "captions": captions,
    "streams": streams,
    "sync": sync,
    "metadata": metadata,
    "languages": languages,
    "dispositions": dispositions,
    "chapters": chapters,
    "attachments": attachments,
    "plays": plays,
}


def _times(film: Film) -> list[Fraction]:
    """When each picture is shown: as decoders say, or by its packet where they do not know."""
    shown = [p.pts for p in film.pictures if p.pts is not None]
    if len(shown) == len(film.pictures):
        return sorted(shown)  # AVI keeps times of decoding alone
    return sorted(p.pts for p in film.video.packets if p.pts is not None)


def _end(track: Track) -> Fraction | None:
    timed = [p for p in track.packets if p.pts is not None]
    last = max(timed, key=lambda p: p.pts or 0, default=None)
    if last is None or last.pts is None or not last.duration:
        return None
    return last.pts + last.duration


def _first_off(ours: Sequence[Fraction], theirs: Sequence[Fraction], allowed: Fraction) -> str:
    off = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if abs(a - b) > allowed]
    if not off:
        return ""
    at = off[0]
    return f"{len(off)} of {len(ours)} off, number {at} by {_s(ours[at] - theirs[at])}"


def _formats(film: Film) -> list[str]:
    """What a picture's samples can hold, whatever their order in memory."""
    return sorted({_holds(p.format) for p in film.pictures})


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


def _difference(one: av.VideoFrame, other: av.VideoFrame, scale: int) -> float:
    alpha = any(part.is_alpha for part in one.format.components)
    layout = "rgba" if alpha else "rgb24"
    if scale != 1:
        other = other.reformat(one.width, one.height, interpolation="AREA")
    pixels = []
    for frame in (one, other):
        if frame.colorspace == 0 and not frame.format.is_rgb:
            frame.colorspace = 2
        pixels.append(frame.to_ndarray(format=layout).astype(np.int16))
    if pixels[0].shape != pixels[1].shape:
        return 255.0
    return float(np.abs(pixels[0] - pixels[1]).mean((0, 1)).max())


def _tag(picture: Picture, number: int) -> int:
    tag = picture.colour[number]
    if av.VideoFormat(picture.format, 64, 64).is_rgb:
        return (2, 0, tag, tag)[number]  # nothing else is possible there
    # Some demuxers say RGB's matrix of pictures that are none, where it means nothing.
    return 2 if (number, tag) == (1, 0) else tag


def _colour_keys(film: Film) -> Iterator[str]:
    kinds = [av.VideoFormat(p.format, 64, 64) for p in film.pictures[:1]]
    if all(kind.is_rgb for kind in kinds):
        return
    yield from ("color_range", "color_space", "color_primaries", "color_transfer")
    if all(kind.chroma_height(64) == 32 for kind in kinds):
        yield "chroma_location"


def _told(film: Film, key: str) -> object:
    assert film.second is not None
    return film.second["streams"][0].get(key)


def _side_data(film: Film) -> set[str]:
    kinds = _told(film, "side_data_list")
    names = (
        {str(kind.get("side_data_type")) for kind in kinds} if isinstance(kinds, list) else set()
    )
    return {name for name in names if "light" in name or "Mastering" in name}


def _mastering(data: bytes) -> tuple[float, ...]:
    """Ten numbers, to what H.265 writes of them."""
    numbers = struct.unpack("=22i", data[:88]) if len(data) >= 88 else ()
    pairs = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
    return tuple(round(n / d, 4) if d else 0.0 for n, d in pairs)


def _levels(data: bytes) -> tuple[int, ...]:
    return struct.unpack("=2I", data[:8]) if len(data) >= 8 else ()


def _repeats(film: Film) -> list[int]:
    if film.second is None:
        return []
    return [int(f.get("repeat_pict", 0)) for f in film.second.get("frames", [])]


def _fields(film: Film) -> str:
    said = "".join((name or "p")[0] for name in film.first_field)
    return re.sub(r"(.)\1{3,}", lambda m: f"{m[1]}*{len(m[0])}", said)


def _track(one: Track, other: Track) -> str:
    if one.shape != other.shape:
        return f"{one.codec} is told {other.shape} instead of {one.shape}"
    if [p.digest for p in one.packets] != [p.digest for p in other.packets]:
        return f"{one.codec}: packets differ ({len(other.packets)}, {len(one.packets)} before)"
    pairs = [
        (a, b) for a, b in zip(one.packets, other.packets, strict=True)
        if a.pts is not None or b.pts is not None
    ]  # fmt: skip
    if any(a.pts is None or b.pts is None for a, b in pairs):
        return f"{one.codec}: packets lost or won a time"
    late = _first_off([b.pts or 0 for _, b in pairs], [a.pts or 0 for a, _ in pairs],
                      other.tick / 2)  # type: ignore[misc]  # fmt: skip
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


def _lead(film: Film, track: Track) -> Fraction | None:
    shown = _times(film)
    timed = [p.pts for p in track.packets if p.pts is not None]
    return min(timed) - shown[0] if timed and shown else None


def _tags(
    name: str, before: Mapping[str, str], after: Mapping[str, str], dropped: Iterable[str]
) -> str:
    ours = {key.lower(): value for key, value in after.items()}
    for key, value in before.items():
        key = key.lower()
        if key in dropped or key == "language":
            continue
        mine = ours.get(key)
        if mine != value and not (key == "comment" and mine and mine.startswith(value)):
            return f"{name}'s {key} is {mine!r} instead of {value!r}"
    return ""


def _language(track: Track) -> str | None:
    given = track.metadata.get("language")
    return None if given == "und" else given


def _flags(values: Sequence[Disposition]) -> str:
    return "[" + ", ".join(v.name or str(int(v)) for v in values) + "]"


def _matrices(found: set[bytes]) -> str:
    return _set({struct.unpack("=9i", m[:36]) if m else None for m in found})


def _chapter(chapter: tuple[Fraction, Fraction, str]) -> str:
    return f"{chapter[2]!r} {_s(chapter[0])}-{_s(chapter[1])}"


def _set(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values))) or "nothing"


def _s(value: Fraction) -> str:
    return f"{float(value):.4g} s"
