"""What no encoder of PyAV's writes: bytes changed in a finished film, or the ffmpeg program's."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import synthetic


def encoded_by_program(path: Path, *, codec: str, pix_fmt: str, options: Sequence[str]) -> Path:
    """Ten frames by an encoder that the ffmpeg program has and PyAV has not."""
    with tempfile.TemporaryDirectory() as folder:
        plain = synthetic.film(Path(folder) / "plain.mkv", frames=10, codec="ffv1")
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
