"""Fields of H.264: which packets hold one field of a frame, and which two belong together.

A frame may be coded as two fields (picture-adaptive frame-field coding), each an access unit of its
own: ITU-T H.264, 7.4.1.2.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from facepipe.video.bitstream import Bits, nal_type, nal_units

_SLICES, _IDR, _SPS, _PPS = (1, 2, 5), 5, 7, 8
#: Profiles whose sequence parameter sets name the chroma format.
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_SET_BYTES = 512  # of a parameter set in which all lies that is read


class Field(NamedTuple):
    """A coded field."""

    frame_number: int  # by decoding order, modulo
    is_bottom: bool
    is_idr: bool

    def is_completed_by(self, other: Field) -> bool:
        """Whether the next packet's field is the second one of the same frame."""
        return (
            self.frame_number == other.frame_number
            and self.is_bottom != other.is_bottom
            and (self.is_idr or not other.is_idr)
        )


class Sequence(NamedTuple):
    """What a sequence parameter set says of slice headers."""

    number_bits: int  # of frame_num
    separate_planes: bool
    frames_only: bool


class FieldParser:
    """Reads of each packet whether it is a field; fed all packets in decoding order."""

    def __init__(self, units: Iterable[bytes], length_size: int | None) -> None:
        """`units` are the header's parameter sets, `length_size` as of `nal_length_size`."""
        self._sequences: dict[int, Sequence] = {}
        self._pictures: dict[int, int] = {}  # a picture parameter set's sequence, by id
        self.length_size = length_size
        for unit in units:
            self.note(unit)

    @property
    def expects_fields(self) -> bool:
        """Whether any sequence parameter set allows them, or none is known yet."""
        return not self._sequences or not all(s.frames_only for s in self._sequences.values())

    def note(self, unit: bytes) -> None:
        """Learn from a NAL unit, if it is a parameter set."""
        kind = nal_type("h264", unit)
        if kind == _SPS and len(unit) > 4:
            bits = Bits(unit[1:], _SET_BYTES)
            number, sequence = read_sequence(bits)
            self._sequences[number] = sequence
        elif kind == _PPS:
            bits = Bits(unit[1:], _SET_BYTES)
            self._pictures[bits.exp_golomb()] = bits.exp_golomb()

    def field(self, data: bytes) -> Field | None:
        """The field that a packet holds; None where it holds a frame, or is not understood."""
        for unit in nal_units(data, self.length_size):
            self.note(unit)
            if nal_type("h264", unit) in _SLICES:
                return self._of_slice(unit)
        return None

    def _of_slice(self, unit: bytes) -> Field | None:
        bits = Bits(unit[1:])
        bits.exp_golomb(), bits.exp_golomb()  # first macroblock, type
        sequence = self._sequences.get(self._pictures.get(bits.exp_golomb(), -1))
        if sequence is None or sequence.frames_only:
            return None
        if sequence.separate_planes:
            bits.take(2)
        number = bits.number(sequence.number_bits)
        if not bits.number(1):
            return None
        return Field(number, bool(bits.number(1)), nal_type("h264", unit) == _IDR)


def read_sequence(bits: Bits) -> tuple[int, Sequence]:
    """The id and the content of a sequence parameter set, from its profile on (7.3.2.1.1)."""
    profile = bits.number(8)
    bits.take(16)
    number = bits.exp_golomb()
    separate = False
    if profile in _HIGH:
        chroma = bits.exp_golomb()
        separate = chroma == 3 and bool(bits.number(1))
        bits.exp_golomb(), bits.exp_golomb()  # depths
        bits.take(1)
        if bits.number(1):
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    number_bits = bits.exp_golomb() + 4
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.take(1)
        bits.exp_golomb(), bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.exp_golomb()
    bits.exp_golomb()  # reference frames
    bits.take(1)
    bits.exp_golomb(), bits.exp_golomb()  # size
    return number, Sequence(min(number_bits, 16), separate, bool(bits.number(1)))


def _skip_scaling_lists(bits: Bits, count: int) -> None:
    for size in (16,) * 6 + (64,) * (count - 6):
        if not bits.number(1):
            continue
        scale = 8
        for _ in range(size):
            scale = (scale + bits.signed()) % 256
            if scale == 0:  # the rest is the same
                break
