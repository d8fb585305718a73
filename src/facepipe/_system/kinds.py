"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

JPEG_HEAD = b"\xff\xd8\xff"
#: Bytes that are looked at.
_HEAD_BYTES = 4096


class Kind(NamedTuple):
    """What a file is, such as "a JPEG image", and what can be done with it."""

    name: str
    remedy: str


_VIDEO = "give a video file, such as mp4, mkv, mov, webm, ts or avi"
_LISTED = "it names other files, which facepipe does not open: give those"
_ARCHIVE = "unpack it first"
_PACKED_PHOTOGRAPHS = "facepipe batch takes archives of photographs; unpack videos first"


def _image(name: str, suffix: str) -> Kind:
    return Kind(name, f"name it *{suffix} to have it enhanced as a photograph")


_JPEG = Kind(
    "a JPEG image",
    "name it *.jpg to have it enhanced as a photograph; or *.mjpeg, if many follow each other",
)
#: First bytes of kinds.
_HEADS: tuple[tuple[bytes, Kind], ...] = (
    (JPEG_HEAD, _JPEG),
    (b"\x89PNG\r\n\x1a\n", _image("a PNG image", ".png")),
    (b"II*\0", _image("a TIFF image", ".tif")),
    (b"MM\0*", _image("a TIFF image", ".tif")),
    (b"GIF8", Kind("a GIF image", _VIDEO)),
    (b"8BPS", Kind("a Photoshop document", "save it as PNG or TIFF")),
    (b"ID3", Kind("an MP3 file, sound alone", _VIDEO)),
    (b"fLaC", Kind("a FLAC file, sound alone", _VIDEO)),
    (b"OggS", Kind("an Ogg file", _VIDEO)),
    (b"PK\3\4", Kind("a ZIP archive", _PACKED_PHOTOGRAPHS)),
    (b"PK\5\6", Kind("an empty ZIP archive", _VIDEO)),
    (b"Rar!\x1a\x07", Kind("a RAR archive", _ARCHIVE)),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", _ARCHIVE)),
    (b"\x1f\x8b", Kind("compressed by gzip", _PACKED_PHOTOGRAPHS)),
    (b"\xfd7zXZ\0", Kind("compressed by xz", _PACKED_PHOTOGRAPHS)),
    (b"BZh", Kind("compressed by bzip2", _PACKED_PHOTOGRAPHS)),
    (b"(\xb5\x2f\xfd", Kind("compressed by zstd", _ARCHIVE)),
    (b"%PDF", Kind("a PDF document", _VIDEO)),
    (b"\x7fELF", Kind("a program", _VIDEO)),
    (b"MZ", Kind("a program", _VIDEO)),
    (b"SQLite format 3\0", Kind("a database", _VIDEO)),
    (b"#EXTM3U", Kind("a playlist (HLS or M3U)", _LISTED)),
    (b"ffconcat version", Kind("a list of files (ffconcat)", _LISTED)),
    (b"v=0\r", Kind("a description of a network stream (SDP)", _VIDEO)),
    (b"v=0\n", Kind("a description of a network stream (SDP)", _VIDEO)),
    (b"[playlist]", Kind("a playlist (PLS)", _LISTED)),
    (b"[InternetShortcut]", Kind("a shortcut to an address", _VIDEO)),
)
#: What stands near the beginning of documents in XML and HTML, in small letters.
_MARKUP: tuple[tuple[bytes, Kind], ...] = (
    (b"<mpd", Kind("a playlist (DASH)", _LISTED)),
    (b"<smil", Kind("a playlist (SMIL)", _LISTED)),
    (b"<asx", Kind("a playlist (ASX)", _LISTED)),
    (b"<html", Kind("a web page", "the download may have failed; " + _VIDEO)),
    (b"<!doctype html", Kind("a web page", "the download may have failed; " + _VIDEO)),
    (b"<svg", Kind("an SVG drawing", _VIDEO)),
    (b"<?xml", Kind("an XML document", _VIDEO)),
)
_RIFF = {
    b"WAVE": Kind("a WAV file, sound alone", _VIDEO),
    b"WEBP": _image("a WebP image", ".webp"),
}
_BRANDS = {
    b"avif": _image("an AVIF image", ".avif"),
    b"heic": _image("a HEIC image", ".heic"),
    b"heix": _image("a HEIC image", ".heic"),
    b"mif1": _image("a HEIF image", ".heif"),
    b"M4A ": Kind("an M4A file, sound alone", _VIDEO),
}


