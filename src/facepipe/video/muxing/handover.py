"""Copied streams whose headers change on the way: each packet under the header that it needs."""

from __future__ import annotations

from av.packet import Packet
from av.stream import Stream

from facepipe.video.containers import Container
from facepipe.video.headers import (
    HeaderScan,
    is_in_packets,
    is_same_header,
    set_header,
    with_data,
    without_header,
)


class HeaderHandover:
    """Gives a muxer the packets of one copied stream, each under the header that it needs."""

    def __init__(self, codec: str, extradata: bytes, container: Container) -> None:
        self._scan = HeaderScan(extradata, codec)
        self._first = self._given = extradata
        self._codec, self._container = codec, container

    def feed(self, packet: Packet[Stream]) -> None:
        """Note a packet of the source: each one, in its order."""
        self._scan.feed(packet)

    def taken(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        """The last packet as the muxer takes it; None where the target cannot have its header."""
        if self._scan.is_in_packets:
            changed = bool(self._scan.changes) and self._scan.header != self._scan.first
            return None if changed and not self._container.headers_in_packets else packet
        header, packet = self._scan.header, without_header(packet)
        if not can_go_on(self._codec, self._first, header, self._container):
            return None
        if self._container.headers_in_packets and self._codec == "aac":
            return self._with_adts(packet, header)
        if not is_same_header(header, self._given):
            self._given = header
            set_header(packet, header)
        return packet

    def _with_adts(self, packet: Packet[Stream], header: bytes) -> Packet[Stream]:
        if is_same_header(header, self._first):
            return packet  # the muxer puts it there
        return with_data(packet, (adts_header(header, packet.size) or b"") + bytes(packet))


def can_go_on(codec: str, first: bytes, header: bytes, container: Container) -> bool:
    """Whether a copied stream can go on under a `header` where it began under the `first`."""
    if is_in_packets(codec, first):
        return container.headers_in_packets
    if is_same_header(header, first):
        return True
    if container.headers_in_packets and codec == "aac":
        return adts_header(header, 0) is not None
    return codec in container.header_changes


def adts_header(header: bytes, size: int) -> bytes | None:
    """The seven bytes ahead of an AAC packet of `size` bytes in a transport stream (ADTS).

    None for what it has no words for: other kinds than the first four, rates off the list.
    """
    bits = int.from_bytes(header[:2].ljust(2, b"\0"), "big")
    kind, rate, channels = bits >> 11, bits >> 7 & 15, bits >> 3 & 15
    if kind not in (1, 2, 3, 4) or rate > 12 or channels not in range(1, 8):
        return None
    fields = 0xFFF1 << 40 | (kind - 1) << 38 | rate << 34 | channels << 30
    return (fields | (size + 7) << 13 | 0x7FF << 2).to_bytes(7, "big")
