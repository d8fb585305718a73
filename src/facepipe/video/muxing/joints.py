"""Look at a target's pictures about every joint, as one decoder has to go on from part to part.

The frames on both sides are decoded, and compared with those of the part or the source that they
come from. Whatever else lies within what was copied is not decoded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Part, VideoInfo
from facepipe.errors import MediaError
from facepipe.video.decode import images_from
from facepipe.video.pixel_formats import views, working_format
from facepipe.video.sources import demuxed, open_source

#: How far a frame may be off, as the mean of its luma in code values of 255. Its packet is the
#: same, so it is 0 but for a decoder that rounds otherwise.
_TOLERANCE = 0.5
_KEPT = 32  # images that are kept, so that a decoder gets other memory for the next ones

Luma = NDArray[np.float32]


@dataclass(frozen=True)
class WrittenVideo:
    """The video of a file: where it is, and the sorted pts of its frames."""

    path: Path
    index: int
    time_base: Fraction
    pts: tuple[int, ...]


def check_joints(video: WrittenVideo, target: Path, parts: Sequence[Part], info: VideoInfo) -> None:
    """Raise MediaError unless the frames about every joint look as where they come from.

    `parts` are those that the video was made of, in order; `target` is the file's name to be.
    """
    if len(video.pts) != sum(part.frames for part in parts):
        raise MediaError(f"{target.name} was not written right: {len(video.pts)} frames have times")
    begin = 0
    ends = _ends(parts[0], info)
    for part, following in pairwise([*parts, None]):
        assert part is not None
        stop = begin + part.frames
        next_ends = _ends(following, info) if following is not None else ends
        truths = dict(zip((begin, stop - 1), ends, strict=True))
        if following is not None:
            truths[stop] = next_ends[0]
        for wrong in _wrong_about(video, begin, begin + _last_group(part, info), truths):
            origin = (part, wrong - begin) if wrong < stop else (following, 0)
            if _is_known(*origin, info):
                raise MediaError(_words(video, target, wrong, parts))
        begin, ends = stop, next_ends


def _words(video: WrittenVideo, target: Path, wrong: int, parts: Sequence[Part]) -> str:
    time = float(video.pts[wrong] * video.time_base)
    copies = any(part.span.copied for part in parts)
    remedy = "; --set output.copy_unchanged=false encodes all of it anew" if copies else ""
    return (
        f"{target.name} was not written right: its frame at {time:.2f} s does not decode as it "
        f"should{remedy}"
    )


def _ends(part: Part, info: VideoInfo) -> tuple[Luma | None, Luma | None]:
    """The first and the last frame of a part, from itself or the source; None: does not decode."""
    if part.span.copied:
        inside = _source_pts(part, info)
        return _of_source(info, inside[0]), _of_source(info, inside[-1])
    with av.open(str(Path(part.path).absolute())) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = container.decode(stream)
        first = last = next(frames)
        for frame in frames:
            last = frame
        return _luma(first), _luma(last)


def _source_pts(part: Part, info: VideoInfo) -> Sequence[int]:
    """The pts of a copied part's frames in the source."""
    span = part.span
    return info.pts[bisect_left(info.pts, span.start) : bisect_left(info.pts, span.stop)]


def _of_source(info: VideoInfo, pts: int, *, keep: int = 0) -> Luma | None:
    """A frame of the source; None where it does not decode. `keep` images are kept meanwhile."""
    kept: deque[av.VideoFrame] = deque(maxlen=keep)
    for image in images_from(info, pts, threads=2 if keep else 1):
        if image.pts is None or image.pts > pts:
            return None
        if image.pts == pts:
            return None if image.is_corrupt else _luma(image)
        kept.append(image)
    return None


def _last_group(part: Part, info: VideoInfo) -> int:
    """The number within a part of the frame with which its last group of pictures begins."""
    if not part.span.copied:
        return 0
    inside = _source_pts(part, info)
    starts = [start for start, _ in info.closed_gops if start <= inside[-1]]
    return bisect_left(inside, starts[-1]) if starts else 0


def _is_known(part: Part | None, number: int, info: VideoInfo) -> bool:
    """Whether there is but one way in which a frame decodes where it comes from.

    Damage that no decoder reports may be copied. What it leaves of a frame is what the memory held
    before, another picture whenever it is decoded in another way.
    """
    if part is None or not part.span.copied:
        return True
    pts = _source_pts(part, info)[number]
    one, other = _of_source(info, pts), _of_source(info, pts, keep=_KEPT)
    return one is not None and other is not None and _is_alike(one, other)


def _wrong_about(
    video: WrittenVideo, begin: int, group: int, truths: Mapping[int, Luma | None]
) -> Iterator[int]:
    """The wrong frames where a part begins, and from its last group of pictures on."""
    if group > begin:
        yield from _wrong(video, begin, begin, truths)
    yield from _wrong(video, group, max(truths), truths)


def _wrong(
    video: WrittenVideo, first: int, last: int, truths: Mapping[int, Luma | None]
) -> Iterator[int]:
    """The numbers of frames from `first` to `last` that do not decode, or not as in `truths`."""
    numbers = dict(zip(video.pts[first : last + 1], range(first, last + 1), strict=True))
    missing = {n for n in numbers.values() if n not in truths or truths[n] is not None}
    for image in _images(video, video.pts[first]):
        if image.pts is None:
            continue
        number = numbers.get(image.pts)
        if number is not None and _shows(image, truths.get(number)):
            missing.discard(number)
        if not missing or image.pts > video.pts[last]:
            break
    yield from sorted(missing)


def _shows(image: av.VideoFrame, truth: Luma | None) -> bool:
    """Whether an image decoded, and as it should, where that is known."""
    return not image.is_corrupt and (truth is None or _is_alike(_luma(image), truth))


def _images(video: WrittenVideo, begin: int) -> Iterator[av.VideoFrame]:
    """The decoded frames from the keyframe at pts `begin` on."""
    for is_sought in (True, False) if begin != video.pts[0] else (False,):
        with open_source(video.path) as opened:
            stream = opened.streams[video.index]
            assert isinstance(stream, av.VideoStream)
            stream.thread_type = "AUTO"
            images = _sought(opened, stream, begin) if is_sought else _decoded(opened, stream)
            if images is not None:
                yield from images
                return


def _sought(
    opened: av.container.InputContainer, stream: av.VideoStream, begin: int
) -> Iterator[av.VideoFrame] | None:
    """The frames from the keyframe at pts `begin` on; None where no seek leads there."""
    try:
        opened.seek(begin, stream=stream, backward=True)
    except av.FFmpegError:
        return None
    images = _decoded(opened, stream)
    first = next(images, None)
    if first is None or first.pts is None or first.pts > begin:
        return None  # it landed too late
    return chain([first], images)


def _decoded(
    opened: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    for packet in demuxed(opened, stream):
        with suppress(av.FFmpegError):  # its frame is missed
            yield from stream.codec_context.decode(packet if packet.size else None)


def _luma(image: av.VideoFrame) -> Luma:
    """(H, W) in code values of 255; of RGB the first plane."""
    format = working_format(image.format.name)
    if image.format.name != format.name:
        image = image.reformat(format=format.name, threads=1)
    return views(image)[0].astype(np.float32) / np.float32(2 ** (format.bits - 8))


def _is_alike(one: Luma, other: Luma) -> bool:
    return one.shape == other.shape and float(np.abs(one - other).mean()) <= _TOLERANCE
