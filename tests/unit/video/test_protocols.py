"""A source opens nothing but itself: no playlist, script or reference leads anywhere else."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from facepipe.datatypes import Span
from facepipe.errors import FacepipeError, InputError
from facepipe.video import decode, probe
from media import synthetic

_OPENED = 0x20  # inotify's IN_OPEN

Make = Callable[[Path, Path, int], Path]


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """Within, the given function says whether any process has opened the file."""
    if sys.platform != "linux":
        pytest.skip("this machine has no inotify, which watches what is opened")
    system = ctypes.CDLL(None, use_errno=True)
    ear = system.inotify_init()
    assert ear >= 0
    try:
        assert system.inotify_add_watch(ear, os.fsencode(path), _OPENED) >= 0
        yield lambda: bool(select.select([ear], [], [], 0.05)[0])
    finally:
        os.close(ear)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A whole video that nobody named."""
    (tmp_path / "elsewhere").mkdir()
    return synthetic.plain(tmp_path / "elsewhere" / "secret.mp4", frames=3)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server at which nobody shall knock."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def hls(path: Path, secret: Path, port: int) -> Path:
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n"
        f"#EXTINF:9,\nfile://{secret}\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"
    )
    return path


def dash(path: Path, secret: Path, port: int) -> Path:
    path.write_text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT9S"><BaseURL>http://127.0.0.1:{port}/</BaseURL><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9">'
        f"<BaseURL>{secret}</BaseURL><SegmentList><SegmentURL media='{secret}'/></SegmentList>"
        "</Representation></AdaptationSet></Period></MPD>"
    )
    return path


def concat(path: Path, secret: Path, port: int) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{secret}'\nfile 'http://127.0.0.1:{port}/a'\n")
    return path


def sdp(path: Path, secret: Path, port: int) -> Path:
    path.write_text(
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"a=control:rtsp://127.0.0.1:{port}/\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    return path


def asx(path: Path, secret: Path, port: int) -> Path:
    path.write_text(f'<asx><entry><ref href="http://127.0.0.1:{port}/a.asf"/></entry></asx>')
    return path


def reference_movie(path: Path, secret: Path, port: int) -> Path:
    """A QuickTime movie that consists of the address of another."""
    address = f"http://127.0.0.1:{port}/a.mov\0".encode()
    inner = struct.pack(">II4sI", 0, 0, b"url ", len(address)) + address
    rdrf = struct.pack(">I4s", 4 + len(inner) + 4, b"rdrf") + inner[4:]
    rmda = struct.pack(">I4s", 8 + len(rdrf), b"rmda") + rdrf
    rmra = struct.pack(">I4s", 8 + len(rmda), b"rmra") + rmda
    moov = struct.pack(">I4s", 8 + len(rmra), b"moov") + rmra
    path.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"qt  ", 0) + moov)
    return path


def outside_data(path: Path, secret: Path, port: int) -> Path:
    """An MP4 whose pictures are said to lie in another file ("dref")."""
    synthetic.plain(path, frames=5)
    content = path.read_bytes()
    own = struct.pack(">I4sI", 12, b"url ", 1)  # flag 1: in this very file
    assert content.count(own) == 1
    for entry in (f"file://{secret}", f"http://127.0.0.1:{port}/a.mp4"):
        address = entry.encode() + b"\0"
        other = struct.pack(">I4sI", 12 + len(address), b"url ", 0) + address
        content = grown(content, own, other)
        own = other
    path.write_bytes(content)
    return path


def alias_data(path: Path, secret: Path, port: int) -> Path:
    """The same with a Macintosh alias, which FFmpeg follows where it is allowed to."""
    synthetic.plain(path, frames=5)
    name = str(secret).encode()
    record = struct.pack(">I4sIHH", 0, b"alis", 0, 0, 2) + bytes(142) + struct.pack(">hh", 1, 1)
    record += bytes(16) + struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2)
    record += struct.pack(">hH", 18, len(name)) + name + bytes(len(name) % 2)
    record += struct.pack(">hH", -1, 0)
    alias = struct.pack(">I", len(record)) + record[4:]
    own = struct.pack(">I4sI", 12, b"url ", 1)
    path.write_bytes(grown(path.read_bytes(), own, alias))
    return path


