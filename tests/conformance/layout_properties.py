"""How a target lies in its container, as programs read it that know nothing of FFmpeg.

Each function is one as in `properties`; the files are read byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from conformance.witness import Video
from media import matroska, samples
from media.transport import deliveries

Verdict = str | None

_TAGGED = (".mkv", ".webm", ".mp4", ".m4v", ".mov")
_INDEXED = (".mp4", ".m4v", ".mov")
#: Codecs whose packets lie in the order in which they are shown.
_UNORDERED = ("h264", "hevc", "mpeg2video", "mpeg4")
_LONGEST = 1.0  # seconds that a decoder's buffer may hold (T-STD)


def pace(source: Video, target: Video, terms: object) -> Verdict:
    """Frames and sound that come at a constant rate do so still, to the target's tick."""
    tracks = list(zip([source.video, *source.others], [target.video, *target.others], strict=False))
    compared, found = False, []
    for number, (one, other) in enumerate(tracks):
        if one.kind not in ("video", "audio"):
            continue
        before, after = (
            sorted(p.pts for p in t.packets if p.pts is not None) for t in (one, other)
        )
        # A packet of sound may be shorter than the others, the last one, or a first one.
        if len(before) < 5 or _spread(before[1:-1]) > one.tick:
            continue
        compared = True
        if _spread(after[1:-1]) > other.tick:
            found.append(f"stream {number}: steps differ by {float(_spread(after)):.2g} s")
    return "; ".join(found) if compared else None


def _spread(times: Sequence[Fraction]) -> Fraction:
    steps = [two - one for one, two in pairwise(times)]
    return max(steps) - min(steps) if steps else Fraction(0)


def blocks(source: Video, target: Video, terms: object) -> Verdict:
    """Blocks of a cluster come by rising times, where no picture is shown out of order."""
    if target.path.suffix not in (".mkv", ".webm") or target.video.codec in _UNORDERED:
        return None
    count = matroska.blocks_going_back(target.path)
    return f"{count} blocks go back in time" if count else ""


def language_tags(source: Video, target: Video, terms: object) -> Verdict:
    """The language of each stream by BCP 47, in the order of tracks."""
    theirs = _tags(source.path)
    if not any(theirs):
        return None
    ours = _tags(target.path)
    return "" if ours == theirs else f"{ours} instead of {theirs}"


def _tags(path: Path) -> list[str | None]:
    if path.suffix in _INDEXED:
        return samples.language_tags(path)
    if path.suffix not in _TAGGED:
        return []
    told = [track.get("language tag") for track in matroska.tracks_of(path)]
    return [None if tag is None else tag.decode() for tag in told]


def track_headers(source: Video, target: Video, terms: object) -> Verdict:
    """How Matroska says that frames are displayed, where chroma lies, and bits of sound."""
    if not {source.path.suffix, target.path.suffix} <= {".mkv", ".webm"} or _is_like(source):
        return None
    theirs, ours = (matroska.tracks_of(video.path) for video in (source, target))
    found = []
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
        for name in matroska.TOLD:
            before, after = (_number(track.get(name)) for track in (one, other))
            if name.startswith("display") and one.keys() & {"display width", "display unit"}:
                before = before if name == "display unit" else _times(before, source, target)
            elif before is None:  # which FFmpeg may know better
                continue
            if before != after:
                found.append(f"the {name} of track {number} is {after} instead of {before}")
    return "; ".join(found) if any(theirs) else None


def _is_like(source: Video) -> bool:
    """Whether a video is not the source, but shows what the source does not."""
    return source.path.stem != "in"


def _number(content: bytes | None) -> int | None:
    return None if content is None else int.from_bytes(content, "big")


def _times(size: int | None, source: Video, target: Video) -> int | None:
    one, other = source.pictures[0].size[0], target.pictures[0].size[0]
    return None if size is None else size * other // one


def seeks(source: Video, target: Video, terms: object) -> Verdict:
    """No keyframe is decoded further ahead of its time than the track's edit says."""
    if target.path.suffix not in _INDEXED or samples.is_fragmented(target.path):
        return None
    late = samples.seeks_late(target.path)
    return "a seek just before a keyframe shows later pictures" if late else ""


def fields(source: Video, target: Video, terms: object) -> Verdict:
    """Title, artist and the like stand where players look for them."""
    if source.path.suffix not in (".mp4", ".m4v") or target.path.suffix not in (".mp4", ".m4v"):
        return None
    theirs, ours = (samples.fields_of(video.path) for video in (source, target))
    if not theirs:
        return None
    lost = sorted(name.decode("latin-1") for name in theirs - ours)
    return f"{', '.join(lost)}: not where players look" if lost else ""


def fragments(source: Video, target: Video, terms: object) -> Verdict:
    """What is fragmented stays so."""
    if source.path.suffix not in _INDEXED or target.path.suffix not in _INDEXED or _is_like(source):
        return None
    theirs, ours = (samples.is_fragmented(video.path) for video in (source, target))
    return "" if theirs == ours else f"{ours} instead of {theirs}"


def delivery(source: Video, target: Video, terms: object) -> Verdict:
    """In a transport stream each packet is there before its time, and no buffer holds more."""
    if target.path.suffix not in (".ts", ".m2ts"):
        return None
    found = deliveries(target.path)
    said = [
        f"packets of PID {pid} are there {one.least:.3f} to {one.most:.3f} s ahead"
        for pid, one in found.items()
        if not 0 < one.least <= one.most <= _LONGEST
    ]
    if source.path.suffix in (".ts", ".m2ts") and not _is_like(source):
        theirs = deliveries(source.path)
        ours, before = (
            [one.packing for one in packed.values() if one.is_sound] for packed in (found, theirs)
        )
        # The muxer fills whole packets of 188 bytes.
        if any(
            abs(one - other) > max(188, other // 4)
            for one, other in zip(ours, before, strict=False)
        ):
            said.append(f"sound comes in {ours} bytes instead of {before}")
    return "; ".join(said)


LAYOUT: Mapping[str, Callable[[Video, Video, object], Verdict]] = {
    "pace": pace,
    "blocks": blocks,
    "language tags": language_tags,
    "track headers": track_headers,
    "seeks": seeks,
    "title fields": fields,
    "fragments": fragments,
    "delivery": delivery,
}
