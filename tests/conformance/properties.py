"""What must be the same in the target as in the source: one function for each property.

Each returns "" where both are the same, the difference in words, or None where the video has
nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from conformance.encoding_properties import ENCODING
from conformance.layout_properties import LAYOUT
from conformance.readings import (
    UNKNOWN,
    begin_of,
    chapter_words,
    chroma_moved,
    colour_keys,
    colour_tag,
    difference,
    dispositions_of,
    field_words,
    first_off,
    flag_words,
    formats_of,
    language_of,
    lead_of,
    levels,
    light_told,
    listed,
    lost_tags,
    mastering,
    matrix_words,
    repeats_of,
    seconds,
    shapes_of,
    times_of,
    told,
    track_difference,
)
from conformance.witness import Video, complaints
from media.boxes import boxes_of, crop_of, projection_of
from media.user_data import user_data_of

Verdict = str | None


@dataclass(frozen=True)
class Terms:
    """How many times larger the target is, and how far its pictures may be off.

    `loss` is in code values of 255, the mean over a picture of the worst channel. `codec_named`:
    the codec is the one that was asked for.
    """

    scale: int = 1
    loss: float = 0.0
    codec_named: bool = True


#: The same where pictures can only be compared as RGB.
CONVERTED = 5.0
Property = Callable[[Video, Video, Terms], Verdict]  # source, target

_SLACK = Fraction(1, 1000)  # lengths are written in the time bases of encoders
_MOV_KEYS = {"handler_name", "vendor_id"}
_WRITER_KEYS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
_OLD = ("duration", "encoder")
_ANEW = (*_OLD, "bps", "number_of_", "_statistics_", "vendor_id", "handler_name")


def pts(source: Video, target: Video, terms: Terms) -> Verdict:
    """Every picture at its own time, to the tick of the target's container, or of the source's."""
    ours, theirs = times_of(target), times_of(source)
    if len(ours) != len(theirs):
        return f"{len(ours)} times instead of {len(theirs)}"
    known = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    # Where the source has rounded times, the target may have those that were rounded.
    return first_off(known, max(target.video.tick, source.video.tick) / 2)


def clock(source: Video, target: Video, terms: Terms) -> Verdict:
    """Times rise, and begin where they are to begin: see `from_zero`, by which the source went."""
    times = [time for time in times_of(target) if time is not None]
    if not times:
        return None
    sounds = [track for track in target.others if track.kind == "audio"]
    timed: list[tuple[str, list[Fraction | None]]] = [("pictures", [*times])]
    timed += [(track.codec, [p.pts for p in track.packets]) for track in sounds]
    for name, shown in timed:
        known = [time for time in shown if time is not None]
        back = [n for n, (one, two) in enumerate(pairwise(known)) if two < one]
        if back:
            return f"{name}: the time goes back after {seconds(known[back[0]])}"
    late = begin_of(target) - begin_of(source)
    if target.path.suffix in (".ts", ".m2ts"):  # which cannot say what players are to skip
        late = times[0] - next(time for time in times_of(source) if time is not None)
    off = abs(late) > max(target.video.tick, _SLACK)
    return f"the video begins {seconds(late)} late" if off else ""


def duration(source: Video, target: Video, terms: Terms) -> Verdict:
    """The last picture is shown as long as in the source, where both say how long."""
    theirs, ours = source.video.end, target.video.end
    if theirs is None or ours is None:
        return None
    off = ours - theirs
    return "" if abs(off) <= max(target.video.tick, _SLACK) else f"ends {seconds(off)} later"


def frames(source: Video, target: Video, terms: Terms) -> Verdict:
    """As many pictures decode."""
    ours, theirs = len(target.pictures), len(source.pictures)
    return "" if ours == theirs else f"{ours} pictures instead of {theirs}"


def size(source: Video, target: Video, terms: Terms) -> Verdict:
    """Width and height, times the scale; of several sizes the largest."""
    theirs = {(w * terms.scale, h * terms.scale) for w, h in (p.size for p in source.pictures)}
    most = max(w * h for w, h in theirs)
    theirs = {(w, h) for w, h in theirs if w * h == most}
    ours = {p.size for p in target.pictures}
    right = len(ours) == 1 and ours <= theirs
    return "" if right else f"{ours} instead of {theirs}"


def codec(source: Video, target: Video, terms: Terms) -> Verdict:
    """The codec of the pictures, where nobody asked for one."""
    if terms.codec_named:
        return None
    ours, theirs = target.video.codec, source.video.codec
    return "" if ours == theirs else f"{ours} instead of {theirs}"


def pixel_format(source: Video, target: Video, terms: Terms) -> Verdict:
    """Depth, chroma, colour model and alpha."""
    ours, theirs = (formats_of(video) for video in (target, source))
    return "" if ours == theirs else f"{', '.join(ours)} instead of {', '.join(theirs)}"


def pictures(source: Video, target: Video, terms: Terms) -> Verdict:
    """Each picture looks as it did: no other colours, order or alpha."""
    for number, (one, other) in enumerate(zip(source.frames, target.frames, strict=False)):
        off, exact = difference(one, other, terms.scale)
        if off > (terms.loss if exact else max(terms.loss, CONVERTED)):
            return f"picture {number} is off by {off:.2f} of 255"
    return ""


def colour(source: Video, target: Video, terms: Terms) -> Verdict:
    """Range, matrix, primaries, transfer and the place of chroma samples."""
    names = ("range", "matrix", "primaries", "transfer")
    found = []
    for number, name in enumerate(names):
        ours, theirs = ({colour_tag(p, number) for p in f.pictures} for f in (target, source))
        if ours != theirs and (name, ours, theirs) != ("range", {1}, {0}):  # which it means
            found.append(f"{name} {listed(ours)} instead of {listed(theirs)}")
    if source.second and target.second:
        for key in colour_keys(source):
            after, before = told(target, key), told(source, key)
            if after != before and before not in UNKNOWN:
                found.append(f"ffprobe's {key} {after} instead of {before}")
        found += chroma_moved(source, target)
    return "; ".join(found)


def light(source: Video, target: Video, terms: Terms) -> Verdict:
    """Mastering display and content light level."""
    if not any(any(p.light) for video in (source, target) for p in video.pictures):
        return None
    found = []
    for number, read in enumerate((mastering, levels)):
        ours = [read(p.light[number]) for p in target.pictures]
        theirs = [read(p.light[number]) for p in source.pictures]
        if set(ours) != set(theirs):
            found.append(f"{listed(set(ours))} instead of {listed(set(theirs))}")
    if not found and source.second and target.second:
        ours_told, theirs_told = (light_told(video) for video in (target, source))
        if not theirs_told <= ours_told:
            found.append(f"ffprobe misses {listed(theirs_told - ours_told)} of the stream")
    return "; ".join(found)


def aspect(source: Video, target: Video, terms: Terms) -> Verdict:
    """The shape of a pixel, in each picture."""
    if source.second and target.second:
        before, after = (shapes_of(video) for video in (source, target))
        if len(set(before)) > 1 and len(source.pictures) == len(target.pictures):
            return (
                "" if before == after else f"{listed(set(after))} instead of {listed(set(before))}"
            )
    theirs, ours = (video.aspect or Fraction(1) for video in (source, target))
    if theirs == ours == 1:
        return None
    if theirs != ours:
        return f"{ours} instead of {theirs}"
    if source.second and target.second:
        key = "sample_aspect_ratio"
        if told(source, key) != told(target, key):
            return f"ffprobe says {told(target, key)} instead of {told(source, key)}"
    return ""


def rotation(source: Video, target: Video, terms: Terms) -> Verdict:
    """The display matrix, number by number."""
    theirs, ours = ({p.matrix for p in video.pictures} for video in (source, target))
    if theirs == ours == {b""}:
        return None
    return "" if theirs == ours else f"{matrix_words(ours)} instead of {matrix_words(theirs)}"


def fields(source: Video, target: Video, terms: Terms) -> Verdict:
    """Interlacing, the field order of each picture, and fields that are shown twice."""
    interlaced = any(p.interlaced for video in (source, target) for p in video.pictures)
    repeats = [repeats_of(video) for video in (source, target)]
    if not interlaced and not any(map(any, repeats)):
        return None
    if source.first_field != target.first_field:
        return f"{field_words(target)} instead of {field_words(source)}"
    if repeats[0] != repeats[1] and source.second and target.second:
        return f"{sum(map(bool, repeats[1]))} of {sum(map(bool, repeats[0]))} fields are repeated"
    return ""


def captions(source: Video, target: Video, terms: Terms) -> Verdict:
    """Closed captions that lie in the pictures."""
    theirs, ours = ([p.captions for p in video.pictures] for video in (source, target))
    if not any(theirs) and not any(ours):
        return None
    words = f"{sum(map(bool, ours))} of {sum(map(bool, theirs))} pictures have their captions"
    return "" if theirs == ours else words


def user_data(source: Video, target: Video, terms: Terms) -> Verdict:
    """What is put beside each picture in its packet, as cars put their telemetry."""
    theirs, ours = (user_data_of(video.path) for video in (source, target))
    if not theirs and not ours:
        return None
    if list(theirs.values()) != list(ours.values()):
        return f"{len(ours)} of {len(theirs)} pictures have theirs"
    return first_off(list(zip(ours, theirs, strict=True)), target.video.tick / 2)


def crop(source: Video, target: Video, terms: Terms) -> Verdict:
    """What the header cuts off of each picture."""
    theirs, ours = (crop_of(video.path) for video in (source, target))
    if not theirs and not ours:
        return None
    scaled = {side: pixels * terms.scale for side, pixels in theirs.items()}
    return "" if ours == scaled else f"{ours} instead of {scaled}"


def projection(source: Video, target: Video, terms: Terms) -> Verdict:
    """The sphere that pictures are mapped to, and how two views lie in them."""
    theirs, ours = (projection_of(video.path) for video in (source, target))
    if theirs == (b"", None) == ours:
        return None
    return "" if theirs == ours else f"{ours} instead of {theirs}"


def boxes(source: Video, target: Video, terms: Terms) -> Verdict:
    """Boxes that FFmpeg does not know, byte by byte."""
    theirs, ours = (boxes_of(video.path) for video in (source, target))
    if not theirs:
        return None
    if target.path.suffix not in (".mp4", ".mov"):  # there a sphere is said otherwise
        theirs = {name: said for name, said in theirs.items() if b"GSpherical" not in said[0]}
    lost = [name for name, contents in theirs.items() if ours.get(name) != contents]
    return f"{', '.join(lost)}: lost or changed" if lost else ""


def streams(source: Video, target: Video, terms: Terms) -> Verdict:
    """Every packet of every other stream: payload, time, length, and what decoders are told."""
    if not source.others and not target.others:
        return None
    kinds, theirs = ([f"{t.kind} {t.codec}" for t in f.others] for f in (target, source))
    if kinds != theirs:
        return f"{', '.join(kinds) or 'none'} instead of {', '.join(theirs)}"
    found = (track_difference(a, b) for a, b in zip(source.others, target.others, strict=True))
    return "; ".join(said for said in found if said)


def sync(source: Video, target: Video, terms: Terms) -> Verdict:
    """How much later than the pictures each other stream begins."""
    found, compared = [], False
    for number, (one, other) in enumerate(zip(source.others, target.others, strict=False)):
        before, after = lead_of(source, one), lead_of(target, other)
        if before is None or after is None:
            continue
        compared = True
        ticks = [max(a.tick, b.tick) for a, b in ((source.video, target.video), (one, other))]
        if abs(after - before) > sum(ticks) / 2:
            found.append(f"stream {number} begins {seconds(after - before)} later")
    return "; ".join(found) if compared else None


def metadata(source: Video, target: Video, terms: Terms) -> Verdict:
    """What the video and its streams are said to be; the program's own comment may be added."""
    found = [lost_tags("video", source.metadata, target.metadata, _WRITER_KEYS)]
    known = set(source.metadata.items())
    pairs = zip([source.video, *source.others], [target.video, *target.others], strict=False)
    for number, (one, other) in enumerate(pairs):
        anew = number == 0 or one.kind == "data"  # packets of which these keys do not tell
        dropped = {k for k in one.metadata if k.lower().startswith(_ANEW if anew else _OLD)}
        if target.path.suffix != source.path.suffix:
            dropped |= _MOV_KEYS | {k for k, v in one.metadata.items() if (k, v) in known}
        found.append(lost_tags(f"stream {number}", one.metadata, other.metadata, dropped))
    return "; ".join(said for said in found if said)