def grown(content: bytes, old: bytes, new: bytes) -> bytes:
    """An MP4 with one box in place of another; the boxes around it become larger."""
    at, more = content.index(old), len(new) - len(old)
    changed = bytearray(content)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = content.rindex(name, 0, at) - 4
        size = int.from_bytes(content[start : start + 4], "big")
        changed[start : start + 4] = (size + more).to_bytes(4, "big")
    return bytes(changed[:at]) + new + bytes(changed[at + len(old) :])


def linked_segment(path: Path, secret: Path, port: int) -> Path:
    """A Matroska file that names the file and the segment that come before and after it."""
    synthetic.plain(path, frames=5)
    content = path.read_bytes()
    info = content.index(b"\x15\x49\xa9\x66")
    name = os.fsencode(secret)
    linked = b"".join(
        number + (0x4000 | len(value)).to_bytes(2, "big") + value
        for number, value in (
            (b"\x3c\x83\xab", name),  # PrevFilename
            (b"\x3e\x83\xbb", name),  # NextFilename
            (b"\x3c\xb9\x23", b"p" * 16),  # PrevUUID
            (b"\x3e\xb9\x23", b"n" * 16),  # NextUUID
        )
    )
    length = content[info + 4]
    width = 9 - length.bit_length()
    size = int.from_bytes(content[info + 4 : info + 4 + width], "big") & ~(1 << 7 * width)
    body = content[info + 4 + width :]
    head = b"\x15\x49\xa9\x66" + (1 << 56 | size + len(linked)).to_bytes(8, "big")
    before = bytearray(content[:info])
    segment = before.index(b"\x18\x53\x80\x67")
    before[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7  # of a size not known
    path.write_bytes(bytes(before) + head + linked + body)
    return path


REFUSED = {
    "a.m3u8": hls, "hls.mp4": hls, "a.mpd": dash, "dash.mp4": dash, "a.ffconcat": concat,
    "concat.mkv": concat, "a.sdp": sdp, "sdp.mp4": sdp, "a.asx": asx,
    "reference.mov": reference_movie,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_leads_elsewhere_is_refused_and_not_followed(
    name: str, secret: Path, listener: socket.socket, tmp_path: Path
) -> None:
    source = REFUSED[name](tmp_path / name, secret, listener.getsockname()[1])
    with watched(secret) as opened:
        with pytest.raises(InputError) as caught:
            probe(source)
        assert not opened()
    assert "\n" not in str(caught.value)
    assert not knocked(listener)


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.mp4", outside_data), ("b.mov", alias_data), ("c.mkv", linked_segment)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_references_in_a_video_are_not_followed(
    name: str, make: Make, secret: Path, listener: socket.socket, tmp_path: Path
) -> None:
    source = make(tmp_path / name, secret, listener.getsockname()[1])
    with watched(secret) as opened:
        with suppress(FacepipeError):
            info = probe(source)
            assert list(decode(info, Span(0, info.pts[0], info.pts[-1] + 1))) is not None
        assert not opened()
    assert not knocked(listener)


def test_a_linked_segment_is_a_video_by_itself(secret: Path, tmp_path: Path) -> None:
    assert len(probe(linked_segment(tmp_path / "a.mkv", secret, 9)).pts) == 5


@pytest.mark.parametrize(
    "name",
    ["concat:elsewhere%ssecret.mp4|b", "file:elsewhere%ssecret.mp4", "subfile,,start,0,end,0,,:{}",
     "http:{}", "data:text;base64,AAAA", "pipe:0", "cache:{}", "crypto:{}", "-i"],
)  # fmt: skip
def test_names_are_names(
    name: str, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a name looks, it is that of a file in this folder."""
    name = name.replace("%s", "_").format(secret.name)
    monkeypatch.chdir(tmp_path)
    with watched(secret) as opened:
        with pytest.raises(InputError, match="does not exist"):
            probe(Path(name))
        synthetic.plain(tmp_path / "own.mp4", frames=4).rename(tmp_path / name)
        assert len(probe(Path(name)).pts) == 4
        assert not opened()


def test_addresses_are_not_sources(listener: socket.socket) -> None:
    with pytest.raises(InputError):
        probe(Path(f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4"))
    assert not knocked(listener)


def test_the_watch_sees_what_is_opened(secret: Path, listener: socket.socket) -> None:
    """Else the tests above could not fail."""
    with watched(secret) as opened:
        assert not opened()
        probe(secret)
        assert opened()
    with socket.create_connection(listener.getsockname()):
        assert knocked(listener)


def knocked(listener: socket.socket) -> bool:
    """Whether anyone connected."""
    return bool(select.select([listener], [], [], 0.05)[0])
