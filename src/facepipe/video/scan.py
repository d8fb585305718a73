"""Packet scans for `probe`: frame times, closed groups of pictures, the first frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Damage, HeaderChange
from facepipe.video.bitstream import (
    has_second_view,
    is_parameter_set,
    is_random_access,
    is_sequence_set,
    nal_length_size,
    nal_units,
    parameter_sets,
)
from facepipe.video.containers import MOV
from facepipe.video.demuxers import BARE
from facepipe.video.frame_packets import HIDING, shows_a_frame
from facepipe.video.gop import PacketInfo, closed_gops
from facepipe.video.headers import HeaderScan
from facepipe.video.pyav.alpha import decoder_of
from facepipe.video.streams import Head, codec_name, header_of
from facepipe.video.timestamps import rate_of, with_missing
from facepipe.video.user_data import count_messages, messages_of

#: Packets among which the first frame has to come out of the decoder.
_FIRST_FRAME_PACKETS = 64
#: Packets that are decoded after one that is shown before the first keyframe.
_LEADING_PACKETS = 8
_MPEG2_EXTENSION, _PICTURE_CODING = b"\x00\x00\x01\xb5", 8


class FrameTime(NamedTuple):
    """A frame that is shown, by its packet."""

    pts: int
    is_keyframe: bool
    is_corrupt: bool
    duration: int  # in the stream's time base, 0: not said
    position: int  # of the packet in the file, in bytes; -1: not said


class TimingScan:
    """Collects the pts, keyframes and durations of the video's packets; fed all, then closed."""

    def __init__(self, video: av.VideoStream) -> None:
        self._codec = video.codec_context.name
        self._bare_rate = rate_of(video) if video.container.format.name in BARE else None
        self._is_mov = MOV.matches(video.container.format.name)
        self._stream_end = (video.start_time or 0) + (video.duration or 0)
        self._hidden: list[int] = []  # pts of packets whose frame is not shown
        self._untimed = self._repeated_fields = self._duration = 0
        self._leading = 0  # frames at the beginning that nothing decodes
        self.packets = 0
        self.frames: list[FrameTime] = []
        self.damage: list[Damage] = []
        self.stated_pts: list[int] = []  # sorted, of the frames whose packets have one
        self.pts: list[int] = []  # sorted, of all frames: the others lie between those

    def feed(self, packet: Packet[Stream], is_shown: bool) -> None:
        """Note a packet, and whether its frame is shown."""
        self.packets += 1
        if not is_shown:
            self._hidden += [packet.pts] if packet.pts is not None else []
            return
        self._repeated_fields += repeats_field(self._codec, packet)
        self._duration = packet.duration or self._duration
        if packet.pts is not None:
            time, duration = packet.pts, packet.duration or 0
        elif packet.dts is not None:
            time, duration = packet.dts, 0
        else:
            self._untimed += 1
            return
        position = -1 if packet.pos is None else packet.pos
        found = FrameTime(time, packet.is_keyframe, packet.is_corrupt, duration, position)
        self.frames.append(found)

    def close(self, first: int | None) -> None:
        """Leave out what cannot decode at the ends, and give a time to frames that have none.

        `first` is the pts of the first frame that decodes; None: not known.
        """
        self._leave_out_leading(first)
        while self.frames and self.frames[-1].is_corrupt:  # a cut through the file halved them
            halved = self.frames.pop().pts
            self.damage.append(Damage(halved, halved, 1, "are incomplete and left out"))
        self.stated_pts = self.pts = sorted(frame.pts for frame in self.frames)
        if self.stated_pts and self._untimed:
            self.pts = with_missing(self.stated_pts, self._untimed, self._duration)

    def _leave_out_leading(self, first: int | None) -> None:
        """Leave out frames that refer to pictures before the beginning of the video.

        They come before the first keyframe, or after it and are shown before it.
        """
        key = next((n for n, frame in enumerate(self.frames) if frame.is_keyframe), None)
        if key is None or first is None or first != self.frames[key].pts:
            return
        following = takewhile(lambda frame: not frame.is_keyframe, self.frames[key + 1 :])
        group = [self.frames[key], *following]
        kept = [frame for frame in group if frame.pts >= first]
        rest = self.frames[key + len(group) :]
        self._leading = key + len(group) - len(kept)
        if self._leading:
            self.frames = kept + rest

    def keyframe_pts(self) -> tuple[int, ...]:
        """The sorted pts of the keyframes."""
        return tuple(frame.pts for frame in self._keyframes())

    def keyframe_positions(self) -> tuple[int, ...]:
        """The byte positions of the keyframes' packets, by rising pts."""
        return tuple(frame.position for frame in self._keyframes())

    def _keyframes(self) -> list[FrameTime]:
        return sorted(frame for frame in self.frames if frame.is_keyframe)

    def end(self, *, is_damaged: bool) -> int | None:
        """The pts up to which the last frame is shown; None where nothing says it."""
        last = self.stated_pts[-1]
        if self._is_mov and not is_damaged and self._stream_end > last:
            # There a packet's own duration says when the next one is decoded.
            return min([self._stream_end, *(pts for pts in self._hidden if pts > last)])
        lasting = [(frame.pts, frame.duration) for frame in self.frames if frame.duration]
        return sum(max(lasting)) if lasting else None

    def warnings(self) -> tuple[str, ...]:
        """What is unusual about the times, a sentence each."""
        found = []
        if self._bare_rate is not None:
            found.append(
                "a bare stream has no times: its frames follow each other at "
                f"{float(self._bare_rate):.5g} per second, as its header says (25 where that says "
                "nothing)"
            )
        if self._leading:
            one = self._leading == 1
            found.append(
                f"{self._leading} frame{'' if one else 's'} at the beginning refer"
                f"{'s' if one else ''} to pictures before it, so that nothing decodes "
                f"{'it' if one else 'them'}; left out"
            )
        if self._untimed:
            found.append(
                f"{self._untimed} video packets carry no time; it was worked out from the others"
            )
        equal = len(self.pts) - len(set(self.pts))
        if equal:
            found.append(f"{equal} frames have another's time and come a tick after it")
        if self._repeated_fields:
            found.append(
                f"{self._repeated_fields} frames ask for a field to be shown twice; "
                "they are shown for as long"
            )
        return tuple(found)


