"""Scan for `probe`: the forms of a video's frames, and where frames begin to hold more.

A video need not go on as it began: calls grow, broadcasts change the shape of their pixels,
captions begin late. A frame is decoded where a keyframe's header is a new one, and some all over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Form
from facepipe.errors import InputError
from facepipe.video.bitstream import (
    OBU_METADATA,
    OBU_SEQUENCE,
    Obu,
    is_parameter_set,
    nal_length_size,
    nal_type,
    nal_units,
    obus,
)
from facepipe.video.conform import tags_of
from facepipe.video.fields import first_field
from facepipe.video.holdings import LIGHT, holdings_of, user_data_of
from facepipe.video.pixel_formats import pixel_format
from facepipe.video.streams import codec_name

#: Frames that are decoded of a video whose headers stay the same, and of any.
_USUAL_SAMPLES, _MOST_SAMPLES = 96, 384
#: Places where frames begin to hold more, at most.
_MOST_PLACES = 12
#: Shortest time between two frames that are decoded though nothing seems to change, seconds.
_LEAST_SECONDS = Fraction(1, 2)
#: Codecs whose keyframes need not be shown, and packets after which the first frame is.
_HIDING, _PATIENCE = ("vp8", "vp9", "av1"), 8
_AV1_LIGHT = (b"\x01", b"\x02")
_H264_SEI, _HEVC_SEI = 6, 39
_SEQUENCE, _PICTURE, _GROUP = b"\x00\x00\x01\xb3", b"\x00\x00\x01\x00", b"\x00\x00\x01\xb8"
_VOP = b"\x00\x00\x01\xb6"  # begins a picture of MPEG-4
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc2]\x00.(.{6,15}?)\xff", re.DOTALL)


class FormScan:
    """Collects the forms of a video, and pts of frames that hold what none before them held."""

    def __init__(self, video: av.VideoStream, decoder: av.VideoCodecContext) -> None:
        """`decoder` is used from the first frame on, after whoever decoded that one."""
        self._decoder, self._codec = decoder, codec_name(video)
        self._nal_length_size = nal_length_size(self._codec, decoder.extradata or b"")
        base = video.time_base or Fraction(1)
        seconds = Fraction(video.duration or 0) * base
        self._interval = max(seconds / _USUAL_SAMPLES, _LEAST_SECONDS) / base
        self._own_aspect = Fraction(video.sample_aspect_ratio or 0) or None
        self._first_aspect: Fraction | None = None  # as the decoder says it
        self._left = _MOST_SAMPLES
        self._header: bytes | None = None  # the first keyframe's
        self._known: dict[bytes, Form] = {}
        self._sampled = 0  # pts of the last keyframe that was decoded
        self._waiting: tuple[bytes, int, int] | None = None  # header, pts, packets left to try
        self._held: set[object] = set()
        self.fields: set[Literal["top", "bottom"]] = set()  # of interlaced frames, which is first
        self.forms: list[Form] = []
        self.places: list[int] = []

    def feed(self, packet: Packet[Stream], first: av.VideoFrame | None) -> None:
        """Look at a packet; `first` is the video's first frame, None: it has not come out yet."""
        if packet.pts is None:
            return
        user_data = user_data_of(packet) - self._held
        self._held |= user_data
        header = keyframe_header(self._codec, packet, self._nal_length_size)
        if not self.forms:
            if self._header is None:
                self._header, self._sampled = header or b"", packet.pts
            if first is not None:
                self._begin(first)
            return
        if user_data:
            self._note(packet.pts)
        if self._waiting is not None:
            self._try(packet, *self._waiting)
        elif header is not None:
            self._keyframe(packet, header)

    def _begin(self, first: av.VideoFrame) -> None:
        self._first_aspect = self._decoder.sample_aspect_ratio
        self._held |= holdings_of(first)
        self._see_fields(first)
        self.forms.append(self._form(first, self._sampled))
        self._known[self._header or b""] = self.forms[0]

    def _keyframe(self, packet: Packet[Stream], header: bytes) -> None:
        assert packet.pts is not None
        form = self._known.get(header)
        due = packet.pts - self._sampled >= self._interval
        if (form is None or due) and self._left:
            self._left -= 1
            self._sampled = packet.pts
            self._decoder.flush_buffers()
            self._try(packet, header, packet.pts, _PATIENCE)
        elif form is not None:
            self._go_on(form, packet.pts)

    def _try(self, packet: Packet[Stream], header: bytes, pts: int, left: int) -> None:
        """Decode a packet, from the keyframe of `pts` on, and take the first frame of it."""
        frame = self._decoded(packet)
        if frame is None:
            more = self._codec in _HIDING and left > 1
            self._waiting = (header, pts, left - 1) if more else None
            return
        self._waiting = None
        new = holdings_of(frame) - self._held
        self._held |= new
        self._see_fields(frame)
        try:
            pixel_format(frame.format.name)
        except InputError:  # such frames cannot be read; decoding reports them
            return
        form = self._known[header] = self._form(frame, pts)
        self._go_on(form, pts)
        if new:
            self._note(pts)

    def _see_fields(self, frame: av.VideoFrame) -> None:
        if frame.interlaced_frame:
            self.fields.add(first_field(frame))

    def _decoded(self, packet: Packet[Stream]) -> av.VideoFrame | None:
        try:
            frame = next(iter(self._decoder.decode(packet)), None)
            if frame is None and self._codec not in _HIDING:
                frame = next(iter(self._decoder.decode(None)), None)
        except av.FFmpegError:
            return None
        return frame

    def _go_on(self, form: Form, pts: int) -> None:
        """Note that frames from `pts` on have this form."""
        if replace(form, first=self.forms[-1].first) != self.forms[-1]:
            self.forms.append(replace(form, first=pts))

    def _note(self, pts: int) -> None:
        if len(self.places) < _MOST_PLACES and pts not in self.places:
            self.places.append(pts)

    def _form(self, frame: av.VideoFrame, pts: int) -> Form:
        said = self._decoder.sample_aspect_ratio
        return Form(
            first=pts,
            width=frame.width,
            height=frame.height,
            pix_fmt=frame.format.name,
            tags=tags_of(frame),
            # The container's holds for frames that say the same as the first one.
            sample_aspect_ratio=self._own_aspect if said == self._first_aspect else said,
            # Some encoders write light levels but once, and a decoder forgets them here.
            light=bool(LIGHT & holdings_of(frame)) or bool(self.forms and self.forms[-1].light),
        )


