"""H.264 coded by fields, which no encoder of FFmpeg writes: macroblocks hold samples (I_PCM).

Syntax as of ITU-T H.264, 7.3: Main profile, CAVLC, pictures in the order in which they are shown.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from media.drawing import picture

WIDTH, HEIGHT = 64, 64
_KEY_EVERY = 10
_NUMBERS = 8  # bits of a frame's number
_SPS, _PPS, _IDR, _SLICE, _DELIMITER = 0x67, 0x68, 0x65, 0x41, b"\x00\x00\x00\x01\x09\x10"


class _Bits:
    """Writes bits, then a NAL unit of them."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def put(self, value: int, bits: int) -> _Bits:
        self._bits.append(f"{value:0{bits}b}")
        return self

    def codes(self, *values: int) -> _Bits:
        """Unsigned Exp-Golomb codes."""
        for value in values:
            self._bits.append("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}")
        return self

    def align(self) -> _Bits:
        self._bits = ["".join(self._bits)]
        self._bits.append("0" * (-len(self._bits[0]) % 8))
        return self

    def samples(self, data: bytes) -> _Bits:
        self._bits.append("".join(f"{byte:08b}" for byte in data))
        return self

    def unit(self, head: int) -> bytes:
        """The NAL unit after a start code, with its stop bit and emulation prevention."""
        bits = "".join(self._bits) + "1"
        bits += "0" * (-len(bits) % 8)
        plain = int(bits, 2).to_bytes(len(bits) // 8, "big")
        made, zeros = bytearray([0, 0, 0, 1, head]), 0
        for byte in plain:
            if zeros >= 2 and byte <= 3:
                made.append(3)
                zeros = 0
            made.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(made)


def _headers(width: int, height: int) -> bytes:
    sequence = _Bits().put(77, 8).put(0, 8).put(40, 8).codes(0, _NUMBERS - 4, 2, 1).put(0, 1)
    sequence.codes(width // 16 - 1, height // 32 - 1).put(0b00100, 5)  # fields are allowed
    pictures = _Bits().codes(0, 0).put(0, 2).codes(0, 0, 0).put(0, 3).codes(0, 0, 0).put(0, 3)
    return sequence.unit(_SPS) + pictures.unit(_PPS)


def _coded(planes: Sequence[NDArray[np.uint8]], number: int, field: int | None) -> bytes:
    """A frame, or one of its fields (0 top, 1 bottom), as one slice."""
    is_key = number % _KEY_EVERY == 0 and field != 1
    bits = _Bits().codes(0, 7, 0).put(number % _KEY_EVERY, _NUMBERS)
    bits.put(0, 1) if field is None else bits.put(2 | field, 2)
    if is_key:
        bits.codes(number // _KEY_EVERY % 2).put(0, 2)
    else:
        bits.put(0, 1)
    bits.codes(0)  # no change of the quantizer
    luma, *chroma = planes if field is None else (plane[field::2] for plane in planes)
    for y in range(0, luma.shape[0], 16):
        for x in range(0, luma.shape[1], 16):
            bits.codes(25).align()  # I_PCM
            bits.samples(luma[y : y + 16, x : x + 16].tobytes())
            for plane in chroma:
                bits.samples(plane[y // 2 : y // 2 + 8, x // 2 : x // 2 + 8].tobytes())
    return _DELIMITER + bits.unit(_IDR if is_key else _SLICE)


def field_coded(
    path: Path,
    *,
    frames: int = 40,
    apart: bool = False,
    framed: Sequence[int] = (),
    pictures: Callable[[int], NDArray[np.uint8]] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Path:
    """A video of 25 frames a second, each two fields but for the numbers in `framed`.

    `apart`: each field in a packet of its own, as tools write them that copy a transport stream.
    """
    headers = _headers(*size)
    coded: list[list[bytes]] = []
    for number in range(frames):
        planes = _planes(pictures(number) if pictures else picture(number, *size))
        fields = [None] if number in framed else [0, 1]
        units = [_coded(planes, number, field) for field in fields]
        if number % _KEY_EVERY == 0:
            units[0] = _DELIMITER + headers + units[0][len(_DELIMITER) :]
        coded.append(units if apart else [b"".join(units)])
    bare = io.BytesIO(b"".join(unit for units in coded for unit in units))
    with av.open(bare, format="h264") as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
        stream.time_base = Fraction(1, 50)
        for number, units in enumerate(coded):
            for place, unit in enumerate(units):
                packet: Packet[Stream] = Packet(unit)
                packet.pts = packet.dts = 2 * number + place
                packet.duration, packet.time_base = 2 // len(units), Fraction(1, 50)
                packet.is_keyframe = number % _KEY_EVERY == 0 and place == 0
                packet.stream = stream
                out.mux_one(packet)
    return path


def _planes(drawn: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    frame = av.VideoFrame.from_ndarray(drawn, "rgb24").reformat(format="yuv420p")
    shapes = [(plane.height, plane.line_size, plane.width) for plane in frame.planes]
    return [
        np.frombuffer(bytes(plane), np.uint8).reshape(height, line)[:, :width]
        for plane, (height, line, width) in zip(frame.planes, shapes, strict=True)
    ]
