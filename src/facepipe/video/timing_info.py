"""Timing information in headers: the frame rate that a stream of H.264, HEVC or AV1 states itself.

Readers believe it: GStreamer times pictures by it, and raw streams have no other clock. Encoders
are given the ticks in which frames are timed, and some state those as their rate.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet

from facepipe.datatypes import VideoInfo
from facepipe.video.bitstream import (
    OBU_SEQUENCE,
    Bits,
    in_annex_b,
    is_sequence_set,
    nal_units,
    obus,
    with_emulation_prevention,
)
from facepipe.video.h264_fields import read_sequence
from facepipe.video.timestamps import constant_rate

#: Codecs whose headers can state a rate. VP9, ProRes and FFV1 have no place for one.
STATING = ("h264", "hevc", "av1")
_AV1_RECORD = 0x81  # the first byte of the record (av1C) before a sequence header in a container
_AV1_HEAD = 5  # bits of a sequence header before its timing: profile, and what still images have
_CUSTOM_ASPECT = 255
_FILTERS = {"hevc": "hevc_metadata={}", "av1": "av1_metadata={}{}"}
_LARGEST = 2**32 - 1


class TimingInfo(NamedTuple):
    """What a header states: a clock of `scale` ticks per second, and ticks for a frame, or a field.

    A frame is shown for `units` ticks in HEVC and AV1, and for twice as many in H.264, which counts
    fields. `is_fixed`: all frames are shown for as long.
    """

    units: int
    scale: int
    is_fixed: bool = False


def timing_to_state(info: VideoInfo, codec: str) -> TimingInfo | None:
    """What video of `codec` that is encoded from a source states in its header; None: nothing.

    With the source's codec, the same as the source's header, so that encoded and copied stretches
    agree. Else the rate that the source's header states, or that of frames at a constant rate.
    """
    if codec not in STATING:
        return None
    own = stated_timing(info)
    if codec == info.codec:
        return own
    if own is not None and codec != "av1":  # of which only a fixed rate is one
        rate, is_fixed = _rate(own, info.codec), own.is_fixed
    else:
        found = constant_rate(info.pts, info.time_base)
        if found is None or (codec == "av1" and not found[1]):
            return None
        rate, is_fixed = found
    ticks = rate * 2 if codec == "h264" else rate
    return TimingInfo(ticks.denominator, ticks.numerator, is_fixed)


def stated_timing(info: VideoInfo) -> TimingInfo | None:
    """What the source's own header states; None: nothing, or the codec has no place for it."""
    if info.codec == "h264":
        units = [unit for unit in info.parameter_sets if is_sequence_set("h264", unit)]
        return h264_timing(units[0]) if units else None
    if info.codec == "hevc":
        return _hevc_timing(in_annex_b(info.parameter_sets))
    return _av1_timing(info.extradata) if info.codec == "av1" else None


def _rate(timing: TimingInfo, codec: str) -> Fraction:
    return Fraction(timing.scale, timing.units * (2 if codec == "h264" else 1))


def h264_timing(unit: bytes) -> TimingInfo | None:
    """The timing in a sequence parameter set of H.264."""
    bits = Bits(unit[1:], len(unit))
    if not _goes_to_timing(bits) or not bits.number(1):
        return None
    return _usable(bits.number(32), bits.number(32), bool(bits.number(1)))


def with_h264_timing(units: bytes, timing: TimingInfo | None) -> bytes:
    """NAL units with start codes, whose sequence parameter sets state another timing, or none."""
    changed = (
        _with_timing(unit, timing) if is_sequence_set("h264", unit) else unit
        for unit in nal_units(units, None)
    )
    return in_annex_b(tuple(changed))