def keyframe_header(codec: str, packet: Packet[Stream], size: int | None) -> bytes | None:
    """What a keyframe's packet says of the frames from it on; None: it is no keyframe.

    `size` is as from `nal_length_size`. Empty for codecs whose packets say nothing. It may hold
    more than that, so that headers differ though the frames do not.
    """
    if not packet.is_keyframe:
        return None
    beside = (bytes(one) for one in packet.iter_sidedata() if one.data_type == "new_extradata")
    head = _HEADS.get(codec, 0)
    alpha = b"alpha" if packet.has_sidedata("matroska_block_additional") else b""
    return b"".join((alpha, *beside)) + _said_within(codec, bytes(memoryview(packet)[:head]), size)


def _said_within(codec: str, data: bytes, size: int | None) -> bytes:
    if codec in ("h264", "hevc"):
        return b"".join(unit for unit in nal_units(data, size) if _is_told_in(codec, unit))
    if codec == "av1":
        return b"".join(obu.body for obu in obus(data) if _is_told_by(obu))
    if codec in ("mpeg1video", "mpeg2video"):
        return _sequence_header(data)
    if codec == "mpeg4":
        return data[: max(data.find(_VOP), 0)]
    if codec == "mjpeg":
        return _jpeg_frame(data)
    first, stop = _FIXED.get(codec, (0, 0))
    return data[first:stop]


def _jpeg_frame(data: bytes) -> bytes:
    """The frame header of a JPEG."""
    found = _JPEG_FRAME.search(data)
    return found[1] if found else b""


def _is_told_by(obu: Obu) -> bool:
    """Whether a unit of AV1 is a sequence header, or mastering display or content light level."""
    light = obu.kind == OBU_METADATA and obu.body[:1] in _AV1_LIGHT
    return light or obu.kind == OBU_SEQUENCE


def _sequence_header(data: bytes) -> bytes:
    """What stands in a packet of MPEG-1 or MPEG-2 from its sequence header to its first picture."""
    begin = data.find(_SEQUENCE)
    if begin < 0:
        return b""
    ends = [at for code in (_GROUP, _PICTURE) if (at := data.find(code, begin)) >= 0]
    return data[begin : min(ends, default=begin)]


def _is_told_in(codec: str, unit: bytes) -> bool:
    """Whether a NAL unit is a parameter set, or begins with the light levels (SEI 137, 144)."""
    if is_parameter_set(codec, unit):
        return True
    kind, head = (_H264_SEI, 1) if codec == "h264" else (_HEVC_SEI, 2)
    return nal_type(codec, unit) == kind and unit[head : head + 1] in (b"\x89", b"\x90")


#: Bytes of a keyframe's packet in which its header lies.
_HEADS = dict.fromkeys(("h264", "hevc", "av1", "mpeg1video", "mpeg2video", "mpeg4"), 2**14) | {
    "mjpeg": 2**17,
    **dict.fromkeys(("vp8", "vp9", "prores", "png"), 64),
}
#: Where the header lies in a packet: VP8's start code and size; VP9's up to its size; ProRes' frame
#: header, PNG's first chunk.
_FIXED = {"vp8": (3, 10), "vp9": (0, 10), "prores": (4, 28), "png": (16, 29)}
