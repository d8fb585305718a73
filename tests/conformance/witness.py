"""What a video holds, seen by PyAV and by the ffprobe program, never by facepipe's own probe."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream, Discard, Disposition, Stream

from media.samples import is_fragmented, shown_until

_COVER = Disposition.attached_pic
# PyAV 19 passes texts that are no UTF-8 so by itself.
_TEXTS: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if av.__version__.startswith("18.") else {}
)
_LIGHT = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)


@dataclass(frozen=True)
class Passed:
    """A packet as it lies in the file; times in seconds."""

    pts: Fraction | None
    duration: Fraction
    digest: str
    hidden: bool  # by an edit list
    side_data: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Track:
    """A stream with all its packets."""

    kind: str
    codec: str
    tick: Fraction
    metadata: Mapping[str, str]
    disposition: Disposition
    shape: tuple[object, ...]  # what else a decoder is told: rate, layout, size, extradata
    packets: tuple[Passed, ...]
    samples: int | None  # how many sound samples decode
    end: Fraction | None = None  # of pictures: when the last one is over, where the video says so


@dataclass(frozen=True)
class Picture:
    """A decoded frame, without its pixels."""

    pts: Fraction | None
    size: tuple[int, int]
    format: str
    colour: tuple[int, int, int, int]  # range, matrix, primaries, transfer
    matrix: bytes  # the display matrix
    light: tuple[bytes, ...]
    interlaced: bool
    captions: bytes


@dataclass(frozen=True)
class Video:
    """All that a video is."""

    path: Path
    video: Track
    pictures: tuple[Picture, ...]
    frames: tuple[av.VideoFrame, ...]
    first_field: tuple[str, ...]  # "top", "bottom" or "" for each picture
    aspect: Fraction | None
    others: tuple[Track, ...]
    covers: tuple[str, ...]
    attachments: tuple[tuple[str | None, str | None, str], ...]
    chapters: tuple[tuple[Fraction, Fraction, str], ...]
    metadata: Mapping[str, str]
    repeated: int  # pictures of MPEG-2 that ask for a field to be shown twice, by their packets
    second: Mapping[str, Any] | None  # ffprobe's account
    complaints: str | None  # ffmpeg's, None where it did not play


def look(path: Path, programs: Programs) -> Video:
    """Read and decode all of a video, on which `programs` are at work."""
    frames = tuple(decoded(path))
    with av.open(str(path), **_TEXTS) as container:
        main = main_video(container)
        aspect = main.sample_aspect_ratio
        others = [s for s in container.streams if s.index != main.index and _is_timed(s)]
        indices = [main.index, *(s.index for s in others)]
        chapters = tuple(_chapter(c) for c in container.chapters())
        attachments = tuple(
            (s.name, s.mimetype, _digest(s.data))
            for s in container.streams
            if isinstance(s, AttachmentStream)
        )
        metadata = dict(container.metadata)
    packets = _packets(path, indices)
    tracks = [_track(path, index, packets[index]) for index in indices]
    return Video(
        path=path,
        video=tracks[0],
        pictures=tuple(_picture(frame) for frame in frames),
        frames=frames,
        first_field=_first_fields(frames),
        aspect=aspect or None,
        others=tuple(tracks[1:]),
        covers=tuple(_covers(path)),
        attachments=attachments,
        chapters=chapters,
        metadata=metadata,
        repeated=_repeated(path),
        second=programs.account(),
        complaints=programs.complaints(),
    )


def main_video(container: InputContainer) -> av.VideoStream:
    """The largest stream of pictures that is no cover; LookupError where there is none."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not videos:
        raise LookupError("there is no stream of pictures in it")
    return max(videos, key=lambda stream: stream.width * stream.height)


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    """The pictures of the video."""
    with av.open(str(path), **_TEXTS) as container:
        main = main_video(container)
        says = {key.lower(): value for key, value in main.metadata.items()}
        if says.get("alpha_mode") == "1" and main.codec_context.name == "vp9":
            yield from _with_alpha(container, main)
        else:
            yield from container.decode(main)


def _with_alpha(container: InputContainer, main: av.VideoStream) -> Iterator[av.VideoFrame]:
    # FFmpeg's own decoder of VP9 leaves the second picture, which is the alpha, unread.
    context = av.CodecContext.create("libvpx-vp9", "r")
    for packet in container.demux(main):
        yield from context.decode(packet if packet.size else None)