def _with_timing(unit: bytes, timing: TimingInfo | None) -> bytes:
    bits = Bits(unit[1:], len(unit))
    has_usability = _goes_to_timing(bits)
    before, _ = bits.split()
    stated = "0"
    if timing is not None:
        stated = f"1{timing.units:032b}{timing.scale:032b}{int(timing.is_fixed)}"
    if not has_usability:  # nothing but the timing is known
        before, stated = before[:-1], f"10000{stated}0000" if timing is not None else "0"
    elif bits.number(1):
        bits.take(32 + 32 + 1)
    _, after = bits.split()
    if has_usability and "1" in after[:2]:  # a buffer model counts in the ticks that are stated
        return unit
    content = before + stated + after.rstrip("0")  # up to the bit that ends it
    content += "0" * (-len(content) % 8)
    data = int(content, 2).to_bytes(len(content) // 8, "big")
    return unit[:1] + with_emulation_prevention(data)


def _goes_to_timing(bits: Bits) -> bool:
    """Read a sequence parameter set up to its timing (E.1.1), or past the flag that it has none."""
    _, sequence = read_sequence(bits)
    if not sequence.frames_only:
        bits.take(1)
    bits.take(1)
    if bits.number(1):  # cropping
        for _ in range(4):
            bits.exp_golomb()
    has_usability = bool(bits.number(1))
    if has_usability:
        _pass_display(bits)
    return has_usability


def _pass_display(bits: Bits) -> None:
    """Read usability information up to its timing (E.1.1)."""
    if bits.number(1) and bits.number(8) == _CUSTOM_ASPECT:
        bits.take(32)
    if bits.number(1):  # overscan
        bits.take(1)
    if bits.number(1):  # video signal
        bits.take(4)
        if bits.number(1):
            bits.take(24)
    if bits.number(1):  # chroma location
        bits.exp_golomb(), bits.exp_golomb()


def _hevc_timing(parameter_sets: bytes) -> TimingInfo | None:
    """The timing in parameter sets of HEVC, whichever of them states it."""
    decoder = av.CodecContext.create("hevc", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = parameter_sets
    try:
        decoder.open()
    except av.FFmpegError:
        return None
    rate = decoder.framerate
    return _usable(rate.denominator, rate.numerator, False) if rate else None


def _av1_timing(header: bytes) -> TimingInfo | None:
    """The timing in a sequence header of AV1, as containers hold it (AV1, 5.5)."""
    data = header[4:] if header[:1] == bytes([_AV1_RECORD]) else header
    for unit in obus(data):
        if unit.kind != OBU_SEQUENCE:
            continue
        bits = Bits(unit.body, len(unit.body), escaped=False)
        _, is_short = bits.take(_AV1_HEAD - 1), bits.number(1)
        if is_short or not bits.number(1):
            return None
        units, scale, is_fixed = bits.number(32), bits.number(32), bool(bits.number(1))
        ticks = bits.exp_golomb() + 1 if is_fixed else 1
        return _usable(units * ticks, scale, is_fixed)
    return None


def _usable(units: int, scale: int, is_fixed: bool) -> TimingInfo | None:
    possible = 0 < units <= _LARGEST and 0 < scale <= _LARGEST
    return TimingInfo(units, scale, is_fixed) if possible else None


class TimingWriter:
    """States a timing in the header of an encoder's video, in place of the encoder's own."""

    def __init__(self, context: av.VideoCodecContext, timing: TimingInfo | None) -> None:
        """`context` is the open encoder's, with its header; None: the video states no timing."""
        self._filter: str | None = None  # for each packet that brings a header
        codec, header = context.codec.canonical_name, context.extradata or b""
        if codec == "h264":
            context.extradata = with_h264_timing(header, timing) or None
        elif codec in _FILTERS and timing is not None:
            rate = f"tick_rate={timing.scale}/{timing.units}"
            filtering = _FILTERS[codec].format(rate, ":num_ticks_per_picture=1" * timing.is_fixed)
            header = _filtered(Packet(header), filtering, codec)
            context.extradata = header or None
            self._filter = filtering if codec == "av1" else None

    def put(self, packet: Packet[av.VideoStream]) -> Packet[av.VideoStream]:
        """The packet, with the timing in the sequence header that a keyframe of AV1 brings."""
        if self._filter is None or not packet.is_keyframe:
            return packet
        made = cast("Packet[av.VideoStream]", Packet(_filtered(packet, self._filter, "av1")))
        made.pts, made.is_keyframe = packet.pts, True
        made.stream = packet.stream
        return made


def _filtered(packet: Packet[Any], filtering: str, codec: str) -> bytes:
    made = BitStreamFilterContext(filtering, codec).filter(packet)
    return b"".join(bytes(one) for one in made)
