"""Other programs see in a result what they see in its source, and the comparison can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conformance import readers
from conformance.cases import Case
from conformance.reader_cases import CASES, KNOWN, drawn, number_of, times_of
from conformance.reader_runner import (
    Seen,
    compared,
    complaint_words,
    fact_words,
    look,
    run,
    with_known,
)
from conformance.readers.base import Reader, ReaderError
from conformance.runner import Cell
from media import synthetic

PLAYERS = ("GStreamer", "VLC", "mpv", "Chromium", "OpenCV")
OF_NOTHING = Seen({}, (), ())


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_other_programs_see_what_they_saw(case: Case, tmp_path: Path) -> None:
    row = run(case, tmp_path)
    assert not row.failures, "\n".join([*row.failures, *row.warnings])


@pytest.mark.parametrize("number", [0, 1, 77, 255])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_frame_tells_its_number(number: int, scale: int) -> None:
    shown = drawn(number)[..., 1].repeat(scale, 0).repeat(scale, 1)
    noise = np.random.default_rng(number).normal(0, 9, shown.shape)
    assert number_of(np.clip(shown + noise, 0, 255).astype(np.uint8)) == number


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    known = [reader.name for reader in readers.READERS]
    assert len(set(known)) == len(known)
    assert set(readers.versions()) | set(readers.missing()) == set(known)


def numbered(path: Path, numbers: list[int]) -> Path:
    """A video of frames with these numbers."""
    return synthetic.video(
        path, frames=len(numbers), size=(240, 136), pictures=lambda n: drawn(numbers[n]),
        options={"g": "10", "crf": "14"}, metadata={"title": "One"},
    )  # fmt: skip


@pytest.mark.parametrize("reader", readers.READERS, ids=lambda reader: reader.name)
def test_a_reader_sees_what_differs(reader: Reader, tmp_path: Path) -> None:
    """Each reader that is installed; one that is not says so, and opens nothing."""
    one = numbered(tmp_path / "one.mp4", list(range(30)))
    if reader.name not in readers.versions():
        assert reader.version() is None
        return
    assert reader.version()
    if ".mp4" not in reader.suffixes:
        return
    swapped = [*range(10), *range(15, 20), *range(10, 15), *range(20, 30)]
    other = numbered(tmp_path / "other.mp4", swapped)
    times = times_of(one, [(0.4, 0.8)])
    places = [time for time, _ in times]
    before, after = look(reader, one, places), look(reader, other, places)
    if reader.name == "MediaSource":  # takes fragmented files alone
        assert before.refused
        return
    assert compared(before, look(reader, one, places), times).verdict == "pass"
    if reader.name in PLAYERS:
        assert [number_of(shown) for shown in before.frames or () if shown is not None]
        assert "another frame" in compared(before, after, times).words
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 99)
    if before.frames is not None:
        with pytest.raises(ReaderError):
            reader.frames(broken, places)


def test_the_places_are_in_frames_and_beside_joints(tmp_path: Path) -> None:
    video = synthetic.plain(tmp_path / "video.mp4", frames=50)
    placed = times_of(video, [(0.0, 0.6), (1.4, 2.0)])
    times = [time for time, _ in placed]
    assert [frame for _, frame in placed] == [int(time / 0.04) for time in times]
    assert len(times) == 20
    assert times == sorted(set(times))
    steps = [time / 0.04 % 1 for time in times]
    assert steps == pytest.approx([0.5] * 20, abs=1e-6)
    for joint in (0.6, 1.4):
        assert {round(joint - 0.02, 2), round(joint + 0.02, 2)} <= {round(t, 2) for t in times}
    assert any(1.6 < time < 1.7 for time in times)


def test_only_known_differences_are_limits() -> None:
    name, reader = "h264 in mp4 with a place", "VLC"
    assert (name, reader) in KNOWN
    assert with_known(Cell("fail", "tag title: None for A"), name, reader).verdict == "limit"
    mixed = Cell("fail", "tag title: None for A; duration: 1.00 s for 2.00 s")
    assert with_known(mixed, name, reader).verdict == "fail"
    assert with_known(Cell("fail", "tag title: x"), "h264 in mp4", reader).verdict == "fail"
    assert with_known(Cell("pass"), name, reader).verdict == "pass"
    names = {case.name for case in CASES}
    assert {case for case, _ in KNOWN} <= names
    assert {reader for _, reader in KNOWN} <= {one.name for one in readers.READERS}


def test_facts_that_differ_are_told() -> None:
    source = {"title": "One", "duration": "4.00 s", "at most: s of a segment": "2.00"}
    same = {"title": "One", "duration": "4.02 s", "at most: s of a segment": "1.00", "more": "x"}
    assert not list(fact_words(source, same))
    other = {"duration": "4.10 s", "at most: s of a segment": "3.00"}
    assert list(fact_words(source, other)) == [
        "title: None for One",
        "duration: 4.10 s for 4.00 s",
        "at most: s of a segment: 3.00 for 2.00",
    ]


def test_complaints_count_where_the_source_has_none() -> None:
    assert not list(complaint_words(["track 1 is odd"], ["track 7 is odd"]))
    assert list(complaint_words(["track 1 is odd"], ["it is cut"])) == ["says 'it is cut'"]


def test_what_is_not_opened_counts_only_in_the_result() -> None:
    refused = replace(OF_NOTHING, refused="no codec")
    assert compared(refused, refused, ()).verdict == "-"
    assert compared(OF_NOTHING, refused, ()).verdict == "fail"
    black, white = np.zeros((136, 240), np.uint8), np.full((136, 240), 255, np.uint8)
    seen = [replace(OF_NOTHING, frames=[frame]) for frame in (black, white, None)]
    assert compared(seen[0], seen[0], [(0.5, 0)]).verdict == "pass"
    assert "255 for 0" in compared(seen[0], seen[1], [(0.5, 0)]).words
    assert "nothing for 0" in compared(seen[0], seen[2], [(0.5, 0)]).words
    assert compared(seen[2], seen[0], [(0.5, 0)]).verdict == "pass"  # shows nothing of the source
    assert "off by 255" in compared(seen[0], seen[1], ()).words  # a photograph