def _is_timed(stream: Stream) -> bool:
    chapters = stream.discard == Discard.all
    return stream.type != "attachment" and not stream.disposition & _COVER and not chapters


def _picture(frame: av.VideoFrame) -> Picture:
    base = frame.time_base
    side = frame.side_data
    return Picture(
        pts=frame.pts * base if frame.pts is not None and base else None,
        size=(frame.width, frame.height),
        format=frame.format.name,
        colour=(
            int(frame.color_range),
            int(frame.colorspace),
            int(frame.color_primaries),
            int(frame.color_trc),
        ),
        matrix=_side(side, Type.DISPLAYMATRIX),
        light=tuple(_side(side, kind) for kind in _LIGHT),
        interlaced=frame.interlaced_frame,
        captions=_side(side, Type.A53_CC),
    )


def _side(side: Any, kind: Type) -> bytes:
    return bytes(side[kind]) if kind in side else b""


def _packets(path: Path, indices: list[int]) -> dict[int, list[Passed]]:
    found: dict[int, list[Passed]] = {index: [] for index in indices}
    with av.open(str(path), **_TEXTS) as container:
        for packet in container.demux():
            index = packet.stream_index
            if not packet.size or index not in found or _is_pause(packet):
                continue
            base = packet.time_base
            time = packet.pts if packet.pts is not None else packet.dts
            found[index].append(
                Passed(
                    pts=time * base if time is not None else None,
                    duration=(packet.duration or 0) * base,
                    digest=_digest(_payload(packet)),
                    hidden=packet.is_discard and packet.stream.type == "video",
                    side_data=tuple(
                        sorted(
                            (d.data_type, bytes(d))
                            for d in packet.iter_sidedata()
                            if d.data_type == "skip_samples"
                        )
                    ),
                )
            )
    return found


def _is_pause(packet: Packet[Stream]) -> bool:
    """Whether a packet of mov_text holds the nothing between two captions."""
    context = packet.stream.codec_context
    return bytes(packet) == b"\0\0" and context is not None and context.codec.name == "mov_text"


def _payload(packet: Packet[Stream]) -> bytes:
    content = bytes(packet)
    context = packet.stream.codec_context
    if packet.stream.type == "audio" and context.codec.name == "aac" and not context.extradata:
        return content[7 if content[1] & 1 else 9 :]  # behind the header of a transport stream
    return content


def _track(path: Path, index: int, packets: list[Passed]) -> Track:
    with av.open(str(path), **_TEXTS) as container:
        stream = container.streams[index]
        shape: tuple[object, ...] = (None,)
        samples = None
        context = stream.codec_context
        if isinstance(stream, av.AudioStream):
            audio = stream.codec_context
            shape = (audio.sample_rate, audio.layout.name, audio.extradata or None)
            samples = sum(frame.samples for frame in container.decode(stream))
        elif isinstance(stream, av.VideoStream):
            video = stream.codec_context
            shape = (video.width, video.height, stream.sample_aspect_ratio)
        elif context is not None:
            shape = (context.extradata or None,)
        return Track(
            kind=stream.type,
            codec=context.codec.canonical_name if context is not None else str(stream.name),
            tick=stream.time_base or Fraction(1),
            metadata=dict(stream.metadata),
            disposition=stream.disposition,
            shape=shape,
            packets=tuple(packet for packet in packets if not packet.hidden),
            samples=samples,
            end=_end(container, stream, packets) if stream.type == "video" else None,
        )


def _end(container: InputContainer, stream: Stream, packets: list[Passed]) -> Fraction | None:
    if "mpegts" in container.format.name:  # holds no lengths
        return None
    timed = [(p.pts, p.duration) for p in packets if p.pts is not None and not p.hidden]
    last, lasting = max(timed, default=(Fraction(0), Fraction(0)))
    if "mov" not in container.format.name:
        return last + lasting if lasting else None
    # There packets tell how long they take to decode, and the stream when it ends.
    if stream.duration is None or not stream.time_base:
        return None
    whole = Fraction(stream.duration * stream.time_base)
    end = whole + (stream.start_time or 0) * stream.time_base
    if is_fragmented(Path(container.name)) and whole > last:
        end = whole  # there FFmpeg counts from the first decoding time, or from zero
    # FFmpeg ends where the last packet is decoded, and edits where the last frame has been shown.
    end = max(end, shown_until(Path(container.name), stream.id) or end)
    return min([end, *(p.pts for p in packets if p.hidden and p.pts is not None and p.pts > last)])


