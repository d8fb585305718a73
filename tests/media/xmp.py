"""XMP packets in videos: boxes that hold them, and what stands in those of a file."""

from __future__ import annotations

from pathlib import Path

from media.boxes import box, boxes_of

#: A packet as an editor writes it: with a source type, a description, a size and a word of its own.
PACKET = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:m="http://ns.adobe.com/xmp/1.0/DynamicMedia/" xmlns:mine="http://example.org/mine/"
 xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 e:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
 mine:reel="seven &amp; eight">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">the yard</rdf:li></rdf:Alt></dc:description>
<m:videoFrameSize d:w="240" d:h="136" d:unit="pixel"/>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
UDTA = ("moov", "udta")


def in_uuid(packet: bytes) -> bytes:
    """The box that holds a packet in mp4."""
    return box("uuid", UUID, packet)


def in_udta(packet: bytes) -> bytes:
    """The box that holds a packet in the user data of a mov."""
    return box("XMP_", packet)


def packets_in(path: Path) -> dict[str, list[bytes]]:
    """The packets of an mp4 or mov by the place that they lie in, `uuid` or `udta`."""
    boxes = boxes_of(path)
    top = [one[24:] for one in boxes.get("uuid", []) if one[8:24] == UUID]
    udta = [one[8:] for one in boxes.get("moov/udta/XMP_", [])]
    return {place: found for place, found in (("uuid", top), ("udta", udta)) if found}
