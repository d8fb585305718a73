"""What no encoder of PyAV's writes: bytes changed in a finished video, or the ffmpeg program's."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import av

from media import synthetic


def encoded_by_program(path: Path, *, codec: str, pix_fmt: str, options: Sequence[str]) -> Path:
    """Ten frames by an encoder that the ffmpeg program has and PyAV has not."""
    with tempfile.TemporaryDirectory() as folder:
        plain = synthetic.video(Path(folder) / "plain.mkv", frames=10, codec="ffv1")
        quality = ("-crf", "12", "-b:v", "0")
        call = ["ffmpeg", "-v", "error", "-threads", "2", "-i", str(plain), "-c:v", codec,
                "-pix_fmt", pix_fmt, *quality, *options, "-y", str(path)]  # fmt: skip
        subprocess.run(call, check=True)
    return path


def coloured(path: Path, *, make: Callable[[Path], Path]) -> Path:
    """Matroska whose header tells of mastering display and light level; the codec cannot."""
    make(path)
    data = path.read_bytes()
    chromaticities = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 1000.0, 0.005)
    mastering = b"".join(_float(0x55D1 + n, v) for n, v in enumerate(chromaticities))
    added = _uint(0x55BC, 1000) + _uint(0x55BD, 400) + _element(0x55D0, mastering)
    path.write_bytes(_grown(data, (0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x55B0), added))
    return path


def pulldown(path: Path, *, make: Callable[[Path], Path]) -> Path:
    """MPEG-2 whose pictures are whole, every other one with its first field shown twice."""
    make(path)
    data = bytearray(path.read_bytes())
    at, number = data.find(b"\x00\x00\x01\xb5"), 0
    while at >= 0:
        if data[at + 4] >> 4 == 8:  # a picture's coding extension
            data[at + 7] |= 0x80 if number % 4 < 2 else 0  # top field first
            data[at + 7] &= 0xFF if number % 4 < 2 else 0x7F
            data[at + 7] |= 0x02 if number % 2 == 0 else 0  # repeat first field
            data[at + 8] |= 0x80  # progressive
            number += 1
        at = data.find(b"\x00\x00\x01\xb5", at + 4)
    path.write_bytes(data)
    return path


def timeless(path: Path, *, make: Callable[[Path], Path]) -> Path:
    """A transport stream in which only every third packet of pictures tells its time."""
    make(path)
    data = bytearray(path.read_bytes())
    number = 0
    for at in range(0, len(data), 188):
        begins = data[at + 1] & 0x40
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if begins and data[body : body + 3] == b"\x00\x00\x01" and data[body + 3] & 0xF0 == 0xE0:
            if number % 3:
                length = data[body + 8]
                data[body + 7] &= 0x3F
                data[body + 9 : body + 9 + length] = b"\xff" * length
            number += 1
    path.write_bytes(data)
    return path


def edited(path: Path, *, make: Callable[[Path], Path], edits: Sequence[tuple[int, int]]) -> Path:
    """An mp4 that shows its pictures by `edits`: lengths and beginnings in ms, -1: nothing."""
    make(path)
    data = path.read_bytes()
    scale = _timescale(data)
    # B-frames lie behind the times that a decoder begins with.
    ahead = int.from_bytes(data[data.index(b"elst") + 16 : data.index(b"elst") + 20], "big")
    entries = b"".join(
        struct.pack(">IiI", lasting, round(first * scale / 1000) + ahead if first >= 0 else -1,
                    0x10000)
        for lasting, first in edits
    )  # fmt: skip
    body = struct.pack(">II", 0, len(edits)) + entries
    path.write_bytes(_replaced(data, (b"moov", b"trak", b"edts", b"elst"), body))
    return path


def captioned(path: Path, *, make: Callable[[Path], Path]) -> Path:
    """H.264 with two letters of closed captions in each of its pictures (ATSC A/53)."""
    letters = b"GA94\x03" + bytes([0xC0 | 1, 0xFF, 0xFC, 0xC8, 0xE9, 0xFF])
    user_data = b"\xb5\x00\x31" + letters
    unit = b"\x06\x04" + bytes([len(user_data)]) + user_data + b"\x80"
    with tempfile.TemporaryDirectory() as folder:
        plain = make(Path(folder) / "plain.mp4")
        with av.open(str(plain)) as given, av.open(str(path), "w") as out:
            source = given.streams.video[0]
            stream = out.add_stream_from_template(source, opaque=True)
            for packet in given.demux(source):
                if packet.size:
                    fuller = av.Packet(struct.pack(">I", len(unit)) + unit + bytes(packet))
                    fuller.pts, fuller.dts, fuller.duration = (
                        packet.pts, packet.dts, packet.duration
                    )  # fmt: skip
                    fuller.time_base, fuller.is_keyframe = packet.time_base, packet.is_keyframe
                    fuller.stream = stream
                    out.mux_one(fuller)
    return path


def measured(path: Path, *, make: Callable[[Path], Path]) -> Path:
    """An mp4 whose captions become what a camera measured: a track that no muxer takes."""
    make(path)
    data = path.read_bytes()
    for old, new in ((b"sbtl", b"meta"), (b"tx3g", b"gpmd")):
        if data.count(old) != 1:
            raise ValueError(f"{path} has {data.count(old)} times {old!r}")
        data = data.replace(old, new)
    path.write_bytes(data)
    return path


def _timescale(data: bytes) -> int:
    at = data.index(b"mdhd")  # the first track's, which are the pictures
    return int.from_bytes(data[at + 16 : at + 20], "big")


def _replaced(data: bytes, path: Sequence[bytes], content: bytes) -> bytes:
    """The boxes of mp4, the first at `path` with other content; `moov` must be the last."""
    out, at, done = b"", 0, False
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + length]
        if kind == path[0] and not done:
            done = True
            body = content if len(path) == 1 else _replaced(body, path[1:], content)
        out += struct.pack(">I", len(body) + 8) + kind + body
        at += length
    return out


def _element(kind: int, body: bytes) -> bytes:
    name = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return name + (len(body) | 1 << 56).to_bytes(8, "big") + body


def _float(kind: int, value: float) -> bytes:
    return _element(kind, struct.pack(">d", value))


def _uint(kind: int, value: int) -> bytes:
    return _element(kind, value.to_bytes(4, "big"))


def _grown(data: bytes, path: Sequence[int], added: bytes) -> bytes:
    """The elements of EBML, with `added` at the end of the one that `path` leads to."""
    out, at = b"", 0
    while at < len(data):
        start = at
        width = 9 - data[at].bit_length()
        kind = int.from_bytes(data[at : at + width], "big")
        at += width
        wide = 9 - data[at].bit_length()
        length = int.from_bytes(data[at : at + wide], "big") & (1 << 7 * wide) - 1
        at += wide
        body = data[at : at + length]
        at += length
        if kind == path[0]:
            inner = body + added if len(path) == 1 else _grown(body, path[1:], added)
            out += _element(kind, inner)
        elif kind not in (0x114D9B74, 0x1C53BB6B):  # the index, whose places are no longer right
            out += data[start:at]
    return out
