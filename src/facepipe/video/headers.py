"""Codec headers (extradata) that change on the way: noted, given to decoders, kept from muxers.

Demuxers hand out a new header once, with the first packet that needs it: mov and mp4 where another
sample description begins, FLV with each sequence header, be it the same as before. A seek may pass
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream

from facepipe.datatypes import HeaderChange

StreamT = TypeVar("StreamT", bound=Stream)
#: What AAC's header may say besides, and means without saying: no spectral band replication.
_NO_SBR = b"\x56\xe5\x00"
#: Codecs whose decoders in FFmpeg take no new header beside a packet, but at its beginning; and
#: the bytes that the header has before what stands there.
_AT_THE_BEGINNING = {"mpeg4": 0, "mpeg1video": 0, "mpeg2video": 0, "av1": 4}


class HeaderScan:
    """Notes where the header of one stream changes; fed its packets in decoding order.

    AAC of transport streams has no other header than that of each packet (ADTS).
    """

    def __init__(self, extradata: bytes, codec: str = "") -> None:
        self.header = self.first = extradata  # in force now, and at the beginning
        self.is_in_packets = is_in_packets(codec, extradata)
        self.changes: list[HeaderChange] = []
        self._time = 0  # ticks, of the last packet that has one

    def feed(self, packet: Packet[StreamT]) -> bool:
        """Note a packet; whether another header is in force from it on."""
        time = packet.pts if packet.pts is not None else packet.dts
        self._time = self._time if time is None else time
        found = adts_config(bytes(packet)) if self.is_in_packets else new_header(packet)
        if self.is_in_packets:
            self.first = self.first or found or b""
            self.header = self.header or self.first
        if found is None or is_same_header(found, self.header):
            return False
        self.header = found
        self.changes.append(HeaderChange(self._time, found))
        return True


def new_header(packet: Packet[StreamT]) -> bytes | None:
    """The header that a packet brings beside its data; None where it brings none."""
    if not packet.has_sidedata("new_extradata"):
        return None
    return bytes(packet.get_sidedata("new_extradata"))


def is_in_packets(codec: str, extradata: bytes) -> bool:
    """Whether each packet of a stream brings its header, as of AAC in transport streams."""
    return codec == "aac" and not extradata


def adts_config(data: bytes) -> bytes | None:
    """What a packet's own header (ADTS) says, as a header of AAC; None: it has none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    bits = int.from_bytes(data[2:4], "big")
    kind, rate, channels = (bits >> 14) + 1, bits >> 10 & 15, bits >> 6 & 7
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")


def is_same_header(one: bytes, other: bytes) -> bool:
    """Whether two headers of one stream say the same."""
    shorter, longer = sorted((one, other), key=len)
    return longer in (shorter, shorter + _NO_SBR)


def header_at(changes: Sequence[HeaderChange], pts: int | None) -> bytes | None:
    """The header in force at a packet of that pts; None: the one that the stream began with."""
    found = None
    for change in changes:
        if pts is None or change.pts > pts:
            break
        found = change.extradata
    return found


def other_headers(changes: Sequence[HeaderChange], first: bytes) -> list[tuple[int, int | None]]:
    """Half-open pts ranges under another header than the `first`; None: up to the end."""
    ends = [*(change.pts for change in changes[1:]), None]
    return [
        (change.pts, end)
        for change, end in zip(changes, ends, strict=False)
        if not is_same_header(change.extradata, first)
    ]


def with_header(codec: str, packet: Packet[StreamT], header: bytes) -> Packet[StreamT]:
    """The packet as a decoder takes it that is to go on under a new `header`."""
    skipped = _AT_THE_BEGINNING.get(codec)
    if skipped is None:
        return packet  # its decoder reads what stands beside the data
    return with_data(packet, header[skipped:] + bytes(packet))


def without_header(packet: Packet[StreamT]) -> Packet[StreamT]:
    """The packet without a header beside its data, which muxers would write once more."""
    if not packet.has_sidedata("new_extradata"):
        return packet
    return with_data(packet, bytes(packet))


def set_header(packet: Packet[StreamT], header: bytes) -> None:
    """Put a new header beside a packet's data."""
    kind = packet_sidedata_type_from_literal("new_extradata")
    made = PacketSideData(kind, len(header))  # type: ignore[call-arg]
    made.update(header)
    packet.set_sidedata(made)


def with_data(packet: Packet[StreamT], data: bytes) -> Packet[StreamT]:
    """A packet of other data and without a new header, else the same."""
    made: Packet[StreamT] = Packet(data)  # type: ignore[assignment]
    made.stream, made.time_base = packet.stream, packet.time_base
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.is_keyframe, made.is_corrupt = packet.is_keyframe, packet.is_corrupt
    for side in packet.iter_sidedata():
        if side.data_type != "new_extradata":
            kind = packet_sidedata_type_from_literal(side.data_type)  # type: ignore[arg-type]
            kept = PacketSideData(kind, side.data_size)  # type: ignore[call-arg]
            kept.update(bytes(side))
            made.set_sidedata(kept)
    return made