def languages(source: Video, target: Video, terms: Terms) -> Verdict:
    """The language of each stream."""
    theirs, ours = (
        [language_of(t) for t in (video.video, *video.others)] for video in (source, target)
    )
    if not any(theirs) and not any(ours):
        return None
    return "" if theirs == ours else f"{ours} instead of {theirs}"


def dispositions(source: Video, target: Video, terms: Terms) -> Verdict:
    """Which streams are the default, forced, for the deaf, ..."""
    theirs, ours = (dispositions_of(video) for video in (source, target))
    if theirs == ours == dispositions_of(source, said=False):
        return None
    return "" if theirs == ours else f"{flag_words(ours)} instead of {flag_words(theirs)}"


def chapters(source: Video, target: Video, terms: Terms) -> Verdict:
    """Chapters, to a millisecond, with their titles."""
    if not source.chapters and not target.chapters:
        return None
    if len(source.chapters) != len(target.chapters):
        return f"{len(target.chapters)} instead of {len(source.chapters)}"
    for one, other in zip(source.chapters, target.chapters, strict=True):
        off = max(abs(a - b) for a, b in zip(one[:2], other[:2], strict=True))
        if one[2] != other[2] or off > Fraction(1, 1000):
            return f"{chapter_words(other)} instead of {chapter_words(one)}"
    return ""


