"""Boxes that FFmpeg does not know go from one file to another; no packet is lost by it."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepipe.video.pyav import private_boxes as module
from facepipe.video.pyav.copied_boxes import copy_private_boxes
from facepipe.video.pyav.header_data import header_boxes, names_of, of_one_view, scaled
from facepipe.video.pyav.private_boxes import PrivateBoxes, scaled_boxes
from media import synthetic
from media.boxes import (
    ENTRY,
    box,
    boxes_of,
    crop,
    crop_of,
    full,
    sphere,
    sphere_in_xml,
    views,
    with_boxes,
)
from media.video_checks import packets

UDTA, TRAK = ("moov", "udta"), ("moov", "trak", "udta")
FAST = {"movflags": "+faststart"}


def private_boxes(path: Path) -> PrivateBoxes:
    with path.open("rb") as file:
        return module.private_boxes(file)


def put(
    boxes: PrivateBoxes, source: Path, target: Path, tracks: list[int | None],
    *, largest: int | None = None,
) -> None:  # fmt: skip
    with source.open("rb") as given:
        named = [(track, None) for track in tracks]
        copy_private_boxes(boxes, given, target, named, largest=largest)


def quick(path: Path) -> Path:
    """A video whose index comes first."""
    return synthetic.video(path, frames=6, audio=1, container_options=FAST)


def copied(source: Path, target: Path, **how: int | None) -> Path:
    put(private_boxes(source), source, target, [1, 2], **how)
    return target


@pytest.mark.parametrize("first", [True, False], ids=["index first", "index last"])
def test_boxes_and_packets_are_all_there(first: bool, tmp_path: Path) -> None:
    source = with_boxes(
        tmp_path / "in.mp4", synthetic.plain, (UDTA, box("FIRM", b"1")), (TRAK, box("SERL", b"2")),
        ((), box("uuid", bytes(16), b"x" * 3000)), behind=b"\xff trailer",
    )  # fmt: skip
    target = (quick if first else synthetic.two_audios)(tmp_path / "out.mp4")
    before = packets(target)
    copied(source, target)
    assert packets(target) == before
    assert boxes_of(target) == boxes_of(source)
    assert private_boxes(target).names == private_boxes(source).names == {
        "the box udta/FIRM", "the box trak/udta/SERL", "the box uuid 00000000",
        "what lies behind its last box",
    }  # fmt: skip


def test_a_track_gets_its_own(tmp_path: Path) -> None:
    source = with_boxes(tmp_path / "in.mp4", quick, (TRAK, box("SERL", b"of the video")))
    target = quick(tmp_path / "out.mp4")
    boxes = private_boxes(source)
    put(boxes, source, target, [2, 1])
    assert private_boxes(target).trak_udta == {2: boxes.trak_udta[1]}
    other = quick(tmp_path / "other.mp4")
    content = other.read_bytes()
    put(boxes, source, other, [None, 2])
    assert other.read_bytes() == content


def test_places_of_a_dashcam_point_to_their_blocks(tmp_path: Path) -> None:
    blocks = [box("free", b"GPS ", bytes([n]) * 40) for n in range(3)]
    plain = synthetic.plain(tmp_path / "plain.mp4").read_bytes()
    at, places = len(plain), b""
    for block in blocks:
        places += struct.pack(">II", at, len(block))
        at += len(block)
    table = box("gps ", struct.pack(">II", 0, 3), places)
    moov = plain.index(b"moov") - 4  # the last box: blocks come after it, and after the table
    grown = b""
    for number in range(3):
        begin, size = struct.unpack_from(">II", places, 8 * number)
        grown += struct.pack(">II", begin + len(table), size)
    table = box("gps ", struct.pack(">II", 0, 3), grown)
    index = plain[moov:] + table
    source = tmp_path / "in.mp4"
    source.write_bytes(plain[:moov] + struct.pack(">I", len(index)) + index[4:] + b"".join(blocks))
    target = copied(source, quick(tmp_path / "out.mp4"))
    data = target.read_bytes()
    told = data.index(b"gps ") + 4 + 8
    for number, block in enumerate(blocks):
        begin, size = struct.unpack_from(">II", data, told + 8 * number)
        assert data[begin : begin + size] == block
    assert packets(target) == packets(quick(tmp_path / "same.mp4"))


def test_an_index_whose_positions_grow_too_large_goes_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = with_boxes(tmp_path / "in.mp4", synthetic.plain, (UDTA, box("FIRM", b"1")))
    target = quick(tmp_path / "out.mp4")
    before = packets(target)
    monkeypatch.setattr("facepipe.video.pyav.copied_boxes._LARGEST_OFFSET", 10)
    copied(source, target)
    assert packets(target) == before
    assert private_boxes(target).names == {"the box udta/FIRM"}
    assert target.read_bytes().rindex(b"moov") > target.read_bytes().index(b"mdat")


def test_a_trial_copies_no_more_than_it_needs(tmp_path: Path) -> None:
    large = box("uuid", bytes(16), b"x" * 10**6)
    source = with_boxes(tmp_path / "in.mp4", synthetic.plain, ((), large))
    target = synthetic.plain(tmp_path / "out.mp4")
    size = target.stat().st_size
    copied(source, target, largest=1000)
    assert target.stat().st_size == size + 1000
    assert private_boxes(target).names == private_boxes(source).names


def test_what_describes_frames_grows_with_them(tmp_path: Path) -> None:
    source = with_boxes(
        tmp_path / "in.mp4", synthetic.plain, (ENTRY, crop(80, 48, right=-4, down=2)),
        (("moov", "trak"), sphere_in_xml()),
    )  # fmt: skip
    boxes = scaled_boxes(private_boxes(source), 1, 4)
    assert b"FullPanoWidthPixels>384<" in boxes.trak[1][0]
    target = synthetic.video(tmp_path / "out.mp4", frames=3, size=(384, 256))
    put(boxes, source, target, [1])
    assert crop_of(target) == {side: 4 * n for side, n in crop_of(source).items()}
    assert private_boxes(synthetic.plain(tmp_path / "plain.mp4")).names == frozenset()
    assert not private_boxes(tmp_path / "plain.mp4")


def test_a_header_says_the_same_in_every_container(tmp_path: Path) -> None:
    said = {}
    for name, inside in (("crop", crop(80, 48)), ("sphere", sphere()), ("views", views())):
        video = with_boxes(tmp_path / f"{name}.mp4", synthetic.plain, (ENTRY, inside))
        with av.open(str(video)) as opened:
            said[name] = header_boxes(opened.streams.video[0])
    assert names_of(said["crop"]) == {"the crop of its frames"}
    assert names_of(said["sphere"]) == {"the projection of a sphere", "the stereo layout"}
    assert names_of(said["views"]) == {"the stereo layout", "the field of view"}
    assert names_of(of_one_view(said["views"])) == frozenset()
    assert scaled(said["crop"], 2)[b"clap"][8:12] == struct.pack(">I", 160)
    with av.open(str(synthetic.plain(tmp_path / "plain.mkv"))) as opened:
        assert header_boxes(opened.streams.video[0]) == {}


def test_a_crop_of_nothing_is_none(tmp_path: Path) -> None:
    """FFmpeg writes it for codecs that QuickTime crops."""
    video = synthetic.video(tmp_path / "a.mov", codec="v210", pix_fmt="yuv422p10le", frames=2)
    with av.open(str(video)) as opened:
        assert header_boxes(opened.streams.video[0]) == {}


def test_an_index_may_have_a_size_of_64_bits(tmp_path: Path) -> None:
    plain = with_boxes(tmp_path / "a.mp4", synthetic.plain, (("moov",), box("uuid", b"serial" * 4)))
    data = plain.read_bytes()
    begin = data.rindex(b"moov") - 4
    index = data[begin + 8 :]
    assert begin + struct.unpack_from(">I", data, begin)[0] == len(data)
    wide = tmp_path / "b.mp4"
    wide.write_bytes(data[:begin] + struct.pack(">I4sQ", 1, b"moov", 16 + len(index)) + index)
    assert private_boxes(plain).moov
    assert private_boxes(wide).moov == private_boxes(plain).moov


@given(st.binary(max_size=300), st.sampled_from(["moov", "udta", "trak", "gps ", "free", "stsd"]))
def test_nothing_in_a_file_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.mp4"
    inner = box("moov", box(kind, data), box("trak", full("tkhd", data[:9]), box("udta", data)))
    path.write_bytes(box("ftyp", b"isom") + inner + data)
    private_boxes(path)
    path.write_bytes(data)
    private_boxes(path)
