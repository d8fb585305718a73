"""Every case keeps every property, or the program says which it does not keep."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import pytest
from _pytest.mark import ParameterSet
from av.stream import Disposition

from conformance.all_cases import CASES, GROUPS
from conformance.cases import Case
from conformance.properties import PROPERTIES
from conformance.runner import Row, compare, run
from conformance.witness import Programs
from media import synthetic

#: FFmpeg's programs are asked too, where they are.
pytestmark = pytest.mark.fuller


def _cases() -> Iterator[ParameterSet]:
    """Every eighth case of each group; the others take minutes and are marked long."""
    for cases in GROUPS.values():
        for number, case in enumerate(cases):
            marks = () if number % 8 == 0 else (pytest.mark.long,)
            yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(_cases()))
def test_what_went_in_comes_out(case: Case, tmp_path: Path) -> None:
    row = run(case, tmp_path)
    if row.verdict == "skip":
        pytest.skip(row.words)
    assert not row.failures, "\n".join([*row.failures, *row.warnings])


def test_names_are_unique_and_properties_exist() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    known = {*PROPERTIES, "faces", "copied", "told"}
    for case in CASES:
        assert set(case.limits) | set(case.shows) <= known, case.name


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ({"pts": [512 * n + (n == 9) for n in range(20)]}, {"pts"}),
        ({"frames": 19}, {"pts", "frames", "duration"}),
        ({"pix_fmt": "yuv422p"}, {"pixel format", "pictures"}),
        ({"colour": (1, 9, 9, 16)}, {"colour"}),
        ({"aspect": 2}, {"aspect"}),
        ({"rotation": 90}, {"rotation"}),
        ({"interlaced": True, "filters": ["setfield=tff"]}, {"fields"}),
        ({"audio": 2}, {"streams"}),
        ({"audio_start": 800}, {"streams", "sync"}),
        ({"chapters": True}, {"chapters"}),
        ({"pictures": lambda n: synthetic.picture(n ^ 1)}, {"pictures"}),
        ({"container_options": {"movflags": "frag_keyframe+empty_moov"}}, {"fragments"}),
        ({"container_options": {"movflags": "use_metadata_tags"}}, {"title fields"}),
        ({"pts": [512 * n + 9 * (n % 2) for n in range(20)]}, {"pace"}),
        ({"options": {"qp": "0", "g": "250"}}, {"keyframes"}),
        ({"options": {"qp": "0", "x264-params": "asm=0:force-cfr=1"}}, {"stated rate"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_difference_is_seen(spoil: dict[str, object], told: set[str], tmp_path: Path) -> None:
    base: dict[str, object] = {"frames": 20, "audio": 1, "options": {"qp": "0"}}
    one = synthetic.video(tmp_path / "in.mp4", **base)  # type: ignore[arg-type]
    other = synthetic.video(tmp_path / "other.mp4", **(base | spoil))  # type: ignore[arg-type]
    assert not held(one, one).failures
    row = held(one, other)
    found = {name for name, cell in row.cells.items() if cell.verdict == "fail"}
    assert told <= found
    assert "metadata" not in found
    # Words are an announcement where the case says which ones, and only there.
    name = min(told)
    limits = {name: "is lost"}
    assert held(one, other, limits, "it is lost").cells[name].verdict == "limit"
    assert held(one, other, limits, "it is kept").cells[name].verdict == "fail"
    assert held(one, other, {}, "it is lost").cells[name].verdict == "fail"


@pytest.mark.parametrize(
    "more", [{"profile": "high", "8x8dct": "1", "preset": "medium"}, {"level": "4"}]
)
def test_a_decoder_that_must_do_more_is_seen(more: dict[str, str], tmp_path: Path) -> None:
    options = {"crf": "10", "profile": "main", "level": "1"}
    one = synthetic.video(tmp_path / "one.mp4", frames=20, options=options)
    other = synthetic.video(tmp_path / "other.mp4", frames=20, options=options | more)
    said = [words for words in held(one, other).failures if words.startswith("profile")]
    if "level" in more and shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    assert said == ["profile: High instead of Main" if "profile" in more else
                    "profile: level 40 instead of 10"]  # fmt: skip


def test_tags_and_their_loss_are_seen(tmp_path: Path) -> None:
    one = synthetic.video(tmp_path / "one.mkv", metadata={"title": "A video"}, audio=1, frames=8)
    other = synthetic.video(tmp_path / "other.mkv", audio=1, frames=8)
    spoken = tmp_path / "spoken.mkv"
    with av.open(str(one)) as given, av.open(str(spoken), "w") as out:
        pairs = {s.index: out.add_stream_from_template(s, opaque=True) for s in given.streams}
        out.metadata.update(given.metadata)
        pairs[1].metadata["language"] = "deu"
        pairs[1].disposition = Disposition.forced
        for packet in given.demux():
            if packet.size:
                packet.stream = pairs[packet.stream.index]
                out.mux_one(packet)
    assert held(one, other).failures == ["metadata: video's title is None instead of 'A video'"]
    told = {said.split(":")[0] for said in held(one, spoken).failures}
    assert told == {"languages", "dispositions"}


def test_what_the_video_must_show_is_asked_for(tmp_path: Path) -> None:
    one = synthetic.plain(tmp_path / "one.mp4", frames=4)
    case = Case("dull", synthetic.plain, shows=("light", "pts"))
    row = compare(case, Programs(one, play=False), one, 0, ())
    assert row.failures == ["light: the video does not show it"]


def held(one: Path, other: Path, limits: Mapping[str, str] | None = None, *warnings: str) -> Row:
    """Two videos held against each other, as if the second had been made of the first."""
    case = Case("spoiled", synthetic.plain, limits=limits or {})
    return compare(case, Programs(one, play=False), other, 0, warnings)
