"""Parse H.264, HEVC and AV1 packets, as far as cutting and joining them needs.

Network abstraction layer (NAL) units are stored in two ways: after start codes (Annex B of either
standard), or each after its length (ISO/IEC 14496-15), whose size in bytes stands in the avcC or
hvcC record of the extradata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

START = b"\x00\x00\x00\x01"
_EMULATION = re.compile(rb"\x00\x00(?=[\x00-\x03])")
START_CODE = re.compile(rb"\x00\x00\x01")
_H264_SPS, _H264_PPS, _H264_EXTENSION = 7, 8, 20
_H264_PARAMETER_SETS = (_H264_SPS, _H264_PPS, 13)
_HIGH_444 = 244
_HEVC_PARAMETER_SETS = (32, 33, 34)
_HEVC_SPS = 33
_IDR = {"h264": (5,), "hevc": (19, 20)}
#: Types of AV1's open bitstream units: a sequence header, metadata, those that begin a frame.
OBU_SEQUENCE, OBU_METADATA, OBU_FRAMES = 1, 5, (3, 6)
_HEAD = 32  # bytes in which all lies that is read of a parameter set


def annex_b(data: bytes, length_size: int | None) -> bytes:
    """A packet's NAL units after start codes; as it is where `length_size` is None."""
    if length_size is None:
        return data
    return b"".join(START + unit for unit in nal_units(data, length_size))


def nal_units(data: bytes, length_size: int | None) -> Iterator[bytes]:
    """The NAL units of a packet without start codes or lengths, but for a last one cut short."""
    if length_size is None:
        found = START_CODE.finditer(data)
        match = next(found, None)
        while match is not None:
            after = next(found, None)
            yield data[match.end() : after.start() if after else len(data)].rstrip(b"\0")
            match = after
        return
    at = 0
    while at + length_size <= len(data):
        size = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if at + size > len(data):
            return
        yield data[at : at + size]
        at += size


def nal_length_size(codec: str, extradata: bytes) -> int | None:
    """How many bytes the length before each NAL unit takes; None: start codes stand there."""
    record = {"h264": (7, 4), "hevc": (23, 21)}.get(codec)
    if record is None or len(extradata) < record[0] or extradata[0] != 1:
        return None
    return (extradata[record[1]] & 3) + 1


def parameter_sets(codec: str, extradata: bytes) -> tuple[bytes, ...]:
    """The parameter sets of H.264 or HEVC extradata, stored in either way, in order."""
    if nal_length_size(codec, extradata) is None:
        units = nal_units(extradata, None)
    else:
        units = _avcc(extradata) if codec == "h264" else _hvcc(extradata)
    return tuple(unit for unit in units if is_parameter_set(codec, unit))


def nal_type(codec: str, unit: bytes) -> int:
    """The type of a NAL unit of H.264 or HEVC; -1 of an empty one."""
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def is_parameter_set(codec: str, unit: bytes) -> bool:
    """Whether a NAL unit of H.264 or HEVC is a parameter set."""
    sets = _H264_PARAMETER_SETS if codec == "h264" else _HEVC_PARAMETER_SETS
    return nal_type(codec, unit) in sets


def is_sequence_set(codec: str, unit: bytes) -> bool:
    """Whether a NAL unit of H.264 or HEVC is a sequence parameter set."""
    return nal_type(codec, unit) == (_H264_SPS if codec == "h264" else _HEVC_SPS)


def with_emulation_prevention(data: bytes) -> bytes:
    """The content of a NAL unit, with bytes in between so that no start code lies in it."""
    return _EMULATION.sub(b"\x00\x00\x03", data)


def in_annex_b(units: tuple[bytes, ...]) -> bytes:
    """NAL units after start codes."""
    return b"".join(START + unit for unit in units)


def is_random_access(codec: str, data: bytes, size: int | None) -> bool:
    """Whether a keyframe's packet can follow any other packet of the same codec.

    `size` is as from `nal_length_size`. H.264 and HEVC: an instantaneous refresh. AV1: a keyframe
    that brings its sequence header. Other codecs: any keyframe.
    """
    if codec in _IDR:
        return any(nal_type(codec, unit) in _IDR[codec] for unit in nal_units(data, size))
    return codec != "av1" or any(obu.kind == OBU_SEQUENCE for obu in obus(data))


