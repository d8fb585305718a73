"""What players and packagers ask of headers and packets: the rate, keyframes, the profile."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.codec import Codec

from conformance.readings import listed, seconds, told
from conformance.witness import Video, main_video

#: By rising demands; what is not here is not compared.
_PROFILES = ("Constrained Baseline", "Baseline", "Main", "High")
_LAST_SECOND = Fraction(1)


def stated_rate(source: Video, target: Video, terms: object) -> str | None:
    """The frame rate in the codec's headers, from the first picture to the last."""
    codec = source.video.codec
    if codec not in ("h264", "hevc") or target.video.codec != codec:
        return None
    theirs, ours = (_rates(video.path) for video in (source, target))
    return "" if ours == theirs else f"{listed(ours)} instead of {listed(theirs)}"


def keyframes(source: Video, target: Video, terms: object) -> str | None:
    """No further apart than in the source; in a transport stream, one in the last second."""
    theirs, ours = (_distances(video.path) for video in (source, target))
    alone = all(distance == step for distance, step in theirs)
    if len(theirs) < 2 or not ours or (alone and source.video.codec != target.video.codec):
        return None
    if Codec(source.video.codec, "r").intra_only:
        return None
    if all(distance == step for distance, step in ours):
        return ""  # where packets are fields, the source's are half as far apart
    most, longest = (max(distance for distance, _ in one) for one in (theirs, ours))
    if longest > most + target.video.tick + source.video.tick:
        return f"{seconds(longest)} apart instead of {seconds(most)}"
    last = ours[-1][0]
    if target.path.suffix == ".ts" and last > max(_LAST_SECOND, theirs[-1][0]) + target.video.tick:
        return f"the last one is {seconds(last)} before the end"
    return ""


def profile(source: Video, target: Video, terms: object) -> str | None:
    """The profile of H.264 asks no more of a decoder than the source does; so does the level."""
    profiles = [_profile(video) for video in (source, target)]
    if not all(name in _PROFILES for name in profiles):
        return None
    theirs, ours = (_PROFILES.index(name) for name in profiles)
    if ours > theirs:
        return f"{profiles[1]} instead of {profiles[0]}"
    sizes = [video.pictures[0].size for video in (source, target)]
    if not (source.second and target.second) or sizes[0] != sizes[1]:
        return ""
    before, after = (told(video, "level") for video in (source, target))
    higher = isinstance(before, int) and isinstance(after, int) and after > before
    return f"level {after} instead of {before}" if higher else ""


def _profile(video: Video) -> str:
    if video.video.codec != "h264" or not video.pictures:
        return ""
    with av.open(str(video.path)) as container:
        stream = main_video(container)
        next(container.decode(stream), None)
        return str(stream.codec_context.profile)


def _rates(path: Path) -> set[Fraction]:
    """What a decoder that knows the stream alone takes for the rate, at each picture."""
    found = set()
    with av.open(str(path)) as container:
        stream = main_video(container)
        decoder = av.CodecContext.create(stream.codec_context.name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = stream.codec_context.extradata
        for packet in container.demux(stream):  # the last one is empty and brings out the rest
            if decoder.decode(packet if packet.size else None):
                found.add(decoder.framerate or Fraction(0))
    return found


def _distances(path: Path) -> list[tuple[Fraction, Fraction]]:
    """From each keyframe to the next, or to the end: how long, and how long one frame is shown."""
    with av.open(str(path)) as container:
        stream = main_video(container)
        shown = {
            packet.pts: packet.is_keyframe
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and not packet.is_discard
        }
        base = stream.time_base or Fraction(1)
    times = sorted(shown)
    if len(times) < 2:
        return []
    steps = dict(pairwise([*times, 2 * times[-1] - times[-2]]))
    keys = [time for time in times if shown[time]]
    pairs = pairwise([*keys, steps[times[-1]]])
    return [((after - time) * base, (steps[time] - time) * base) for time, after in pairs]


ENCODING = {"stated rate": stated_rate, "keyframes": keyframes, "profile": profile}
