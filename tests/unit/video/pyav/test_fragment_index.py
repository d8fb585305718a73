"""The list of fragments moves with them, and stays at the end."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest

from facepipe.video.pyav.copied_boxes import copy_private_boxes
from facepipe.video.pyav.fragment_index import moved_tail, take_tail
from facepipe.video.pyav.isobmff import boxed, whole_boxes
from facepipe.video.pyav.private_boxes import PrivateBoxes, private_boxes
from media import synthetic
from media.boxes import box, with_boxes
from media.samples import found
from media.video_checks import packets

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def fragmented(path: Path) -> Path:
    """Three fragments, with sound."""
    return synthetic.video(path, audio=1, container_options=FRAGMENTED)


def places(path: Path) -> list[int]:
    """Where the list says that fragments are, of the first track."""
    table = found(path.read_bytes(), "mfra", "tfra")[0]
    (count,) = struct.unpack_from(">I", table, 12)
    return [struct.unpack_from(">Q", table, 24 + 19 * n)[0] for n in range(count)]


def test_fragments_are_where_the_list_says(tmp_path: Path) -> None:
    path, other = fragmented(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with_boxes(other, fragmented, ((), box("uuid", bytes(range(16)), b"at the end")))
    before, there = packets(path), places(path)
    with other.open("rb") as given:
        boxes = private_boxes(given)
        own = PrivateBoxes(top=boxes.top, moov=(box("uuid", bytes(99)),), uuids=boxes.uuids)
        copy_private_boxes(own, given, path, [(1, "pt-BR"), (2, None)])
    data = path.read_bytes()
    now = places(path)
    assert len({new - old for old, new in zip(there, now, strict=True)}) == 1
    assert now[0] > there[0]
    assert all(data[place + 4 : place + 8] == b"moof" for place in now)
    with path.open("rb") as file:
        kinds = [one.kind for one in whole_boxes(file, len(data))]
    assert kinds[-2:] == [b"uuid", b"mfra"]
    assert packets(path) == before
    with av.open(str(path)) as container:
        container.seek(10**6)
        assert next(container.decode(video=0)).pts is not None


@pytest.mark.parametrize("version", [0, 1])
def test_positions_of_both_widths_move(version: int) -> None:
    form = ">IIBBB" if version == 0 else ">QQBBB"
    entries = b"".join(struct.pack(form, n, 1000 * n, 1, 1, 1) for n in (1, 2))
    head = bytes([version, 0, 0, 0]) + struct.pack(">III", 1, 0, 2)
    moved = moved_tail(boxed(b"mfra", boxed(b"tfra", head + entries)), 7)
    expected = b"".join(struct.pack(form, n, 1000 * n + 7, 1, 1, 1) for n in (1, 2))
    assert moved == boxed(b"mfra", boxed(b"tfra", head + expected))


def test_a_file_without_a_list_stays_as_it_is(tmp_path: Path) -> None:
    path = synthetic.plain(tmp_path / "a.mp4", frames=3)
    contents = path.read_bytes()
    for whole in (contents, contents + box("mfro", bytes(4), (2**31).to_bytes(4, "big")),
                  contents + box("mfro", bytes(4), (40).to_bytes(4, "big")), b"short"):  # fmt: skip
        path.write_bytes(whole)
        with path.open("r+b") as file:
            assert take_tail(file) == b""
        assert path.read_bytes() == whole
    assert moved_tail(b"", 7) == b""