def has_second_view(codec: str, data: bytes, size: int | None) -> bool:
    """Whether a packet of H.264 or HEVC holds slices on top of those that make its picture.

    They are another eye's view (MVC, MV-HEVC) or a finer layer; FFmpeg does not decode them.
    """
    units = [unit for unit in nal_units(data, size) if len(unit) > 1]
    if codec == "h264":
        return any(nal_type(codec, unit) == _H264_EXTENSION for unit in units)
    slices = (unit for unit in units if nal_type(codec, unit) < _HEVC_PARAMETER_SETS[0])
    return any((unit[0] & 1) << 5 | unit[1] >> 3 for unit in slices)  # the number of its layer


def has_parameter_sets(codec: str, data: bytes, size: int | None) -> bool:
    """Whether a packet of H.264 or HEVC holds a parameter set."""
    return any(is_parameter_set(codec, unit) for unit in nal_units(data, size))


def h264_parameter_set_ids(units: Iterable[bytes]) -> frozenset[int]:
    """The ids of all sequence and picture parameter sets among NAL units of H.264."""
    found: set[int] = set()
    for unit in units:
        kind = nal_type("h264", unit)
        if kind == _H264_SPS:
            found.add(Bits(unit[4:]).exp_golomb())
        elif kind == _H264_PPS:
            found.add(Bits(unit[1:]).exp_golomb())
    return frozenset(found)


def h264_is_lossless(units: Iterable[bytes]) -> bool:
    """Whether a sequence parameter set among NAL units says that transforms may be bypassed."""
    return any(
        nal_type("h264", unit) == _H264_SPS and unit[1] == _HIGH_444 and _bypasses(Bits(unit[4:]))
        for unit in units
        if len(unit) > 4
    )


def _bypasses(bits: Bits) -> bool:
    bits.exp_golomb()  # its id
    if bits.exp_golomb() == 3:  # 4:4:4, then whether the planes are coded separately
        bits.take(1)
    bits.exp_golomb(), bits.exp_golomb()  # bit depths
    return bits.take(1) == "1"


class Bits:
    """Reads the beginning of a NAL unit, its first `size` bytes; past its end it reads zeros.

    `escaped`: it has emulation prevention, as all NAL units have, and AV1 has not.
    """

    def __init__(self, data: bytes, size: int = _HEAD, *, escaped: bool = True) -> None:
        plain = data[:size]
        if escaped:
            plain = plain.replace(b"\x00\x00\x03", b"\x00\x00")
        self._bits = "".join(f"{byte:08b}" for byte in plain)
        self._at = 0

    def take(self, count: int) -> str:
        taken = self._bits[self._at : self._at + count].ljust(count, "0")
        self._at += count
        return taken

    def split(self) -> tuple[str, str]:
        """The bits that were read, and those that are left."""
        return self._bits[: self._at], self._bits[self._at :]

    def number(self, bits: int) -> int:
        """An unsigned number of so many bits."""
        return int(self.take(bits), 2) if bits else 0

    def signed(self) -> int:
        """A signed Exp-Golomb code."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def exp_golomb(self) -> int:
        """An unsigned Exp-Golomb code; -1 where there is none."""
        one = self._bits.find("1", self._at)
        if one < 0:
            return -1
        zeros, self._at = one - self._at, one
        return int(self.take(zeros + 1), 2) - 1


def _avcc(record: bytes) -> Iterator[bytes]:
    at, masks = 5, (31, 255)
    for mask in masks:
        if at >= len(record):
            return
        count = record[at] & mask
        at += 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size]
            at += 2 + size


def _hvcc(record: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            if at >= len(record):
                return
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size]
            at += 2 + size


class Obu(NamedTuple):
    """An open bitstream unit of AV1: where it begins, its type and its content."""

    begin: int
    kind: int
    body: bytes


def obus(data: bytes) -> Iterator[Obu]:
    """The open bitstream units of a temporal unit of AV1."""
    at = 0
    while at < len(data):
        begin, header = at, data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at  # without a size it is the last
        if header & 2:
            size, at = _leb128(data, at)
        yield Obu(begin, header >> 3 & 15, data[at : at + size])
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """The number of AV1 that begins at a place, and where it ends."""
    number = shift = 0
    while at < len(data):
        byte = data[at]
        number, shift, at = number | (byte & 127) << shift, shift + 7, at + 1
        if not byte & 128:
            break
    return number, at
