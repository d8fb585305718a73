"""Fragments of mp4 and mov are kept, asked for and left out, at the same times."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from facepipe.errors import UsageError
from facepipe.video import is_to_be_fragmented, mux, probe
from media import synthetic
from media.samples import found, is_fragmented
from media.video_checks import LOSSLESS, at_keyframes, packets, rendered

FLAGS = "frag_keyframe+empty_moov+default_base_moof"


def made(source: Path, target: Path) -> Path:
    info = probe(source)
    parts = [
        rendered(info, span, target.with_suffix(f".{span.index}.nut"), LOSSLESS)
        for span in at_keyframes(info)
    ]
    mux(parts, source, info, target, settings=LOSSLESS, metadata={}, fragmented=True)
    return target


@pytest.mark.parametrize(
    ("asked", "is_source", "suffix", "expected"),
    [
        ("auto", True, ".mp4", True),
        ("auto", True, ".mov", True),
        ("auto", True, ".mkv", False),
        ("auto", False, ".mp4", False),
        ("yes", False, ".m4v", True),
        ("no", True, ".mp4", False),
        ("no", True, ".mkv", False),
    ],
)
def test_when_a_target_is_fragmented(
    asked: Literal["auto", "yes", "no"],
    is_source: bool,
    suffix: str,
    expected: bool,
    tmp_path: Path,
) -> None:
    options = {"movflags": FLAGS} if is_source else {}
    source = synthetic.video(tmp_path / "a.mp4", frames=4, container_options=options)
    assert is_to_be_fragmented(asked, probe(source), tmp_path / f"b{suffix}") is expected


def test_what_has_no_fragments_is_refused(tmp_path: Path) -> None:
    info = probe(synthetic.plain(tmp_path / "a.mp4", frames=3))
    with pytest.raises(UsageError, match=r"\.mkv has no fragments; use one of \.mp4, \.m4v, \.mov"):
        is_to_be_fragmented("yes", info, tmp_path / "b.mkv")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("make", [synthetic.late_video, synthetic.negative_start, synthetic.vfr])
def test_times_are_those_of_the_source(
    make: synthetic.Callable[[Path], Path], suffix: str, tmp_path: Path
) -> None:
    source = make(tmp_path / "a.mp4")
    target = made(source, tmp_path / f"b{suffix}")
    assert is_fragmented(target)
    before, after = probe(source), probe(target)
    shown = [pts * before.time_base for pts in before.pts]
    assert [pts * after.time_base for pts in after.pts] == shown
    ours, theirs = packets(target, "audio")[1], packets(source, "audio")[1]
    assert [(pts, digest) for pts, _, digest in ours] == [(pts, d) for pts, _, d in theirs]


def test_fragments_are_listed_where_the_source_lists_its_own(tmp_path: Path) -> None:
    for more in ("", "+global_sidx"):
        options = {"movflags": FLAGS + more}
        source = synthetic.video(tmp_path / "a.mp4", audio=1, container_options=options)
        target = made(source, tmp_path / "b.mp4")
        assert bool(found(target.read_bytes(), "sidx")) is bool(more)
