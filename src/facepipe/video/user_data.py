"""User data of pictures: messages beside the coded pixels, such as a car's telemetry.

H.264 and HEVC call them supplemental enhancement information (SEI; annex D of ITU-T H.264 and
H.265, H.274), AV1 metadata units. They are taken out of the source's packets and put into the
encoder's, bit by bit as they were: no encoder has to know them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from av import VideoFrame, VideoStream
from av.packet import Packet

from facepipe.datatypes import VideoInfo
from facepipe.video.bitstream import (
    OBU_FRAMES,
    OBU_METADATA,
    START,
    START_CODE,
    nal_length_size,
    nal_type,
    nal_units,
    obus,
)

REGISTERED, UNREGISTERED = 4, 5
#: Not a number of H.274: what follows a start code of user data in MPEG-2.
_MPEG2 = 0x1B2
_SHAPE = "the arrangement of views in its pictures"
#: What messages of each kind are called. Others describe the coding, which is anew, or are handed
#: to pictures by FFmpeg.
_WORDS = {
    REGISTERED: "the registered user data of its pictures",
    UNREGISTERED: "the user data of its pictures",
    45: _SHAPE,  # frame packing
    **dict.fromkeys((150, 151, 154, 156), "the projection of its pictures"),
    _MPEG2: "the user data of its pictures",
}
#: The kinds that each codec can hold.
_HELD = {
    "h264": frozenset([REGISTERED, UNREGISTERED, 45]),
    "hevc": frozenset([REGISTERED, UNREGISTERED, 45, 150, 151, 154, 156]),
    "av1": frozenset([REGISTERED]),
}
#: By which encoders sign their work (x264, x265, VAAPI): no longer true of another encoding.
_SIGNATURES = tuple(
    bytes.fromhex(uuid)
    for uuid in (
        "dc45e9bde6d948b7962cd820d923eeef",
        "2ca2de09b51747dbbb55a4fe7fc2fc4e",
        "59948b2811ec45af967519d41feaa94d",
    )
)
_CAPTIONS = b"\xb5\x00\x31GA94\x03"
#: User data of MPEG-2 that FFmpeg reads: captions in three ways, and the active format.
_MPEG2_READ = (b"GA94", b"CC\x01", b"\x03", b"DTG1")
_MPEG2_USER_DATA = b"\x00\x00\x01\xb2"
_EMULATED = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_SLICES = {"h264": range(1, 6), "hevc": range(32)}
_SEI = {"h264": b"\x06", "hevc": b"\x4e\x01"}
_SEI_TYPES = {"h264": (6,), "hevc": (39, 40)}
_T35 = 4


class Message(NamedTuple):
    """One message: its kind by H.274's payload types, and what it holds."""

    kind: int
    payload: bytes

    @property
    def owner(self) -> bytes:
        """Whose message it is: of registered ones country and provider, of others their UUID."""
        lengths = {REGISTERED: len(_CAPTIONS), UNREGISTERED: 16}
        return self.payload[: lengths.get(self.kind, 0)]


def messages_of(codec: str, data: bytes, length_size: int | None) -> tuple[Message, ...]:
    """The messages in a packet that are true of its picture whatever encodes it.

    `length_size` is as of `nal_length_size`.
    """
    if codec == "av1":
        found = _in_obus(data)
    elif codec == "mpeg2video":
        found = _in_mpeg2(data)
    elif codec in _SEI:
        units = nal_units(data, length_size)
        found = (
            message for unit in units if _is_sei(codec, unit) for message in _in_sei(unit, codec)
        )
    else:
        return ()
    return tuple(one for one in found if one.kind in _WORDS and not _is_signature(one))


def _is_signature(message: Message) -> bool:
    return message.kind == UNREGISTERED and message.payload.startswith(_SIGNATURES)


class UserDataReader:
    """Reads the messages of a source's packets in decoding order."""

    def __init__(self, info: VideoInfo, extradata: bytes) -> None:
        self._codec = info.codec
        self._length_size = nal_length_size(info.codec, extradata)
        self._times = info.pts
        self._last: list[Message] = []

    def read(self, packet: Packet[Any]) -> list[Message]:
        """Messages of the packet's picture; of its second field they join those of the first."""
        found = messages_of(self._codec, bytes(packet), self._length_size)
        at = bisect_left(self._times, packet.pts) if packet.pts is not None else 0
        is_picture = packet.pts is None or self._times[at : at + 1] == (packet.pts,)
        if is_picture:
            self._last = []
        self._last += found
        return self._last


