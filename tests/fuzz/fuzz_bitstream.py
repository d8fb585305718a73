"""Corrupt bitstreams: packets and headers of H.264, HEVC and AV1, tables of transport streams."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import av

from facepipe.video import bitstream
from facepipe.video.pyav.isobmff import lacks_index
from facepipe.video.pyav.mpegts import transport_of
from media import synthetic

CODECS = ("h264", "hevc", "av1")
PACKETS = 3


@cache
def seeds() -> dict[str, bytes]:
    """Extradata and first packets of synthetic videos, each after its length, then their files."""
    with tempfile.TemporaryDirectory() as folder:
        videos = {
            "avc1": synthetic.plain(Path(folder) / "a.mp4", 4),
            "annex_b": synthetic.video(Path(folder) / "b.ts", frames=4),
            "hvc1": synthetic.video(Path(folder) / "c.mp4", codec="libx265", frames=4),
            "av01": synthetic.video(Path(folder) / "d.mkv", codec="libsvtav1", frames=4),
        }
        return {name: parts_of(video) + video.read_bytes()[:3000] for name, video in videos.items()}


def parts_of(video: Path) -> bytes:
    with av.open(str(video)) as opened:
        video = opened.streams.video[0]
        codec = CODECS.index(video.codec_context.codec.canonical_name)
        packets = [bytes(packet) for packet, _ in zip(opened.demux(video), range(PACKETS))]  # noqa: B905
        parts = [video.codec_context.extradata or b"", *packets]
    cut = [one[:65535] for one in parts]
    return bytes([codec]) + b"".join(len(one).to_bytes(2, "big") + one for one in cut)


def fuzz_one(data: bytes) -> None:
    """Parse it by every parser of bitstreams."""
    codec = CODECS[data[0] % len(CODECS)] if data else "h264"
    rest, parts = data[1:], []
    while rest and len(parts) <= PACKETS:
        size = int.from_bytes(rest[:2], "big")
        parts.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    extradata, *packets = parts or [b""]
    size = bitstream.nal_length_size(codec, extradata)
    sets = bitstream.parameter_sets(codec, extradata) if codec != "av1" else ()
    units = [unit for packet in packets for unit in bitstream.nal_units(packet, size)]
    bitstream.h264_parameter_set_ids([*sets, *units])
    bitstream.h264_is_lossless([*sets, *units])
    bitstream.in_annex_b(sets)
    for packet in packets:
        bitstream.is_random_access(codec, packet, size)
        bitstream.has_parameter_sets("hevc" if codec == "hevc" else "h264", packet, size)
        assert bitstream.annex_b(packet, None) == packet
        bitstream.annex_b(packet, size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video"
        file.write_bytes(rest)
        lacks_index(file)
        transport_of(file)
