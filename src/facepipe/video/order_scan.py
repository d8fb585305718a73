"""Scan for `probe`: packets that state when they are decoded as if their frames were shown then.

Tools that copy from AVI, which knows no other times, write such files in any container. Of frames
that are coded in another order than they are shown in, the decoder gives the right order and the
wrong times.
"""

from __future__ import annotations

from contextlib import suppress

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.video.streams import header_of

#: Packets that are decoded at most, of videos whose packets have rising times.
_PACKETS = 48


class OrderScan:
    """Fed all packets of a video, says whether their times are those of decoding."""

    def __init__(self, video: av.VideoStream, most_pixels: int) -> None:
        self._video, self._most_pixels = video, most_pixels
        self._decoder: av.VideoCodecContext | None = None
        self._rises = True
        self._last: int | None = None
        self._shown: int | None = None
        self._left = _PACKETS if video.codec_context.reorder_depth else 0
        self._goes_back = False

    def feed(self, packet: Packet[Stream]) -> None:
        """Note a packet; the first ones are decoded as long as their times rise."""
        if not self._rises or packet.is_discard:
            return
        self._rises = packet.pts is not None and (self._last is None or packet.pts > self._last)
        self._last = packet.pts
        if self._rises and self._left and not self._goes_back:
            self._left -= 1
            self._decode(packet)

    @property
    def is_timed_as_decoded(self) -> bool:
        """Whether frames come out of the decoder in another order than that of their times."""
        return self._rises and self._goes_back

    def warnings(self) -> tuple[str, ...]:
        """What is unusual about the times, a sentence each."""
        if not self.is_timed_as_decoded:
            return ()
        return (
            "packets state when they are decoded, not when their frames are shown; the frames "
            "follow each other at these times",
        )

    def _decode(self, packet: Packet[Stream]) -> None:
        self._decoder = self._decoder or self._own_decoder()
        with suppress(av.FFmpegError):  # damage is reported elsewhere
            for frame in self._decoder.decode(packet):
                if frame.pts is None:
                    continue
                self._goes_back |= self._shown is not None and frame.pts < self._shown
                self._shown = frame.pts

    def _own_decoder(self) -> av.VideoCodecContext:
        """A decoder beside that of the stream, which other scans use."""
        own = self._video.codec_context
        made = av.CodecContext.create(own.codec.name, "r")
        assert isinstance(made, av.VideoCodecContext)
        made.extradata = header_of(self._video) or None
        made.thread_count = 1
        made.options = {"max_pixels": str(self._most_pixels)}
        return made
