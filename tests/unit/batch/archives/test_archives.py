"""Archives: plain files come out as they are; what is hostile or damaged is told, and bounded."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facepipe.batch import archives
from facepipe.batch.archives import (
    ARCHIVE_SUFFIXES,
    ArchiveWriter,
    Limits,
    Member,
    Refused,
    is_archive_name,
    open_archive,
)
from facepipe.errors import InputError, OutputError

LIMITS = Limits()
FILES = {"a.png": b"one" * 500, "folder/b.jpg": bytes(range(256)) * 9, "folder/empty.bmp": b""}


def write(path: Path, files: dict[str, bytes]) -> Path:
    with ArchiveWriter(path) as archive:
        for name, data in files.items():
            archive.add(name, data)
    return path


def zip_of(path: Path, files: dict[str, bytes], **changes: object) -> Path:
    """A zip by zipfile, the last member's entry in the directory (not its header) changed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        for field, value in changes.items():
            setattr(archive.filelist[-1], field, value)
    return path


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], kind: int = 1) -> Path:
    with tarfile.open(path, "w", format=kind, encoding="utf-8") as archive:
        for info, data in members:
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def entry(name: str, type_: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, link
    return info


def listed(path: Path, limits: Limits = LIMITS) -> tuple[list[str], dict[str, str]]:
    """Names of the members, and the reasons by the names of what was refused."""
    with open_archive(path) as archive:
        found = list(archive.members(limits))
    return (
        [one.name for one in found if isinstance(one, Member)],
        {one.stored: one.reason for one in found if isinstance(one, Refused)},
    )


def contents(path: Path, *, read: bool = True) -> Iterator[tuple[Member, bytes]]:
    """The members of an archive that are not refused, and their bytes."""
    with open_archive(path) as archive:
        for member in archive.members(LIMITS):
            if isinstance(member, Member):
                yield member, archive.read(member) if read else b""


def only_member(path: Path) -> Member:
    ((member, _),) = contents(path, read=False)
    return member


def read_member(path: Path, member: Member, limits: Limits | None = None) -> bytes:
    """The bytes of a member of an archive that is opened for it alone."""
    with open_archive(path) as archive:
        return archive.read(member, limits)


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python and its libraries held at most while at work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    with ArchiveWriter(target) as archive:
        for name, data in FILES.items():
            archive.add(name, data, 1_600_000_000.0)
        archive.add("half.png", b"x", 1_600_000_000.5)
        archive.add("timeless.png", b"y")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    with open_archive(target) as source:
        read = {}
        for member in source.members(LIMITS):
            assert isinstance(member, Member)
            read[member.name] = source.read(member)
            assert member.size == len(read[member.name])
            if member.name not in ("half.png", "timeless.png"):
                assert member.modified == 1_600_000_000
            assert read_member(target, member) == read[member.name]
    assert read == FILES | {"half.png": b"x", "timeless.png": b"y"}


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_the_same_members_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    one = write(tmp_path / f"one{suffix}", FILES).read_bytes()
    assert write(tmp_path / f"other{suffix}", FILES).read_bytes() == one


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_other_programs_read_what_is_written(tmp_path: Path, suffix: str) -> None:
    target = write(tmp_path / f"out{suffix}", FILES | {"ö" * 120 + "/é.png": b"z"})
    if suffix == ".zip":
        with zipfile.ZipFile(target) as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == 4
    else:
        with tarfile.open(target) as tar:
            assert [info.size for info in tar] == [1500, 2304, 0, 1]


def test_no_more_is_public_than_is_used() -> None:
    assert archives.__all__ == [
        *("ARCHIVE_SUFFIXES", "Archive", "ArchiveWriter", "Limits", "Member", "Refused"),
        *("is_archive_name", "open_archive"),
    ]
    assert all(getattr(archives, name) is not None for name in archives.__all__)


def test_names_of_archives() -> None:
    assert all(is_archive_name(f"Photos{suffix.upper()}") for suffix in ARCHIVE_SUFFIXES)
    assert not any(is_archive_name(name) for name in ("a.png", "zip", "a.gz", "a.tar.zst"))


@pytest.mark.parametrize("how", [bz2.open, gzip.open, lzma.open])
def test_members_are_read_in_any_order(tmp_path: Path, how: Callable[..., io.IOBase]) -> None:
    """A tar whose compression its name does not tell, in two streams, with zeros behind."""
    plain = write(tmp_path / "a.tar", FILES).read_bytes()
    packed = tmp_path / "b.tar"
    with packed.open("wb") as file:
        for part in (plain[:1000], plain[1000:]):
            with how(file, "wb") as stream:
                stream.write(part)
        file.write(bytes(512))
    with open_archive(packed) as archive:
        members = [m for m in archive.members(LIMITS) if isinstance(m, Member)]
        assert {m.name: archive.read(m) for m in reversed(members)} == FILES


@pytest.mark.parametrize("method", [0, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_all_methods_of_zipfile_are_read(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    with open_archive(tmp_path / "a.zip") as source:
        assert [source.read(m) for m in source.members(LIMITS) if isinstance(m, Member)] == [
            *FILES.values()
        ]


HOSTILE_NAMES = {
    "../up.png": "leads out",
    "a/../../up.png": "leads out",
    "..\\up.png": "leads out",
    "a\\..\\..\\up.png": "leads out",
    "/etc/a.png": "absolute",
    "\\\\server\\a.png": "absolute",
    "C:\\a.png": "drive",
    "c:a.png": "drive",
    ".": "empty",
    "./.": "empty",
    "a/...": "dot or a space",
    "a./b.png": "dot or a space",
    "a.png ": "dot or a space",
    "a\nb.png": "control",
    "a\x1b[2Jb.png": "control",
    "a\u2028b.png": "control",
    "NUL": "Windows",
    "folder/con.png": "Windows",
    "Lpt1 .x/a.png": "Windows",
    "é" * 128: "255 bytes",
    "a/" * 2048 + "b": "characters",
}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_hostile_names_are_refused_and_the_rest_goes_on(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    names = [*HOSTILE_NAMES, "CONcert.png", ".hidden", "./good//name.png", "by\\windows.png"]
    if suffix == ".zip":
        zip_of(path, dict.fromkeys(names, b"x"))
    else:
        tar_of(path, [(entry(name), b"x") for name in names], tarfile.PAX_FORMAT)
    members, refused = listed(path)
    assert members == ["CONcert.png", ".hidden", "good/name.png", "by/windows.png"]
    assert len(refused) == len(HOSTILE_NAMES)
    for (shown, reason), expected in zip(refused.items(), HOSTILE_NAMES.values(), strict=True):
        assert expected in reason
        assert len(shown) <= 200
        assert shown.isprintable()


def test_empty_names_and_nul(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"x": b"1", "y": b"2"})
    path.write_bytes(path.read_bytes().replace(b"y", b"\0"))
    assert listed(path) == (["x"], {"\\x00": "a name with control characters"})
    empty = zip_of(tmp_path / "b.zip", {"x": b"1"}, orig_filename="", filename="")
    assert listed(empty) == ([], {"": "an empty name"})
    latin = tar_of(tmp_path / "a.tar", [(entry("a\udce9.png"), b"x")])
    assert listed(latin) == ([], {"a\\udce9.png": "a name that is not UTF-8"})


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_the_second_of_a_name_is_refused(tmp_path: Path, suffix: str) -> None:
    names = ["a.png", "A.PNG", "b/é.png", "b/e\u0301.png", "./a.png", "b/e.png"]
    path = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        zip_of(path, {name: name.encode() for name in names})
    else:
        tar_of(path, [(entry(name), name.encode()) for name in names], tarfile.PAX_FORMAT)
    members, refused = listed(path)
    assert members == ["a.png", "b/é.png", "b/e.png"]
    assert list(refused) == ["A.PNG", "b/e\u0301.png", "./a.png"]
    assert all("same name" in reason for reason in refused.values())


def test_links_devices_and_the_like_are_refused(tmp_path: Path) -> None:
    kinds = {
        **{tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link"},
        **{tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "FIFO"},
        **{tarfile.GNUTYPE_SPARSE: "sparse", b"V": "unknown kind", b"\xff": "unknown kind"},
    }
    members = [(entry(f"{n}.png", kind, "/etc/passwd"), b"") for n, kind in enumerate(kinds)]
    path = tar_of(
        tmp_path / "a.tar", [*members, (entry("d", tarfile.DIRTYPE), b""), (entry("z"), b"x")]
    )
    names, refused = listed(path)
    assert names == ["z"]
    assert all(a in b for a, b in zip(kinds.values(), refused.values(), strict=True))
    pax = entry("p.png")
    pax.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}
    sparse = tar_of(tmp_path / "b.tar", [(pax, b"x"), (entry("z"), b"x")], tarfile.PAX_FORMAT)
    assert listed(sparse) == (["z"], {"p.png": "a sparse file"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"external_attr": 0o120777 << 16}, "symbolic link"),
        ({"external_attr": 0o020666 << 16}, "special file"),
        ({"external_attr": 0o040755 << 16}, "holds data"),
        ({"flag_bits": 1}, "encrypted"),
        ({"compress_type": 9}, "method that is not known here (9)"),
        ({"compress_size": 2000}, "overlaps"),
        ({"header_offset": 0}, "overlaps"),
        ({"file_size": 2**29 + 1}, "more than the 536870912 allowed"),
        ({"file_size": 2**28}, "a bomb"),
    ],
)
def test_hostile_entries_are_refused(tmp_path: Path, changes: dict[str, int], reason: str) -> None:
    files = {"a.png": b"1", "b.png": b"2" * 2000}
    members, refused = listed(zip_of(tmp_path / "a.zip", files, **changes))
    assert members == (["a.png"] if changes != {"header_offset": 0} else [])
    assert reason in refused["b.png"]


def test_many_entries_for_the_same_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(900_000))
        for number in range(1, 50):
            info = zipfile.ZipInfo(f"{number}.png")
            first = archive.filelist[0]
            for field in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(info, field, getattr(first, field))
            archive.filelist.append(info)
    members, refused = listed(path)
    assert members == []
    assert len(refused) == 50
    assert all("overlaps" in reason for reason in refused.values())


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_lies_stops_at_what_it_declares(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", bytes(2**25))
        archive.filelist[0].file_size = 1000
    member = only_member(path)

    def read() -> None:
        with pytest.raises(InputError, match=r"a\.zip: a\.png: .*more than the 1000 bytes"):
            read_member(path, member)

    assert peak_of(read) < (2**24 if method == zipfile.ZIP_LZMA else 2**21)  # LZMA's own window


def test_a_picture_of_one_colour_is_no_bomb(tmp_path: Path) -> None:
    plain = bytes(2**23)
    path = write(tmp_path / "a.zip", {"black.bmp": plain})
    member = only_member(path)
    assert member.packing is not None
    assert 1020 < member.size / member.packing.size < LIMITS.ratio
    assert read_member(path, member) == plain


def test_a_bomb_in_a_compressed_tar_stops_while_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.bz2"
    with tarfile.open(path, "w:bz2") as archive:
        for name, size in (("bomb.png", 2**25), ("b.png", 5)):
            info = entry(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    with open_archive(path) as source:
        bomb, other = (m for m in source.members(LIMITS) if isinstance(m, Member))
        with pytest.raises(InputError, match=r"bomb\.png: .*a bomb"):
            source.read(bomb)
        assert source.read(other) == bytes(5)
    small = Limits(member_bytes=2**20)
    with open_archive(path) as source:
        found = source.members(small)
        assert isinstance(next(found), Refused)
        with pytest.raises(InputError, match="a bomb"):  # what follows lies behind too much of it
            next(found)
    with pytest.raises(InputError, match="allowed"):
        read_member(path, bomb, small)


def test_a_tar_cannot_ask_for_much_memory_by_its_headers(tmp_path: Path) -> None:
    long = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    long.size = 2**25
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(long.tobuf(tarfile.GNU_FORMAT) + bytes(2**25))
        file.write(entry("a.png").tobuf() + entry("b.png").tobuf() + bytes(1024))
    assert peak_of(lambda: listed(path)) < 2**23
    assert listed(path) == (["b.png"], {"a.png": "a header of 33554432 bytes goes before it"})
    chain = entry("x", tarfile.XGLTYPE).tobuf() * 100
    (tmp_path / "b.tar").write_bytes(chain + bytes(1024))
    with pytest.raises(InputError, match="headers for one member"):
        listed(tmp_path / "b.tar")


def test_lzma_cannot_ask_for_a_giant_window(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", b"x")
    data = bytearray(path.read_bytes())
    data[40:44] = (2**31 - 1).to_bytes(4, "little")  # behind 35 bytes of header, 4 and 1 of LZMA's
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png: .*Memory usage limit"):
        read_member(path, only_member(path))


def test_an_archive_in_an_archive_is_a_plain_member(tmp_path: Path) -> None:
    inner = write(tmp_path / "inner.zip", FILES).read_bytes()
    path = write(tmp_path / "outer.tar", {"inner.zip": inner})
    assert read_member(path, only_member(path)) == inner


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_work(tmp_path: Path, kind: int) -> None:
    longest = "/".join(["ab" * 30] * 68)[:4092] + ".png"
    names = [longest, "表情/ñandú 😀.png", "é" * 127]
    assert len(longest) == 4096
    assert listed(tar_of(tmp_path / "a.tar", [(entry(n), b"x") for n in names], kind))[0] == names
    assert listed(zip_of(tmp_path / "a.zip", dict.fromkeys(names, b"x")))[0] == names


def test_names_in_code_page_437_work(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"Muller.png": b"x"})
    path.write_bytes(path.read_bytes().replace(b"Muller", "Müller".encode("cp437")))
    member = only_member(path)
    assert member.name == member.stored == "Müller.png"
    assert read_member(path, member) == b"x"
    unmarked = zip_of(tmp_path / "b.zip", {"Mxyller.png": b"x"})  # UTF-8 as macOS writes it
    unmarked.write_bytes(unmarked.read_bytes().replace(b"xy", "ü".encode()))
    assert read_member(unmarked, only_member(unmarked)) == b"x"
    assert only_member(unmarked).name == "Müller.png"


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_what_is_no_archive_is_told_at_once(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for data, said in ((b"", "empty"), (b"no archive" * 200, "no|not"), (b"PK\3\4", "no|not")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"a{suffix}.*({said})"), open_archive(path):
            pass
    with pytest.raises(InputError, match="no such file"):
        listed(tmp_path / f"b{suffix}")
    with pytest.raises(InputError, match="no such file"):
        listed(tmp_path)


@pytest.mark.parametrize("suffix", [s for s in ARCHIVE_SUFFIXES if s != ".zip"])
def test_a_tar_that_is_cut_short_gives_what_is_before(tmp_path: Path, suffix: str) -> None:
    noise = {f"{n}.png": random.Random(n).randbytes(9000) for n in range(40)}
    path = write(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    for read in (False, True):
        names: list[str] = []
        with pytest.raises(InputError, match=rf"a{suffix}.*cut short"):
            names.extend(member.name for member, _ in contents(path, read=read))
        assert names == list(noise)[: len(names)]
        assert len(names) > (5 if suffix != ".tar.bz2" else -1)  # bzip2 has blocks of 900 kB


def test_damage_in_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    data = write(tmp_path / "a.tar", FILES).read_bytes()
    (tmp_path / "b.tar").write_bytes(data[:2048] + b"?" + data[2049:])
    (tmp_path / "c.tar").write_bytes(data[:-1024])
    (tmp_path / "d.tar").write_bytes(data + data)
    for name, said in (("b", "damaged"), ("c", "no end mark"), ("d", "more members follow")):
        with pytest.raises(InputError, match=said):
            listed(tmp_path / f"{name}.tar")


def test_headers_that_make_no_sense_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    header = bytearray(entry("a.png").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\xff" * 12  # minus one byte, as GNU writes it
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(InputError, match="negative size"):
        listed(path)
    pax = entry("x", tarfile.XHDTYPE)
    pax.size = 9
    end = entry("b.png").tobuf() + bytes(1024)
    for records in (b"0 path=b\n", b"99 path=b\n", b"9 path b\n", b"-1 path=\n"):
        path.write_bytes(pax.tobuf() + records.ljust(512, b"\0") + end)
        assert listed(path) == ([], {"b.png": "its PAX header is damaged"})
    path.write_bytes(pax.tobuf() + b"9 size=-")
    with pytest.raises(InputError, match="cut short"):
        listed(path)
    pax.size = 11
    for records, said in ((b"11 size=-9\n", "negative size"), (b"11 size=9x\n", "cannot be read")):
        path.write_bytes(pax.tobuf() + records.ljust(512, b"\0") + end)
        with pytest.raises(InputError, match=said):
            listed(path)
    undated = zip_of(tmp_path / "a.zip", {"a.png": b"x"}, date_time=(1980, 0, 0, 0, 0, 0))
    assert only_member(undated).modified is None


def test_a_wrong_checksum_is_the_members_own(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"a.png": b"1", "b.png": b"2"}, CRC=7)
    with open_archive(path) as archive:
        good, bad = (m for m in archive.members(LIMITS) if isinstance(m, Member))
        with pytest.raises(InputError, match=r"b\.png.*checksum"):
            archive.read(bad)
        assert archive.read(good) == b"1"
    with pytest.raises(InputError, match="no member of a tar"):
        read_member(write(tmp_path / "a.tar", FILES), good)


def test_too_many_members_end_the_listing(tmp_path: Path) -> None:
    for suffix in (".zip", ".tar"):
        path = write(tmp_path / f"a{suffix}", FILES)
        with pytest.raises(InputError, match="more than 2 members"):
            listed(path, Limits(members=2))
        assert len(listed(path, Limits(members=3))[0]) == 3


@pytest.mark.parametrize(("suffix", "most"), [(".zip", 2**23), (".tar", 2**19), (".tgz", 2**19)])
def test_listing_streams(tmp_path: Path, suffix: str, most: int) -> None:
    path = write(tmp_path / f"a{suffix}", {f"{n:04}.png": b"x" for n in range(5000)})
    counts: list[int] = []
    assert peak_of(lambda: counts.append(sum(1 for _ in contents(path, read=False)))) < most
    assert counts == [5000]


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_raises_nothing_but_input_errors(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists():
        write(whole, FILES | {"x" * 120 + "/é.bmp": b"long" * 99})
    damaged = bytearray(whole.read_bytes())
    at = st.integers(0, len(damaged) - 1)
    for place, value in data.draw(st.lists(st.tuples(at, st.integers(0, 255)), max_size=6)):
        damaged[place] = value
    path = tmp_path / f"a{suffix}"
    path.write_bytes(damaged[: data.draw(st.none() | at)])
    with contextlib.suppress(InputError), open_archive(path) as archive:
        for member in archive.members(LIMITS):
            if isinstance(member, Member):
                with contextlib.suppress(InputError):
                    assert len(archive.read(member)) == member.size


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_a_writer_that_fails_leaves_nothing(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"a{suffix}"
    target.write_bytes(b"from before")

    def interrupted() -> None:
        with ArchiveWriter(target) as archive:
            archive.add("a.png", b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="cross-device"):
        write(target, FILES)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"from before"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_a_full_disk_is_told(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource", reason="this machine has no limits of processes")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = random.Random(7).randbytes(2**18)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path / f"a{suffix}", {"a.png": noise, "b.png": noise})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_was_given_up_stays_so(tmp_path: Path) -> None:
    with contextlib.suppress(KeyError), ArchiveWriter(tmp_path / "a.zip") as archive:
        raise KeyError
    with pytest.raises(OutputError, match="given up"):
        archive.add("c.png", b"x")


def test_a_writer_takes_safe_names_once_and_known_suffixes(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.zip") as archive:
        archive.add("a.png", b"x", float("nan"))
        for name in ("../b.png", "A.PNG", "a//b.png", "/c.png", ""):
            with pytest.raises(OutputError, match=r"a\.zip"):
                archive.add(name, b"y")
    assert listed(tmp_path / "a.zip")[0] == ["a.png"]
    with pytest.raises(OutputError, match="an archive ends in"):
        ArchiveWriter(tmp_path / "a.rar")
    with pytest.raises(OutputError, match="cannot be written"), ArchiveWriter(tmp_path / "n/a.tar"):
        pass
