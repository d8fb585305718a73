"""Learn what a source holds from its packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from facepipe.errors import InputError
from facepipe.frames import StreamInfo, VideoInfo
from facepipe.media.alpha import alpha_decoder
from facepipe.media.chroma import chroma_location
from facepipe.media.containers import describe, open_source
from facepipe.media.formats import pixel_format
from facepipe.media.timing import with_missing

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_EXTENSION, _PICTURE_CODING = b"\x00\x00\x01\xb5", 8  # of MPEG-2
_HEAD_PACKETS = 64  # how many packets may pass before the first picture comes out


def probe(path: Path) -> VideoInfo:
    """Read every packet of a local file, decoding no more than its first picture.

    Errors: InputError in one sentence for anything that is no readable film.
    """
    with open_source(path) as container:
        streams = {stream.index: stream for stream in container.streams}
        video = main_video(path, streams.values())
        video.codec_context.thread_count = 1
        counts: Counter[int] = Counter()
        shown: list[tuple[int, bool, bool]] = []  # pts, keyframe, corrupt
        warnings: list[str] = []
        untimed = repeats = lasting = 0
        first: av.VideoFrame | None = None
        seen_through = alpha_decoder(video)
        whole: av.VideoFrame | None = None
        head = 0
        packets = container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                warnings.append(f"reading stopped early: {describe(error)}")
                break
            if not packet.size:
                continue
            counts[packet.stream.index] += 1
            if packet.stream.index != video.index:
                continue
            if first is None and head < _HEAD_PACKETS:
                head += 1
                first = _first_picture(video.codec_context, packet)
                whole = _first_picture(seen_through, packet) if seen_through else first
            if packet.is_discard or not _is_shown(video, packet):
                continue
            repeats += _repeats_field(video, packet)
            lasting = packet.duration or lasting
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is None:
                untimed += 1
                continue
            shown.append((pts, packet.is_keyframe, packet.is_corrupt))
        while shown and shown[-1][2]:  # the packet that a cut through the file halves
            shown.pop()
            warnings.append("the last packet is incomplete and left out")
        if not shown:
            raise InputError(f"{path} holds no video frame; its video stream is empty")
        times = sorted(pts for pts, _, _ in shown)
        if untimed:
            times = with_missing(times, untimed, lasting)
            warnings.append(
                f"{untimed} video packets carry no time; it was worked out from the others"
            )
        double = len(times) - len(set(times))
        if double:
            warnings.append(f"{double} pictures have another's time and come a tick after it")
        if repeats:
            warnings.append(
                f"{repeats} pictures ask for a field to be shown twice; they are shown for as long"
            )
        warnings += _shortage(container, video, shown, counts[video.index])
        context = video.codec_context
        pix_fmt = whole.format.name if whole is not None else context.pix_fmt
        if pix_fmt is None:
            raise InputError(f"{path}: no picture of its {codec_name(video)} video decodes")
        pixel_format(pix_fmt)  # fails early on formats that facepipe cannot read
        ratio = video.sample_aspect_ratio
        assert video.time_base is not None
        return VideoInfo(
            path=str(path),
            container=container.format.name,
            stream_index=video.index,
            codec=codec_name(video),
            width=first.width if first is not None else context.width,
            height=first.height if first is not None else context.height,
            pix_fmt=pix_fmt,
            time_base=video.time_base,
            pts=tuple(times),
            keyframe_pts=tuple(sorted(pts for pts, key, _ in shown if key)),
            rotation=first.rotation if first is not None else 0,
            sample_aspect_ratio=ratio if ratio else None,
            others=tuple(
                StreamInfo(s.index, s.type, codec_name(s), counts[s.index])
                for s in streams.values()
                if s.index != video.index and not is_chapter_track(s)
            ),
            warnings=tuple(warnings),
            chroma_location=chroma_location(video),
        )


@dataclass(frozen=True)
class Head:
    """What the head of a film says of its video; 0 where it says nothing."""

    width: int
    height: int
    frames: int
    seconds: float


def glance(path: Path) -> Head:
    """What a film's head says, which may be wrong and is read at once. InputError as `probe`."""
    with open_source(path) as container:
        video = main_video(path, container.streams)
        seconds = float((video.duration or 0) * (video.time_base or 0))
        seconds = seconds or (container.duration or 0) / av.time_base
        frames = video.frames or round(seconds * float(video.average_rate or 0))
        context = video.codec_context
        return Head(context.width, context.height, frames, seconds)


def main_video(path: Path, streams: Iterable[Stream]) -> av.VideoStream:
    """The first video stream that is a film and no cover; InputError when there is none."""
    kinds = []
    for stream in streams:
        if isinstance(stream, av.VideoStream) and not stream.disposition & _PICTURES:
            if not has_decoder(stream):
                raise InputError(f"{path}: there is no decoder for its video stream")
            return stream
        kinds.append(stream.type)
    found = ", ".join(kinds) or "no stream at all"
    raise InputError(f"{path} holds no video stream, but {found}; give a video file")


def is_chapter_track(stream: Stream) -> bool:
    """Whether a stream is how mov and mp4 store chapters, which are copied as chapters."""
    return stream.type in ("data", "subtitle") and stream.discard == Discard.all


def has_decoder(stream: Stream) -> bool:
    """Whether FFmpeg knows how to read a stream; PyAV keeps no codec context for others."""
    context: object = stream.codec_context
    return context is not None


def codec_name(stream: Stream) -> str:
    """The codec's name whatever decoder reads it: av1 for libdav1d."""
    if has_decoder(stream):
        return str(stream.codec_context.codec.canonical_name)
    return str(getattr(stream, "name", None) or "unknown")


def _first_picture(decoder: av.VideoCodecContext, packet: Packet[Stream]) -> av.VideoFrame | None:
    # The display matrix and the exact pixel format are known to decoded pictures only.
    try:
        return next(iter(decoder.decode(packet)), None)
    except av.FFmpegError:
        return None


def _is_shown(video: av.VideoStream, packet: Packet[Stream]) -> bool:
    # VP8 sends reference pictures that are never shown in packets of their own.
    return video.codec_context.name not in ("vp8", "libvpx") or bool(bytes(packet)[0] & 0x10)


def _repeats_field(video: av.VideoStream, packet: Packet[Stream]) -> bool:
    """Whether a picture of MPEG-2 wants its first field shown again, as film on television does."""
    if video.codec_context.name != "mpeg2video":
        return False
    data = bytes(packet)
    at = data.find(_EXTENSION)
    while at >= 0 and len(data) > at + 7:
        if data[at + 4] >> 4 == _PICTURE_CODING:
            return bool(data[at + 7] & 0x02)
        at = data.find(_EXTENSION, at + 4)
    return False


def _shortage(
    container: av.container.InputContainer,
    video: av.VideoStream,
    shown: list[tuple[int, bool, bool]],
    packets: int,
) -> list[str]:
    if video.frames > packets:  # mov and mp4 list every packet in their index
        return [f"the file is cut short: {packets} of {video.frames} video packets are there"]
    if container.duration is None or "matroska" not in container.format.name:
        return []
    assert video.time_base is not None
    end = float(max(pts for pts, _, _ in shown) * video.time_base)
    stated = container.duration / av.time_base
    if stated - end > max(2.0, 0.02 * stated) and len(container.streams) == 1:
        return [f"the file may be cut short: {end:.1f} s of {stated:.1f} s are there"]
    return []
