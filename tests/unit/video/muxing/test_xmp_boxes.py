"""The mark of a network's work in videos: where it lies, and that the source's XMP stays in it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import av
import pytest

from facepipe.marking.xmp import SOURCE_TYPE
from facepipe.video import EncodeSettings, mux, probe
from facepipe.video.muxing.xmp_boxes import SOURCE_KEY, _packets, told_source_type
from facepipe.video.pyav.private_boxes import XMP_UUID, private_boxes
from media import synthetic, xmp
from media.boxes import with_boxes
from media.video_checks import rendered, whole

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))
VP9 = EncodeSettings("libvpx-vp9", (("cpu-used", "8"), ("deadline", "realtime")))
NOTE = "made by a network"
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


def write(source: Path, target: Path, *, note: str = NOTE, fragmented: bool = False) -> Path:
    info = probe(source)
    encode = VP9 if target.suffix == ".webm" else FAST
    part = rendered(info, whole(info), target.with_name("part.nut"), encode)
    mux([part], source, info, target, settings=encode, metadata={}, note=note,
        fragmented=fragmented)  # fmt: skip
    return target


def plain(path: Path, **how: object) -> Path:
    return synthetic.video(path, frames=8, size=(240, 136), **how)  # type: ignore[arg-type]


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {key.upper(): value for key, value in container.metadata.items()}


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
@pytest.mark.parametrize("fragmented", [False, True], ids=["indexed", "in fragments"])
def test_mp4_and_mov_are_marked_where_their_specification_says(
    suffix: str, fragmented: bool, tmp_path: Path
) -> None:
    source = plain(tmp_path / f"a{suffix}", container_options=FRAGMENTED if fragmented else {})
    target = write(source, tmp_path / f"b{suffix}", fragmented=fragmented)
    place = "udta" if suffix == ".mov" else "uuid"
    (packet,) = xmp.packets_in(target)[place]
    assert packet.count(SOURCE_TYPE.encode()) == 1
    assert NOTE.encode() in packet
    assert list(xmp.packets_in(target)) == [place]
    assert told_source_type(target) == SOURCE_TYPE
    assert len(probe(target).pts) == 8
    assert SOURCE_KEY not in tags(target)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".nut"])
def test_others_have_a_key_of_their_metadata(suffix: str, tmp_path: Path) -> None:
    source = plain(tmp_path / "a.mkv", metadata={"title": "One"})
    target = write(source, tmp_path / f"b{suffix}")
    assert tags(target)[SOURCE_KEY] == SOURCE_TYPE == told_source_type(target)
    assert tags(target)["TITLE"] == "One"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_nothing_is_marked_without_a_note(suffix: str, tmp_path: Path) -> None:
    source = plain(tmp_path / f"a{suffix}")
    target = write(source, tmp_path / f"b{suffix}", note="")
    assert told_source_type(target) is None
    assert xmp.packets_in(target) == {}


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("own", ["uuid", "udta"])
def test_the_sources_own_packet_is_added_to(own: str, suffix: str, tmp_path: Path) -> None:
    boxed = xmp.in_uuid(xmp.PACKET) if own == "uuid" else xmp.in_udta(xmp.PACKET)
    source = with_boxes(tmp_path / f"a{suffix}", plain, (() if own == "uuid" else xmp.UDTA, boxed))
    assert list(xmp.packets_in(source)) == [own]
    target = write(source, tmp_path / f"b{suffix}")
    ((place, (packet,)),) = xmp.packets_in(target).items()
    assert place == ("uuid" if suffix == ".mp4" else "udta")
    assert packet.count(b"DigitalSourceType=") == 1
    for kept in (b"seven &amp; eight", b"the yard", b'd:w="240" d:h="136"'):
        assert kept in packet
    assert NOTE.encode() not in packet  # it has a description
    assert told_source_type(target) == SOURCE_TYPE


def test_two_packets_are_both_marked_in_their_places(tmp_path: Path) -> None:
    boxes = ((), xmp.in_uuid(xmp.PACKET)), (xmp.UDTA, xmp.in_udta(xmp.PACKET))
    target = write(with_boxes(tmp_path / "a.mp4", plain, *boxes), tmp_path / "b.mp4")
    found = xmp.packets_in(target)
    assert list(found) == ["uuid", "udta"]
    assert all(SOURCE_TYPE.encode() in packet for (packet,) in found.values())


def test_a_damaged_packet_stays_and_a_new_one_marks(tmp_path: Path) -> None:
    damaged = b"<x:xmpmeta no end"
    source = with_boxes(tmp_path / "a.mp4", plain, ((), xmp.in_uuid(damaged)))
    target = write(source, tmp_path / "b.mp4")
    assert damaged in xmp.packets_in(target)["uuid"]
    assert told_source_type(target) == SOURCE_TYPE


def test_the_sources_key_in_matroska_is_added_to(tmp_path: Path) -> None:
    source = plain(tmp_path / "a.mkv", metadata={SOURCE_KEY: "digitalCapture"})
    target = write(source, tmp_path / "b.mkv")
    assert tags(target)[SOURCE_KEY] == f"digitalCapture; {SOURCE_TYPE}"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = with_boxes(tmp_path / "a.mp4", plain, ((), xmp.in_uuid(xmp.PACKET)))
    made = [write(source, tmp_path / name).read_bytes() for name in ("b.mp4", "c.mp4")]
    assert made[0] == made[1]


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("own", [False, True], ids=["without XMP", "with XMP"])
def test_exiftool_reads_the_mark(own: bool, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    source = with_boxes(path, plain, ((), xmp.in_uuid(xmp.PACKET))) if own else plain(path)
    target = write(source, tmp_path / f"b{suffix}")
    command = ["exiftool", "-j", "-G0", "-all", "-validate", str(target)]
    (told,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["XMP:DigitalSourceType"] == SOURCE_TYPE
    assert told["XMP:Description"] == ("the yard" if own else NOTE)
    assert told.get("XMP:Reel") == ("seven & eight" if own else None)
    assert told["ExifTool:Validate"] == "OK"


def test_a_box_too_short_for_its_name_is_passed_over(tmp_path: Path) -> None:
    source = plain(tmp_path / "a.mp4")
    with source.open("ab") as file:
        file.write(struct.pack(">I4s", 8, b"uuid") + XMP_UUID + bytes(5000))
    with source.open("rb") as file:
        assert not list(_packets(private_boxes(file), file))


def test_bytes_behind_the_last_box_hide_no_mark(tmp_path: Path) -> None:
    """Makers of phones put tables there."""
    source = plain(tmp_path / "a.mp4")
    with source.open("ab") as file:
        file.write(b"\0\0\0\2trailer of a maker" + bytes(300))
    target = write(source, tmp_path / "b.mp4")
    assert target.read_bytes().endswith(b"trailer of a maker" + bytes(300))
    assert told_source_type(target) == SOURCE_TYPE