class CodingScan:
    """Collects the structure of groups of pictures, and the headers and parameter sets."""

    def __init__(self, video: av.VideoStream) -> None:
        self.codec = codec_name(video)
        self.extradata = header_of(video)
        self._headers = HeaderScan(self.extradata)
        self._nal_length_size = nal_length_size(self.codec, self.extradata)
        self._packets: list[PacketInfo] = []
        self._units: dict[bytes, None] = dict.fromkeys(self._in_header())
        self._sequences: list[tuple[int, tuple[bytes, ...]]] = []  # with the pts where they begin
        self._has_second_view: bool | None = None
        self._random_access: list[int] = []
        self._user_data: Counter[int] = Counter()

    def feed(self, packet: Packet[Stream], is_shown: bool) -> None:
        """Note a packet, and whether its frame is shown."""
        if self._headers.feed(packet):
            self._nal_length_size = nal_length_size(self.codec, self._headers.header)
            self._units |= dict.fromkeys(self._in_header())
        can_begin = False
        data = bytes(packet)
        count_messages(self._user_data, messages_of(self.codec, data, self._nal_length_size))
        if packet.is_keyframe:
            can_begin = is_random_access(self.codec, data, self._nal_length_size)
            if self.codec in ("h264", "hevc"):
                self._note_parameter_sets(data, packet.pts)
                if self._has_second_view is None:
                    size = self._nal_length_size
                    self._has_second_view = has_second_view(self.codec, data, size)
            time = packet.pts if packet.pts is not None else packet.dts
            if can_begin and time is not None:
                self._random_access.append(time)
        is_intact = is_shown and packet.pts is not None and not packet.is_corrupt
        self._packets.append(PacketInfo(packet.pts, can_begin, is_intact))

    def closed_gops(self) -> tuple[tuple[int, int], ...]:
        """The closed groups of pictures, as half-open pts ranges."""
        return closed_gops(self._packets)

    def random_access_pts(self) -> tuple[int, ...]:
        """The sorted pts of keyframes at which decoding can begin without any frame before them."""
        return tuple(sorted(self._random_access))

    def coded_pts(self) -> tuple[int, ...]:
        """The pts of intact packets, in decoding order."""
        return tuple(p.pts for p in self._packets if p.is_intact and p.pts is not None)

    def has_second_view(self) -> bool:
        """Whether the first keyframe holds another view on top of its own."""
        return bool(self._has_second_view)

    def user_data(self) -> tuple[tuple[int, int], ...]:
        """Kinds of user data, and how many pictures bring each."""
        return tuple(sorted(self._user_data.items()))

    def parameter_sets(self) -> tuple[bytes, ...]:
        """The parameter sets of H.264 or HEVC in the header, then those that came later."""
        return tuple(self._units)

    def headers(self) -> tuple[HeaderChange, ...]:
        """Where the header changes."""
        return tuple(self._headers.changes)

    def other_sequences(self) -> tuple[tuple[int, int], ...]:
        """Half-open pts ranges whose packets bring other sequence parameter sets than the first."""
        known = [packet.pts for packet in self._packets if packet.pts is not None]
        ends = [*(pts for pts, _ in self._sequences[1:]), max(known, default=0) + 1]
        return tuple(
            (pts, end)
            for (pts, found), end in zip(self._sequences, ends, strict=False)
            if found != self._sequences[0][1]
        )

    def _in_header(self) -> tuple[bytes, ...]:
        if self.codec not in ("h264", "hevc"):
            return ()
        return parameter_sets(self.codec, self._headers.header)

    def _note_parameter_sets(self, data: bytes, pts: int | None) -> None:
        units = nal_units(data, self._nal_length_size)
        found = [unit for unit in units if is_parameter_set(self.codec, unit)]
        self._units |= dict.fromkeys(found)
        sequences = tuple(unit for unit in found if is_sequence_set(self.codec, unit))
        is_new = not self._sequences or self._sequences[-1][1] != sequences
        if sequences and is_new and pts is not None:
            self._sequences.append((pts, sequences))


