"""What lies elsewhere: fsspec's memory, this disk by its address, and a real server."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from facepipe.batch.remote import check_address, download, downloaded, list_files, upload
from facepipe.errors import InputError, OutputError, UsageError


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.pipe({"/archive/a.jpg": b"one", "/archive/sub/b.mp4": b"three"})
    yield system
    system.rm("/", recursive=True)


def test_a_folder_elsewhere_is_listed(memory: fsspec.AbstractFileSystem) -> None:
    found = list(list_files("memory://archive"))
    assert [(place, size) for _, place, size, _ in found] == [("a.jpg", 3), ("sub/b.mp4", 5)]
    assert [download(address) for address, *_ in found] == [b"one", b"three"]


def test_one_file_elsewhere_is_listed(memory: fsspec.AbstractFileSystem) -> None:
    ((address, place, size, _),) = list_files("memory://archive/sub/b.mp4")
    assert (address, place, size) == ("memory:///archive/sub/b.mp4", "b.mp4", 5)


def test_a_version_changes_with_the_file(memory: fsspec.AbstractFileSystem) -> None:
    before = {place: version for _, place, _, version in list_files("memory://archive")}
    memory.pipe("/archive/a.jpg", b"two")
    after = {place: version for _, place, _, version in list_files("memory://archive")}
    assert after["a.jpg"] != before["a.jpg"]
    assert after["sub/b.mp4"] == before["sub/b.mp4"]


def test_a_copy_is_there_while_it_is_needed(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    with downloaded("memory://archive/sub/b.mp4", tmp_path / "x") as copy:
        assert copy.read_bytes() == b"three"
        assert copy.suffix == ".mp4"
    assert not list((tmp_path / "x").iterdir())


def test_a_result_is_delivered_and_removed(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"made")
    upload(tmp_path / "a.jpg", "memory://out/deep/a.jpg")
    assert memory.cat("/out/deep/a.jpg") == b"made"
    assert not (tmp_path / "a.jpg").exists()


def test_this_disk_has_addresses_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.jpg").write_bytes(b"one")
    ((address, place, _, _),) = list_files(f"file://{tmp_path}/in")
    assert place == "a b.jpg"
    assert download(address) == b"one"
    (tmp_path / "made").write_bytes(b"made")
    upload(tmp_path / "made", f"file://{tmp_path}/out/a.jpg")
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"made"


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.jpg").write_bytes(b"served")
    handler = functools.partial(_Silent, directory=str(tmp_path / "served"))
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_a_real_server(server: str, tmp_path: Path) -> None:
    ((address, place, size, _),) = list_files(f"{server}/a.jpg")
    assert (place, size) == ("a.jpg", 6)
    with downloaded(address, tmp_path / "x") as copy:
        assert copy.read_bytes() == b"served"
    with pytest.raises(InputError, match=r"cannot be read|there is no file"):
        list(list_files(f"{server}/gone.jpg"))
    (tmp_path / "made").write_bytes(b"made")
    with pytest.raises(OutputError, match="cannot be written"):
        upload(tmp_path / "made", f"{server}/made")
    assert (tmp_path / "made").exists()


def test_what_nobody_knows_is_refused(memory: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(UsageError, match="no-such-scheme"):
        check_address("no-such-scheme://x")
    with pytest.raises(InputError, match="there is no file"):
        list(list_files("memory://elsewhere"))
    with pytest.raises(InputError, match="cannot be read"):
        download("memory://archive/gone.jpg")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a real S3 server on this machine."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("facepipe-test")
    yield "s3://facepipe-test"
    server.stop()


def test_a_real_bucket(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"made")
    upload(tmp_path / "made", f"{bucket}/deep/a.jpg")
    ((address, place, size, version),) = list_files(bucket)
    assert (address, place, size) == (f"{bucket}/deep/a.jpg", "deep/a.jpg", 4)
    assert version
    assert download(address) == b"made"
    with downloaded(address, tmp_path / "x") as copy:
        assert copy.read_bytes() == b"made"
