"""Captions of text told anew in the codec that a container takes: words, lines and times stay.

Bold, italic and underlined letters stay too; other styles and places do not. FFmpeg reads the
captions, as events of ASS, and writes them; here is what it leaves to its user.
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

from facepipe.video.containers import container_takes
from facepipe.video.streams import codec_name, has_decoder

#: Captions that are text, whatever else they have.
TEXT_CODECS = ("subrip", "text", "mov_text", "webvtt", "ass")
_STYLED = ("ass",)
_INTO = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_MOST = 60_000  # bytes of one caption: mov_text counts to 65,535
_LONGEST = 5  # seconds that a caption is shown which says no end, where none follows
_FIELDS = 8  # of an event of ASS before its text
_BLOCK = re.compile(r"(\{[^}]*\})")
_DRAWING = re.compile(r"\\p(\d+)")


def converted_to(stream: Stream, muxer: str) -> str | None:
    """The codec into which a stream of captions is turned for a container; None: it is not."""
    if (
        stream.type != "subtitle"
        or codec_name(stream) not in TEXT_CODECS
        or not has_decoder(stream)
    ):
        return None
    return None if container_takes(muxer, codec_name(stream)) else _INTO.get(muxer)


def loses_style(stream: Stream) -> bool:
    """Whether captions have styles and places that a conversion drops."""
    return codec_name(stream) in _STYLED


@dataclass(frozen=True)
class _Caption:
    """What is shown from `start` to `end` (ticks of the source; None: until the next)."""

    start: int
    end: int | None
    style: str  # its name
    text: str  # of ASS: lines end with \N, styles stand in braces


class Captions:
    """Turns one stream of captions into another codec, packet by packet."""

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
        # mov_text shows one caption at a time; in the others they may lie over each other.
        self._alone = codec == "mov_text"
        self._shown: list[_Caption] = []
        self._at = 0

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """What a packet of the source becomes; it may come later, with another one's."""
        caption = self._read(packet)
        if caption is None:
            return
        if not self._alone:
            yield self._written(caption.start, caption.end, [caption])
            return
        yield from self._until(caption.start)
        self._at = caption.start
        self._shown.append(caption)

    def rest(self) -> Iterator[Packet[Stream]]:
        """What is still to be shown when the source ends."""
        ends = [c.end for c in self._shown if c.end is not None]
        yield from self._until(max([*ends, self._at + round(_LONGEST / self._base)]))

    def _read(self, packet: Packet[Stream]) -> _Caption | None:
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
        seen = [(style, text) for style, text in map(_parts, events) if text]
        if not seen:
            return None
        end = packet.pts + packet.duration if packet.duration else None
        return _Caption(packet.pts, end, seen[0][0], _joined(seen))

    def _until(self, time: int) -> Iterator[Packet[Stream]]:
        """Everything that is shown before `time`, cut where a caption begins or ends."""
        while self._shown and self._at < time:
            end = min([time, *(c.end for c in self._shown if c.end is not None)])
            yield self._written(self._at, end, self._shown)
            self._at = end
            # A caption without an end gives way to the next one.
            self._shown = [c for c in self._shown if c.end is not None and c.end > end]

    def _written(self, start: int, end: int | None, captions: Sequence[_Caption]) -> Packet[Stream]:
        text = _joined([(caption.style, caption.text) for caption in captions])
        if self._escape:
            parts = _BLOCK.split(text)
            text = "".join(part if _BLOCK.fullmatch(part) else _escaped(part) for part in parts)
        event = f"0,0,{captions[0].style},,0,0,0,,".encode() + text.encode()[:_MOST]
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
    """The name of an event's style, and what is seen of its text."""
    fields = event.split(",", _FIELDS)
    if len(fields) <= _FIELDS:  # not as it should be: all of it is text
        return "Default", _shown(event)
    return fields[2], _shown(fields[_FIELDS])


def _shown(text: str) -> str:
    """What is seen of an event's text: no drawings, no remarks, no spaces of ASS's own."""
    seen: list[str] = []
    drawing = False
    for part in _BLOCK.split(text):
        if _BLOCK.fullmatch(part):
            drawn = _DRAWING.findall(part)
            drawing = int(drawn[-1]) > 0 if drawn else drawing
            if "\\" in part:
                seen.append(part)
        elif not drawing:
            seen.append(part.replace("\\h", "\N{NO-BREAK SPACE}"))
    found = "".join(seen)
    return found if _BLOCK.sub("", found).strip() else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