class FirstFrameScan:
    """The first frame that decodes: it alone has the display matrix and the exact pixel format."""

    def __init__(self, video: av.VideoStream, most_pixels: int) -> None:
        self.decoder = decoder_of(video)
        self.decoder.thread_count = 1
        self.decoder.options = {"max_pixels": str(most_pixels)}
        self._head = Head(_FIRST_FRAME_PACKETS)
        self._key: int | None = None  # pts of the first keyframe
        self._more = 0  # packets that are decoded though a frame has come out
        self.frame: av.VideoFrame | None = None
        self._is_earliest = True  # whether no frame that is shown before it decodes

    @property
    def pts(self) -> int | None:
        """The time of the first frame, where all that is to be shown before does not decode."""
        return self.frame.pts if self.frame is not None and self._is_earliest else None

    def feed(self, packet: Packet[Stream]) -> None:
        """Decode a packet, until a frame has come out, and whatever may be shown before that."""
        self._see_key(packet)
        if self.frame is not None:
            self._more -= 1
        if (self.frame is not None and self._more < 0) or not self._head.holds(packet):
            return
        with suppress(av.FFmpegError):
            self._take(self.decoder.decode(packet))

    def _see_key(self, packet: Packet[Stream]) -> None:
        if self._key is None and packet.is_keyframe:
            self._key = packet.pts
        elif self._key is not None and packet.pts is not None and packet.pts < self._key:
            self._more = _LEADING_PACKETS

    def _take(self, frames: Sequence[av.VideoFrame]) -> None:
        self.frame = self.frame or next(iter(frames), None)
        if self.frame is not None and self.frame.pts is not None:
            later = (frame.pts for frame in frames if frame.pts is not None)
            self._is_earliest &= all(pts >= self.frame.pts for pts in later)


def is_shown(codec: str, packet: Packet[Stream]) -> bool:
    """Whether a packet's frame is shown: `codec` is FFmpeg's name of it."""
    if packet.is_discard:
        return False
    return codec not in HIDING or shows_a_frame(codec, bytes(packet))


def repeats_field(codec: str, packet: Packet[Stream]) -> bool:
    """Whether a frame of MPEG-2 wants its first field shown again, as telecine does."""
    if codec != "mpeg2video":
        return False
    data = bytes(packet)
    at = data.find(_MPEG2_EXTENSION)
    while at >= 0 and len(data) > at + 7:
        if data[at + 4] >> 4 == _PICTURE_CODING:
            return bool(data[at + 7] & 0x02)
        at = data.find(_MPEG2_EXTENSION, at + 4)
    return False
