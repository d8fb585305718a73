"""What a frame holds besides its pixels: side data that mean something to a viewer, and fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import av
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.stream import Stream

#: Side data of frames that mean something to a viewer, as messages name them.
SIDE_DATA = {
    Type.MASTERING_DISPLAY_METADATA: "the mastering display",
    Type.CONTENT_LIGHT_LEVEL: "the content light level",
    Type.DYNAMIC_HDR_PLUS: "the HDR10+ data",
    Type.DOVI_RPU_BUFFER: "the Dolby Vision data",
    Type.DOVI_METADATA: "the Dolby Vision data",
    Type.A53_CC: "the closed captions within the frames",
    Type.S12M_TIMECODE: "the time codes within the frames",
    Type.AFD: "the active format",
    Type.SPHERICAL: "the projection of a sphere",
    Type.STEREO3D: "the stereo layout",
    Type.ICC_PROFILE: "the ICC profile",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the ambient viewing environment",
}
INTERLACING = "the interlacing flags of its frames"
#: Orders of fields, as reports of decoding name them.
FIELD_ORDERS: dict[Literal["top", "bottom"], str] = {
    "top": "the top field first",
    "bottom": "the bottom field first",
}
#: All names of what frames may hold.
HOLDINGS = frozenset({*SIDE_DATA.values(), INTERLACING})
#: What encoders take as options, for all frames of a part.
LIGHT = frozenset({"the mastering display", "the content light level"})
_T35 = b"\xb5\x00"  # registered user data of the United States (ITU-T T.35), a provider of 00xx
_USER_DATA = b"\x00\x00\x01\xb2"  # of MPEG-2
#: Beginnings of user data, by what they hold.
_MARKS = (b"\xb5\x00\x31GA94\x03", b"\xb5\x00\x31DTG1", b"\xb5\x00\x3c\x00\x01\x04",
          _USER_DATA + b"GA94\x03", _USER_DATA + b"DTG1", _USER_DATA + b"CC\x01")  # fmt: skip
#: Bytes of a packet in which they lie: before its slices.
_HEAD = 4096


def holdings_of(frame: av.VideoFrame) -> frozenset[str]:
    """Names of what a frame holds, as messages name it."""
    found: Mapping[object, object] = frame.side_data  # type: ignore[assignment]
    kinds = SIDE_DATA.items() if len(found) else ()  # most frames hold nothing
    names = {name for kind, name in kinds if kind in found}
    return frozenset(names | {INTERLACING} if frame.interlaced_frame else names)


def user_data_of(packet: Packet[Stream]) -> frozenset[bytes]:
    """The kinds of user data (captions, active format, HDR10+) that a packet seems to hold."""
    head = bytes(memoryview(packet)[:_HEAD])
    if _T35 not in head and _USER_DATA not in head:
        return frozenset()
    return frozenset(mark for mark in _MARKS if mark in head)
