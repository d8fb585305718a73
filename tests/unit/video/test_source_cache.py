"""The source cache: the same bytes as the file's, few reads, and the digest by the way."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import av
import pytest

from facepipe._system.files import sha256_of
from facepipe.errors import InputError
from facepipe.video import probe, source_cache
from facepipe.video.source_cache import SourceCache, cached_file, read_once
from media import synthetic
from media.reads import counted

BLOCK = 2**13


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of sixty blocks and a half, of which the cache holds thirty-two."""
    monkeypatch.setattr(source_cache, "BLOCK_BYTES", BLOCK)
    path = tmp_path / "file"
    path.write_bytes(random.Random(0).randbytes(BLOCK * 60 + BLOCK // 2))
    return path


def test_any_position_reads_as_in_the_file(file: Path) -> None:
    content, drawn = file.read_bytes(), random.Random(1)
    with SourceCache(file).open() as opened:
        for _ in range(300):
            at, size = drawn.randrange(len(content) + 500), drawn.randrange(1, 5 * BLOCK)
            assert opened.seek(at) == opened.tell() == at
            assert opened.read(size) == content[at : at + size]
        assert opened.seek(-7, os.SEEK_END) == len(content) - 7
        assert opened.read() == content[-7:]
        assert opened.seek(-9, os.SEEK_CUR) == len(content) - 9
        with pytest.raises(av.FFmpegError):
            opened.seek(-1)


def test_the_digest_needs_no_reading_of_its_own(file: Path) -> None:
    """Not after a container's index, which lies at the end, was read first."""
    cache = SourceCache(file)
    with counted(file) as reads:
        with cache.open() as opened:
            opened.seek(-2 * BLOCK, os.SEEK_END)
            opened.read()
            opened.seek(0)
            opened.read()
        assert cache.sha256() == hashlib.sha256(file.read_bytes()).hexdigest()
        assert sha256_of(file) == cache.sha256()
    assert (reads.opens, reads.sizes) == (2, 2)  # this test's own reading is the second


def test_what_nobody_read_is_read_for_the_digest(file: Path) -> None:
    cache = SourceCache(file)
    with cache.open() as opened:
        opened.seek(30 * BLOCK)
        opened.read(BLOCK)
    assert cache.sha256() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_readers_that_go_side_by_side_read_once(file: Path) -> None:
    cache = SourceCache(file)
    with counted(file) as reads, cache.open() as one, cache.open() as other:
        while one.read(700):
            other.read(700)
        for _ in range(3):  # as a container is opened: its head, and its index at the end
            with cache.open() as again:
                again.read(10 * BLOCK)
                again.seek(-2 * BLOCK, os.SEEK_END)
                again.read()
    assert reads.sizes == 1


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path) -> None:
    cache = SourceCache(file)
    with cache.open() as opened:
        opened.read(5 * BLOCK)
        with file.open("ab") as writer:
            writer.write(b"more")
    with pytest.raises(InputError, match="changed while it was read"):
        cache.sha256()


def test_a_file_that_becomes_shorter_ends(file: Path) -> None:
    cache = SourceCache(file)
    with cache.open() as opened:
        opened.read(BLOCK)
        os.truncate(file, 2 * BLOCK)
        assert len(opened.read()) == BLOCK
    with pytest.raises(InputError, match="changed while it was read"):
        cache.sha256()


def test_a_disk_that_refuses_is_an_error_of_ffmpeg(file: Path) -> None:
    """So that a source with a bad sector is damaged, not unreadable."""
    with SourceCache(file).open() as opened:
        file.unlink()
        with pytest.raises(av.FFmpegError):
            opened.read(1)


def test_only_the_one_source_is_cached(tmp_path: Path) -> None:
    path, other = synthetic.plain(tmp_path / "a.mp4"), synthetic.plain(tmp_path / "b.mkv")
    with read_once(path) as cache, counted(path) as reads, counted(other) as others:
        infos = [probe(path) for _ in range(3)]
        probe(other)
        probe(other)
    assert cached_file(path) is None
    # Of what is not cached, the first look is for the tables of a transport stream.
    assert (reads.opens, others.opens) == (1, 3)
    assert cache.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert infos[0] == infos[2] == probe(path)
