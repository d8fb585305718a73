"""Learn what a source holds from its packets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.configs.settings import LimitSettings
from facepipe.datatypes import Damage, StreamInfo, VideoInfo
from facepipe.errors import InputError
from facepipe.video.bitstream import is_random_access, length_size
from facepipe.video.conform import tags_of
from facepipe.video.damage import merged
from facepipe.video.gaps import Layout
from facepipe.video.gop import PacketInfo, closed_gops
from facepipe.video.pixel_formats import pixel_format
from facepipe.video.pyav.alpha import decoder_of
from facepipe.video.pyav.chroma import chroma_location
from facepipe.video.sources import demuxed, describe, open_source
from facepipe.video.streams import codec_name, is_chapter_track, main_video
from facepipe.video.timestamps import is_timed_as_decoded, usual_duration, with_missing

#: Seconds that may be missing at the end of a film by what its container says.
_TOLERATED = Fraction(1, 2)
_EXTENSION, _PICTURE_CODING = b"\x00\x00\x01\xb5", 8  # of MPEG-2
_HEAD_PACKETS = 64  # how many packets may pass before the first picture comes out


def probe(path: Path, limits: LimitSettings | None = None) -> VideoInfo:
    """Read every packet of a local file, decoding no more than its first picture.

    Errors: InputError in one sentence for anything that is no readable film, or is beyond `limits`.
    """
    limits = limits or LimitSettings()
    most_pixels = min(round(limits.frame_megapixels * 10**6), 2**31 - 1)
    with open_source(path, most_pixels=most_pixels) as container:
        streams = {stream.index: stream for stream in container.streams}
        video = main_video(path, streams.values())
        decoder = decoder_of(video)
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str(most_pixels)}
        check_size(path, video.codec_context.width, video.codec_context.height, limits)
        counts: Counter[int] = Counter()
        shown: list[tuple[int, bool, bool]] = []  # pts, keyframe, corrupt
        packed: list[PacketInfo] = []
        layout = Layout()
        wrapping = length_size(codec_name(video), video.codec_context.extradata or b"")
        warnings: list[str] = []
        damage: list[Damage] = []
        unread: str | None = None
        untimed = repeats = lasting = 0
        first: av.VideoFrame | None = None
        head = 0
        packets: Iterator[Packet[Stream]] = demuxed(container)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                unread = describe(error)
                break
            if not packet.size:
                continue
            counts[packet.stream.index] += 1
            if packet.stream.index != video.index:
                layout.add(packet.pos, packet.size, None)
                continue
            layout.add(packet.pos, packet.size, packet.pts)
            if first is None and head < _HEAD_PACKETS:
                head += 1
                first = _first_picture(decoder, packet)
            is_shown = not packet.is_discard and _is_shown(video, packet)
            packed.append(_packed(packet, codec_name(video), wrapping, is_shown))
            if not is_shown:
                continue
            repeats += _repeats_field(video, packet)
            lasting = packet.duration or lasting
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is None:
                untimed += 1
                continue
            shown.append((pts, packet.is_keyframe, packet.is_corrupt))
            if len(shown) > limits.frames:
                raise InputError(
                    f"{path} has more than the {limits.frames} frames that limits.frames allows; "
                    "--set limits.frames=N lifts it"
                )
        while shown and shown[-1][2]:  # the packet that a cut through the file halves
            halved = shown.pop()[0]
            damage.append(Damage(halved, halved, 1, "are incomplete and left out"))
        if not shown:
            raise InputError(f"{path} holds no video frame; its video stream is empty")
        _check_length(path, shown, video, limits)
        times = sorted(pts for pts, _, _ in shown)
        damage += _shortage(container, video, times, counts[video.index], unread)
        damage += layout.lost(container.format.name, times, usual_duration(times))
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
        guessed = is_timed_as_decoded(container.format.name, codec_name(video))
        groups = () if guessed else closed_gops(packed)
        context = video.codec_context
        pix_fmt = first.format.name if first is not None else context.pix_fmt
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
            time_base=Fraction(video.time_base),
            pts=tuple(times),
            keyframe_pts=tuple(sorted(pts for pts, key, _ in shown if key)),
            closed_gops=groups,
            rotation=first.rotation if first is not None else 0,
            sample_aspect_ratio=Fraction(ratio) if ratio else None,
            profile=context.profile,
            tags=tags_of(first) if first is not None else (0, 2, 2, 2),
            damage=merged(damage, times),
            others=tuple(
                StreamInfo(s.index, s.type, codec_name(s), counts[s.index])
                for s in streams.values()
                if s.index != video.index and not is_chapter_track(s)
            ),
            warnings=tuple(warnings),
            chroma_location=chroma_location(video),
        )


def check_size(path: Path, width: int, height: int, limits: LimitSettings) -> None:
    """Raise InputError for a frame larger than `limits` allow."""
    if width * height > limits.frame_megapixels * 10**6:
        raise InputError(
            f"{path} has frames of {width}x{height} px, more than the "
            f"{limits.frame_megapixels:g} megapixels that limits.frame_megapixels allows; "
            f"--set limits.frame_megapixels={-(-width * height // 10**6)} lifts it"
        )


def _check_length(
    path: Path, shown: list[tuple[int, bool, bool]], video: av.VideoStream, limits: LimitSettings
) -> None:
    assert video.time_base is not None
    first, last = min(shown)[0], max(shown)[0]
    hours = (last - first) * video.time_base / 3600
    if hours > limits.hours:
        raise InputError(
            f"{path} lasts {float(hours):.4g} hours by the times of its frames, more than the "
            f"{limits.hours:g} that limits.hours allows; --set limits.hours=N lifts it"
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


def _first_picture(decoder: av.VideoCodecContext, packet: Packet[Stream]) -> av.VideoFrame | None:
    # The display matrix and the exact pixel format are known to decoded pictures only.
    try:
        return next(iter(decoder.decode(packet)), None)
    except av.FFmpegError:
        return None


def _is_shown(video: av.VideoStream, packet: Packet[Stream]) -> bool:
    # VP8 sends reference pictures that are never shown in packets of their own.
    return video.codec_context.name not in ("vp8", "libvpx") or bool(bytes(packet)[0] & 0x10)


def _packed(packet: Packet[Stream], codec: str, wrapping: int | None, is_shown: bool) -> PacketInfo:
    anew = packet.is_keyframe and is_random_access(codec, bytes(packet), wrapping)
    sound = is_shown and packet.pts is not None and not packet.is_corrupt
    return PacketInfo(packet.pts, anew, sound)


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
    times: list[int],
    packets: int,
    unread: str | None,
) -> list[Damage]:
    """What is missing at the end, by what the container says should be there."""
    assert video.time_base is not None
    step = usual_duration(times)
    begin = times[-1] + step
    missing = _stated_packets(container, video) - packets
    if missing > 0:
        end = (video.start_time or 0) + (video.duration or 0) - step
        return [Damage(begin, max(end, begin + (missing - 1) * step), missing, "are cut off")]
    if unread is not None:
        return [Damage(begin, begin, 0, f"cannot be read ({unread})")]
    stated = _stated_end(container, video)
    end = round(stated / video.time_base) - step
    if (end - begin) * video.time_base > _TOLERATED:
        return [Damage(begin, end, 0, "are cut off")]
    return []


def _stated_packets(container: av.container.InputContainer, video: av.VideoStream) -> int:
    """How many packets a mov, mp4 or avi says that it has of the film; 0 where none does."""
    if container.format.name.startswith("mov"):
        # An edit list may end before the film's packets do: what it shows is in the index.
        return min(video.frames, len(video.index_entries))
    return video.frames


def _stated_end(container: av.container.InputContainer, video: av.VideoStream) -> Fraction:
    """When the film ends by the word of a Matroska file, seconds; 0 where it does not say."""
    if "matroska" not in container.format.name:
        return Fraction(0)
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", video.metadata.get("DURATION", ""))
    whole = Fraction(container.duration or 0, av.time_base)
    if told is not None:  # by tools that cut films this may be left as it was
        return min(whole, int(told[1]) * 3600 + int(told[2]) * 60 + Fraction(told[3]))
    return whole if len(container.streams) == 1 else Fraction(0)