def kind_of(path: Path) -> Kind | None:
    """What the file is, by its first bytes; None: not known, or it cannot be read."""
    try:
        with path.open("rb") as file:
            return kind_of_bytes(file.read(_HEAD_BYTES))
    except OSError:
        return None


def kind_of_bytes(head: bytes) -> Kind | None:
    """What a file is that begins with these bytes; None: not known."""
    for begin, kind in _HEADS:
        if head.startswith(begin):
            return kind
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in (12, 40, 64, 108, 124):
        return _image("a BMP image", ".bmp")
    if head[257:262] == b"ustar":
        return Kind("a tar archive", _PACKED_PHOTOGRAPHS)
    if _is_mpeg_audio(head):
        return Kind("an MP3 file, sound alone", _VIDEO)
    return _text(head)


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether it begins with a frame of MPEG audio, layer 3."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    return head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _text(head: bytes) -> Kind | None:
    """What a text is; None where it is none."""
    lowered = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if lowered.startswith(b"<"):
        for word, kind in _MARKUP:
            if word in lowered[:1024]:
                return kind
    try:
        text = head.decode("utf-8", "strict") if len(head) < _HEAD_BYTES else head.decode("ascii")
    except UnicodeDecodeError:
        return None
    plain = all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
    return Kind("a text", _VIDEO) if text and plain else None


#: What videos begin with: at which byte, and the bytes.
_VIDEO_HEADS = (
    (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip"),
    (0, b"\x1aE\xdf\xa3"), (8, b"AVI "), (0, b"FLV\1"), (0, b"DHAV"), (0, b"IMKH"), (0, b"DKIF"),
    (0, b"\0\0\1\xba"), (0, b"\0\0\1\xb3"), (0, b"\0\0\1\xb0"), (0, b"YUV4MPEG2"), (0, b".RMF"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"\x06\x0e\x2b\x34"), (0, b"nut/multimedia"),
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11"),
)  # fmt: skip
_PACKET_SIZES = (188, 192, 204)  # of transport streams; those of 192 begin with a time of 4 bytes
#: Types of the first units of bare H.264 (parameter sets, delimiters) and HEVC.
_FIRST_H264, _FIRST_HEVC = (7, 8, 9), (32, 33, 34, 35)


def begins_a_video(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a video, as far as is known."""
    if kind_of_bytes(head) is not None:
        return False
    if any(head.startswith(begin, at) for at, begin in _VIDEO_HEADS):
        return True
    return _is_transport_stream(head) or _is_bare_stream(head)


def _is_transport_stream(head: bytes) -> bool:
    return any(head[at : at + 3 * size : size] == b"GGG" for size in _PACKET_SIZES for at in (0, 4))


def _is_bare_stream(head: bytes) -> bool:
    """Whether these are the first units of H.264 or HEVC without a container."""
    code, _, unit = head[:64].partition(b"\0\0\1")
    if code.strip(b"\0") or not unit or unit[0] & 0x80:
        return False
    return unit[0] & 31 in _FIRST_H264 or unit[0] >> 1 & 63 in _FIRST_HEVC


def is_video(path: Path) -> bool:
    """Whether a file is a video by its first bytes; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return begins_a_video(file.read(_HEAD_BYTES))
    except OSError:
        return False