def attachments(source: Video, target: Video, terms: Terms) -> Verdict:
    """Attached files and covers, byte by byte."""
    if not any((source.attachments, source.covers, target.attachments, target.covers)):
        return None
    if sorted(source.covers) != sorted(target.covers):
        return f"{len(target.covers)} covers instead of {len(source.covers)}, or other bytes"
    same = source.attachments == target.attachments
    return "" if same else f"{target.attachments} instead of {source.attachments}"


def plays(source: Video, target: Video, terms: Terms) -> Verdict:
    """The ffmpeg program decodes all of it without a word, where the source makes it say none."""
    said = target.complaints
    if not said or complaints(source.path):
        return None if said is None else ""
    return said.splitlines()[0]


PROPERTIES: Mapping[str, Property] = {
    "pts": pts,
    "clock": clock,
    "duration": duration,
    "frames": frames,
    "size": size,
    "codec": codec,
    "pixel format": pixel_format,
    "pictures": pictures,
    "colour": colour,
    "light": light,
    "aspect": aspect,
    "rotation": rotation,
    "fields": fields,
    "captions": captions,
    "user data": user_data,
    "crop": crop,
    "projection": projection,
    "boxes": boxes,
    "streams": streams,
    "sync": sync,
    "metadata": metadata,
    "languages": languages,
    "dispositions": dispositions,
    "chapters": chapters,
    "attachments": attachments,
    "plays": plays,
    **ENCODING,
    **LAYOUT,
}