class UserDataWriter:
    """Puts the messages of frames into the packets that an encoder of `codec` makes of them."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._waiting: dict[int, Sequence[Message]] = {}  # of frames within the encoder, by pts

    def take(self, frame: object, pts: int) -> None:
        """Note what a decoder's frame, which goes in at `pts`, brought with it."""
        if isinstance(frame, VideoFrame) and frame.opaque and self._codec in _HELD:
            self._waiting[pts] = cast("Sequence[Message]", frame.opaque)

    def put(self, packet: Packet[VideoStream], pts: int) -> Packet[VideoStream]:
        """The packet of the frame of `pts`, with its messages."""
        messages = self._waiting.pop(pts, ())
        if not messages:
            return packet
        data = with_messages(self._codec, bytes(packet), messages)
        made = cast("Packet[VideoStream]", Packet(data))
        made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
        made.stream = packet.stream
        return made


def count_messages(counts: Counter[int], messages: Sequence[Message]) -> None:
    """Count a picture under each kind of its messages, but for captions: FFmpeg reads those."""
    counts.update({one.kind for one in messages if one.owner != _CAPTIONS})


def without_place(counts: Sequence[tuple[int, int]], codec: str) -> Iterator[str]:
    """What a video of `codec` cannot hold of the messages counted by kind, in words."""
    lost: Counter[str] = Counter()
    for kind, pictures in counts:
        if kind not in _HELD.get(codec, ()):
            lost[_WORDS[kind]] = max(lost[_WORDS[kind]], pictures)
    for words, pictures in lost.items():
        yield f"{words} ({pictures} have some)"


def with_messages(codec: str, data: bytes, messages: Sequence[Message]) -> bytes:
    """A packet (H.264 and HEVC: with start codes) with messages before its first slice.

    Left out are those that its codec does not hold, and those of an owner of whom it has one.
    """
    brought = {(one.kind, one.owner) for one in messages_of(codec, data, None)}
    added = [
        one
        for one in messages
        if one.kind in _HELD.get(codec, ()) and (one.kind, one.owner) not in brought
    ]
    if not added:
        return data
    at = _first_slice(codec, data)
    units = b"".join(_obu(one) if codec == "av1" else _sei(codec, one) for one in added)
    return data[:at] + units + data[at:]


def _is_sei(codec: str, unit: bytes) -> bool:
    return nal_type(codec, unit) in _SEI_TYPES[codec]


def _in_sei(unit: bytes, codec: str) -> Iterator[Message]:
    body = unit[len(_SEI[codec]) :].replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at + 2 < len(body):  # a message has a kind and a size, and bits that end the unit follow
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(body) - 1 and body[at] == 255:
                number, at = number + 255, at + 1
            numbers.append(number + body[at])
            at += 1
        kind, size = numbers
        if at + size > len(body):
            return
        yield Message(kind, body[at : at + size])
        at += size
        if at >= len(body):
            return


def _sei(codec: str, message: Message) -> bytes:
    head = b""
    for number in (message.kind, len(message.payload)):
        head += b"\xff" * (number // 255) + bytes([number % 255])
    body = _SEI[codec] + head + message.payload + b"\x80"
    return START + _EMULATED.sub(b"\x00\x00\x03", body)


def _first_slice(codec: str, data: bytes) -> int:
    """Where the first slice begins with its start code, or a frame of AV1; the end: nowhere."""
    if codec == "av1":
        return next((obu.begin for obu in obus(data) if obu.kind in OBU_FRAMES), len(data))
    for match in START_CODE.finditer(data):
        head = data[match.end() : match.end() + 1]
        if not head:
            break
        if nal_type(codec, head) in _SLICES[codec]:
            at = match.start()
            return at - 1 if at and data[at - 1] == 0 else at
    return len(data)


def _in_mpeg2(data: bytes) -> Iterator[Message]:
    at = data.find(_MPEG2_USER_DATA)
    while at >= 0:
        begin = at + len(_MPEG2_USER_DATA)
        if not data.startswith(_MPEG2_READ, begin):
            yield Message(_MPEG2, b"")
        at = data.find(_MPEG2_USER_DATA, begin)


def _in_obus(data: bytes) -> Iterator[Message]:
    for _, kind, body in obus(data):
        if kind == OBU_METADATA and body[:1] == bytes([_T35]):
            # Zeros may follow the bits that end it.
            yield Message(REGISTERED, body[1:].rstrip(b"\0").removesuffix(b"\x80"))


def _obu(message: Message) -> bytes:
    body = bytes([_T35]) + message.payload + b"\x80"
    size, left = b"", len(body)
    while True:
        size += bytes([left & 127 | (128 if left > 127 else 0)])
        left >>= 7
        if not left:
            return bytes([OBU_METADATA << 3 | 2]) + size + body
