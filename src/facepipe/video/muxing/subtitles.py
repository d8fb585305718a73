"""Conversion of text subtitles to the codec that a container takes: text, lines and times stay.

Bold, italic and underlined letters stay too; other styles and places do not. FFmpeg reads the
subtitles, as events of ASS, and writes them; here is what it leaves to its user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from facepipe.video.containers import Container
from facepipe.video.muxing.sound import decoded_to
from facepipe.video.streams import codec_name, has_decoder

#: Codecs of subtitles that are text, whatever else they have.
TEXT_CODECS = ("subrip", "text", "mov_text", "webvtt", "ass")
_STYLED = ("ass",)
_MAX_BYTES = 60_000  # of one subtitle: mov_text counts to 65,535
_MAX_SECONDS = 5  # for which a subtitle without an end is shown, where none follows
_FIELDS = 8  # of an event of ASS before its text
_BLOCK = re.compile(r"(\{[^}]*\})")
_DRAWING = re.compile(r"\\p(\d+)")


def converted_to(stream: Stream, container: Container) -> str | None:
    """The codec to which subtitles or audio are converted for a container; None: they are not."""
    if stream.type == "audio":
        return decoded_to(stream, container)
    codec = codec_name(stream)
    if stream.type != "subtitle" or codec not in TEXT_CODECS or not has_decoder(stream):
        return None
    return None if container.takes(codec) else container.subtitle_codec


def loses_style(stream: Stream) -> bool:
    """Whether subtitles have styles and places that a conversion drops."""
    return codec_name(stream) in _STYLED


@dataclass(frozen=True)
class _Subtitle:
    """Text that is shown from `start` to `end` (ticks of the source; None: until the next)."""

    start: int
    end: int | None
    style: str  # its name
    text: str  # of ASS: lines end with \N, styles stand in braces


class SubtitleConverter:
    """Converts one stream of subtitles to another codec, packet by packet."""

    def __init__(self, out: OutputContainer, source: Stream, codec: str) -> None:
        """Add the stream to a container that is not started yet."""
        assert isinstance(source, SubtitleStream)
        self._reader: SubtitleCodecContext = source.codec_context
        self._reader.open(strict=False)
        made = out.add_stream(codec)
        assert isinstance(made, SubtitleStream)
        self._writer: SubtitleCodecContext = made.codec_context
        self._writer.subtitle_header = self._reader.subtitle_header
        self._writer.time_base = Fraction(1, 1000)
        self.stream: SubtitleStream = made
        self._base = source.time_base or Fraction(1, 1000)
        self._escape = codec == "webvtt"
        # mov_text shows one subtitle at a time; in the others they may overlap.
        self._alone = codec == "mov_text"
        self._shown: list[_Subtitle] = []
        self._at = 0

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """What a packet of the source becomes; it may come later, with another one's."""
        subtitle = self._read(packet)
        if subtitle is None:
            return
        if not self._alone:
            yield self._written(subtitle.start, subtitle.end, [subtitle])
            return
        yield from self._until(subtitle.start)
        self._at = subtitle.start
        self._shown.append(subtitle)

    def rest(self) -> Iterator[Packet[Stream]]:
        """What is still to be shown when the source ends."""
        ends = [s.end for s in self._shown if s.end is not None]
        yield from self._until(max([*ends, self._at + round(_MAX_SECONDS / self._base)]))

    def _read(self, packet: Packet[Stream]) -> _Subtitle | None:
        if packet.pts is None:
            return None
        try:
            found = self._reader.decode2(packet)
        except av.FFmpegError:  # damaged: there is nothing to show
            return None
        events = [
            event.ass.decode(errors="replace")
            for event in found or ()
            if isinstance(event, AssSubtitle)
        ]
        texts = [(style, text) for style, text in map(_parts, events) if text]
        if not texts:
            return None
        end = packet.pts + packet.duration if packet.duration else None
        return _Subtitle(packet.pts, end, texts[0][0], _joined(texts))

    def _until(self, time: int) -> Iterator[Packet[Stream]]:
        """Everything that is shown before `time`, cut where a subtitle begins or ends."""
        while self._shown and self._at < time:
            end = min([time, *(s.end for s in self._shown if s.end is not None)])
            yield self._written(self._at, end, self._shown)
            self._at = end
            # A subtitle without an end gives way to the next one.
            self._shown = [s for s in self._shown if s.end is not None and s.end > end]

    def _written(
        self, start: int, end: int | None, subtitles: Sequence[_Subtitle]
    ) -> Packet[Stream]:
        text = _joined([(subtitle.style, subtitle.text) for subtitle in subtitles])
        if self._escape:
            parts = _BLOCK.split(text)
            text = "".join(part if _BLOCK.fullmatch(part) else _escaped(part) for part in parts)
        event = f"0,0,{subtitles[0].style},,0,0,0,,".encode() + text.encode()[:_MAX_BYTES]
        packet: Packet[Stream] = self._writer.encode_subtitle(SubtitleSet.create(event, 0, 1))
        packet.stream = self.stream
        packet.time_base = self._base
        packet.pts = packet.dts = start
        packet.duration = end - start if end is not None else 0
        packet.is_keyframe = True
        return packet


def _joined(texts: Sequence[tuple[str, str]]) -> str:
    """Texts with the names of their styles, below each other; the first has the event's style."""
    rest = "".join(f"\\N{{\\r{style}}}{text}" for style, text in texts[1:])
    return texts[0][1] + rest


def _parts(event: str) -> tuple[str, str]:
    """The name of an event's style, and the visible part of its text."""
    fields = event.split(",", _FIELDS)
    if len(fields) <= _FIELDS:  # not as it should be: all of it is text
        return "Default", _visible(event)
    return fields[2], _visible(fields[_FIELDS])


def _visible(text: str) -> str:
    """The visible part of an event's text: no drawings, no comments, no spaces of ASS's own."""
    visible: list[str] = []
    drawing = False
    for part in _BLOCK.split(text):
        if _BLOCK.fullmatch(part):
            drawn = _DRAWING.findall(part)
            drawing = int(drawn[-1]) > 0 if drawn else drawing
            if "\\" in part:
                visible.append(part)
        elif not drawing:
            visible.append(part.replace("\\h", "\N{NO-BREAK SPACE}"))
    found = "".join(visible)
    return found if _BLOCK.sub("", found).strip() else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