def _covers(path: Path) -> Iterator[str]:
    with av.open(str(path), **_TEXTS) as container:
        pictures = [s for s in container.streams.video if s.disposition & _COVER]
        for packet in container.demux(pictures) if pictures else ():
            if packet.size:
                yield _digest(bytes(packet))


def _chapter(chapter: Any) -> tuple[Fraction, Fraction, str]:
    base = chapter["time_base"]
    return chapter["start"] * base, chapter["end"] * base, chapter["metadata"].get("title", "")


def _first_fields(frames: tuple[av.VideoFrame, ...]) -> tuple[str, ...]:
    fields = [""] * len(frames)
    if any(frame.interlaced_frame for frame in frames):
        # PyAV does not tell which field is first, FFmpeg's select filter does.
        for word, name in (("TOPFIRST", "top"), ("BOTTOMFIRST", "bottom")):
            for number in _selected(frames, f"eq(interlace_type\\,{word})"):
                fields[number] = name
    return tuple(fields)


def _repeated(path: Path) -> int:
    """Pictures whose coding extension sets repeat_first_field (ISO/IEC 13818-2, 6.2.3.1)."""
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        main = main_video(container)
        if main.codec_context.name != "mpeg2video":
            return 0
        return sum(
            extension[0] >> 4 == 8 and bool(extension[3] & 0x02)
            for packet in container.demux(main)
            for extension in bytes(packet).split(b"\x00\x00\x01\xb5")[1:]
            if len(extension) > 3
        )


def _selected(frames: tuple[av.VideoFrame, ...], expression: str) -> Iterator[int]:
    first, graph = frames[0], av.filter.Graph()
    begin = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=Fraction(1)
    )
    chosen, end = graph.add("select", expression), graph.add("buffersink")
    begin.link_to(chosen)
    chosen.link_to(end)
    graph.configure()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, Fraction(1)
        graph.push(frame)
        try:
            graph.pull()
        except (av.BlockingIOError, av.EOFError):
            continue
        yield number


def _digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


class Programs:
    """The ffprobe and ffmpeg programs at work on a video while other things are done."""

    def __init__(self, path: Path, *, play: bool) -> None:
        self.path = path
        entries = "frame=interlaced_frame,top_field_first,repeat_pict,sample_aspect_ratio"
        self._told = _started(
            "ffprobe", "-of", "json", "-show_streams", "-select_streams", _main_index(path),
            "-show_entries", entries, path,
        )  # fmt: skip
        self._played = _played(path) if play else None

    def account(self) -> Mapping[str, Any] | None:
        """What ffprobe tells of the pictures; None where it cannot, or is not installed."""
        if self._told is None:
            return None
        said, _ = self._told.communicate()
        if self._told.returncode:
            return None
        account: Mapping[str, Any] = json.loads(said)
        known = account.get("streams") and "pix_fmt" in account["streams"][0]
        return account if known else None  # what is newer than the program is not seen by it

    def complaints(self) -> str | None:
        """What ffmpeg said while it played the video; None where it is not installed."""
        return _complaints(self._played)

    def end(self) -> None:
        """Wait until both are through."""
        for process in (self._told, self._played):
            if process is not None:
                process.communicate()


def complaints(path: Path) -> str | None:
    """What the ffmpeg program says while it plays a video; None where it is not installed."""
    return _complaints(_played(path))


def _played(path: Path) -> subprocess.Popen[bytes] | None:
    pictures = f"0:{_main_index(path)}"
    return _started("ffmpeg", "-i", path, "-map", pictures, "-map", "0:a?", "-f", "null", "-")


def _main_index(path: Path) -> str:
    """What the programs call the main stream; their own choice where PyAV finds none."""
    try:
        with av.open(str(path), **_TEXTS) as container:
            return str(main_video(container).index)
    except (LookupError, av.FFmpegError):
        return "V:0"


def _complaints(process: subprocess.Popen[bytes] | None) -> str | None:
    if process is None:
        return None
    _, said = process.communicate()
    return said.decode(errors="replace").strip()


def _started(name: str, *arguments: str | Path) -> subprocess.Popen[bytes] | None:
    program = shutil.which(name)
    if program is None:
        return None
    call = [program, "-v", "error", "-threads", "1", *map(str, arguments)]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
