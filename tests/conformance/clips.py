"""Videos with everything that a container can hold: frames by `synthetic.video`, more beside them.

`assemble` takes the pictures of one video and adds sounds, captions, data, covers and attachments,
each at its own times.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from media import synthetic

MS = Fraction(1, 1000)
Packets: TypeAlias = "list[Packet[Stream]]"
Chapter = tuple[float, float, str]  # from and to in seconds, title


@dataclass(frozen=True)
class Sound:
    """A tone; `start` and `seconds` in seconds."""

    codec: str = "aac"
    rate: int = 8000
    layout: str = "mono"
    start: float = 0.0
    seconds: float = 1.0
    language: str | None = None
    disposition: int = 0
    title: str | None = None

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        stream = out.add_stream(self.codec, rate=self.rate, layout=self.layout)
        assert isinstance(stream, av.AudioStream)
        if self.codec in ("vorbis", "opus"):
            stream.codec_context.options = {"strict": "experimental"}
        _mark(stream, self.language, self.disposition, self.title)
        return lambda: self._encoded(stream)

    def _encoded(self, stream: av.AudioStream) -> Packets:
        codec = stream.codec_context
        names = codec.codec.audio_formats
        resampler = av.AudioResampler(
            names[0].name if names else "s16", self.layout, self.rate, codec.frame_size or None
        )
        channels = codec.layout.nb_channels
        count = round(self.seconds * self.rate)
        wave = (np.sin(np.arange(count * channels) * 0.11) * 9000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, "s16", self.layout)
        frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
        frame.pts = round(self.start * self.rate)
        ready = chain(resampler.resample(frame), resampler.resample(None))
        packets = [packet for given in ready for packet in stream.encode(given)]
        return [*packets, *stream.encode(None)]


@dataclass(frozen=True)
class Captions:
    """Captions in their packets: `shown` are start and length in ms, and what is in the packet."""

    codec: str = "subrip"
    shown: Sequence[tuple[int, int, bytes]] = ((120, 300, b"Hello"), (600, 300, b"Good bye"))
    language: str | None = None
    disposition: int = 0
    title: str | None = None

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        if self.codec in ("hdmv_pgs_subtitle", "dvb_teletext"):
            stream = out.add_mux_stream(self.codec)
        else:
            stream = out.add_stream(self.codec)
            stream.codec_context.subtitle_header = _STYLES  # type: ignore[union-attr]
        stream.time_base = MS
        _mark(stream, self.language, self.disposition, self.title)
        return lambda: [_packet(stream, self._payload(n), *when) for n, when in enumerate(
            (start, lasting) for start, lasting, _ in self.shown)]  # fmt: skip

    def _payload(self, number: int) -> bytes:
        words = self.shown[number][2]
        if self.codec == "mov_text":
            return len(words).to_bytes(2, "big") + words
        return b"%d,0,Default,,0,0,0,," % number + words if self.codec == "ass" else words


@dataclass(frozen=True)
class Data:
    """Packets of a kind that is neither picture, sound nor caption."""

    codec: str = "klv"
    shown: Sequence[tuple[int, int, bytes]] = (
        (0, 40, b"\x06\x0e" * 12),
        (400, 40, b"\x2b\x34" * 9),
    )

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        stream = out.add_data_stream(self.codec)
        stream.time_base = MS
        return lambda: [_packet(stream, what, at, lasting) for at, lasting, what in self.shown]


@dataclass(frozen=True)
class Attached:
    """A file within the video: fonts, and in Matroska covers."""

    name: str = "letters.ttf"
    mime: str = "application/x-truetype-font"
    content: bytes = b"not a font" * 9

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        out.add_attachment(self.name, self.mime, self.content)
        return list


@dataclass(frozen=True)
class Cover:
    """A picture of the video as mp4 and mov keep it: a stream of one packet."""

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        stream = out.add_mux_stream("mjpeg", width=32, height=32)
        stream.time_base = Fraction(1, 90000)
        stream.disposition = Disposition.attached_pic
        return lambda: [_packet(stream, still("mjpeg"), 0, 0)]


@dataclass(frozen=True)
class Second:
    """The pictures of another video as another stream."""

    make: Callable[[Path], Path]
    disposition: int = 0
    language: str | None = None

    def add(self, out: OutputContainer) -> Callable[[], Packets]:
        with (
            tempfile.TemporaryDirectory() as folder,
            av.open(str(self.make(Path(folder) / "second.mp4"))) as container,
        ):
            source = container.streams.video[0]
            stream = out.add_stream_from_template(source, opaque=True)
            _mark(stream, self.language, self.disposition, None)
            packets = [packet for packet in container.demux(source) if packet.size]
        for packet in packets:
            packet.stream = stream
        return lambda: packets  # type: ignore[return-value]


Extra = Sound | Captions | Data | Attached | Cover | Second


@dataclass(frozen=True)
class Marks:
    """What is said of a video and of its pictures."""

    file: dict[str, str] = field(default_factory=dict)
    video: dict[str, str] = field(default_factory=dict)
    disposition: int = 0
    chapters: Sequence[Chapter] = ()


def assemble(
    path: Path,
    video: Callable[[Path], Path],
    *extras: Extra,
    marks: Marks | None = None,
    shift: float = 0.0,
    retimed: Callable[[int, int], int] | None = None,
    matrix: Callable[[av.VideoStream], None] | None = None,
    options: dict[str, str] | None = None,
    before: Sequence[Extra] = (),
    through: str = ".mp4",
    rate: Fraction | None = Fraction(25),
) -> Path:
    """Write to `path` the pictures of `video` with `extras` after them and `before` ahead of them.

    `shift` moves the pictures, in seconds; `retimed` gives each packet (number, pts in ticks) a pts
    of its own; `matrix` sets the display matrix; `options` are the muxer's; `through` is the
    container from which the pictures are taken.
    """
    marks = marks or Marks()
    with tempfile.TemporaryDirectory() as folder:
        made = video(Path(folder) / f"pictures{through}")
        with (
            av.open(str(made)) as given,
            av.open(str(path), "w", container_options=options or {}) as out,
        ):
            ready = [extra.add(out) for extra in before]
            stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
            stream.time_base = given.streams.video[0].time_base
            if rate is not None:
                stream.codec_context.framerate = rate
            stream.metadata.update(marks.video)
            if marks.disposition:
                stream.disposition = Disposition(marks.disposition)
            if matrix is not None:
                matrix(stream)
            ready += [extra.add(out) for extra in extras]
            out.metadata.update(marks.file)
            if marks.chapters:
                out.set_chapters([
                    {"id": n, "start": round(begin * 1000), "end": round(end * 1000),
                     "time_base": MS, "metadata": {"title": title}}
                    for n, (begin, end, title) in enumerate(marks.chapters, 1)
                ])  # fmt: skip
            packets = _pictures(given, stream, shift, retimed)
            if rate is None:
                _give_lengths(packets)
            for made_ready in ready:
                packets += made_ready()
            for packet in sorted(packets, key=_when):
                out.mux_one(packet)
    return path


def _pictures(
    given: InputContainer,
    stream: av.VideoStream,
    shift: float,
    retimed: Callable[[int, int], int] | None,
) -> Packets:
    packets: Packets = []
    for packet in given.demux(given.streams.video[0]):
        if not packet.size:
            continue
        assert packet.pts is not None
        assert packet.dts is not None
        moved = round(Fraction(shift) / packet.time_base)
        packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
        if retimed is not None:
            packet.pts = packet.dts = retimed(len(packets), packet.pts)
            packet.duration = 0
        packet.stream = stream
        packets.append(packet)  # type: ignore[arg-type]
    return packets


def _give_lengths(packets: Packets) -> None:
    """Each frame lasts until the next one, the last as long as the one before it."""
    ordered = sorted(packets, key=lambda packet: packet.pts or 0)
    for packet, after in pairwise(ordered):
        packet.duration = (after.pts or 0) - (packet.pts or 0)
    ordered[-1].duration = ordered[-2].duration


def _when(packet: Packet[Stream]) -> Fraction:
    time = packet.dts if packet.dts is not None else packet.pts
    return (time or 0) * Fraction(packet.time_base)


def _packet(stream: Stream, payload: bytes, start: int, lasting: int) -> Packet[Stream]:
    packet: Packet[Stream] = Packet(payload)
    packet.stream = stream
    packet.time_base = MS
    packet.pts = packet.dts = start
    packet.duration = lasting
    packet.is_keyframe = True
    return packet


def _mark(stream: Stream, language: str | None, disposition: int, title: str | None) -> None:
    if language is not None:
        stream.metadata["language"] = language
    if title is not None:
        stream.metadata["title"] = title
    if disposition:
        stream.disposition = Disposition(disposition)


def still(codec: str, side: int = 32) -> bytes:
    """One small picture, as JPEG ("mjpeg") or PNG ("png")."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width = context.height = side
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(synthetic.picture(0, side, side), "rgb24")
    frame = frame.reformat(format=context.pix_fmt)
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])


def pgs(width: int, height: int) -> list[tuple[int, int, bytes]]:
    """A box of 8 by 8 px, shown from 0.2 to 0.8 s: two display sets in HDMV's segments."""

    def segment(kind: int, body: bytes) -> bytes:
        return struct.pack(">BH", kind, len(body)) + body

    def composition(number: int, state: int, objects: bytes, count: int) -> bytes:
        head = struct.pack(">HHBHBBBB", width, height, 0x10, number, state, 0, 0, count)
        return segment(0x16, head + objects)

    window = segment(0x17, struct.pack(">BBHHHH", 1, 0, 4, 4, 8, 8))
    palette = segment(0x14, bytes([0, 0, 1, 180, 128, 128, 255]))
    line = b"\x01" * 8 + b"\x00\x00"
    body = struct.pack(">HH", 8, 8) + line * 8
    drawn = segment(0x15, struct.pack(">HBB", 0, 0, 0xC0) + len(body).to_bytes(3, "big") + body)
    place = struct.pack(">HBBHH", 0, 0, 0, 4, 4)
    end = segment(0x80, b"")
    shown = composition(0, 0x80, place, 1) + window + palette + drawn + end
    return [(200, 0, shown), (800, 0, composition(1, 0, b"", 0) + window + end)]


_STYLES = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    b"Format: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n\n[Events]\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
