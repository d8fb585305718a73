"""analysis.json: what is written is read again, and every mistake in it is reported."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepipe.datatypes import Analysis, Damage, Track
from facepipe.errors import InputError
from facepipe.pipeline.analysis_file import read_analysis, write_analysis


def track(number: int = 1, knots: int = 3) -> Track:
    rng = np.random.default_rng(number)
    corner = rng.uniform(0, 50, (knots, 2))
    return Track(
        number=number,
        pts=np.arange(knots, dtype=np.int64) * 512,
        boxes=np.hstack([corner, corner + 20]).astype(np.float32),
        landmarks=rng.uniform(0, 60, (knots, 5, 2)).astype(np.float32),
        scores=np.full(knots, 0.9, np.float32),
    )


def analysis(*tracks: Track) -> Analysis:
    damage = (Damage(512, 1024, 2, "do not decode"),)
    return Analysis(
        "a" * 64, Fraction(1, 12800), 40, 240, 136, tracks, (512,), ("a warning",), damage,
        stream=1, holdings=(("the active format", 512),),
    )  # fmt: skip


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    refused = replace(track(2), enhance=False, reason="too short")
    made = analysis(track(1), refused)
    path = tmp_path / "analysis.json"
    write_analysis(made, path)
    read = read_analysis(path)
    assert replace(read, tracks=()) == replace(made, tracks=())
    for one, other in zip(read.tracks, made.tracks, strict=True):
        assert (one.number, one.enhance, one.reason) == (other.number, other.enhance, other.reason)
        np.testing.assert_array_equal(one.pts, other.pts)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=5e-4)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=5e-4)
    again = tmp_path / "again.json"
    write_analysis(read, again)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(tmp_path.iterdir()) == [again, path]


def test_damage_need_not_be_listed_and_has_an_order(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    write_analysis(analysis(), path)
    content = json.loads(path.read_text())
    del content["damage"]
    path.write_text(json.dumps(content))
    assert read_analysis(path).damage == ()
    content["damage"] = [{"first": 2, "last": 1, "frames": 1, "what": "are lost"}]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"damage\.0: .*must not lie after"):
        read_analysis(path)


def test_a_video_without_faces_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    write_analysis(analysis(), path)
    assert read_analysis(path).tracks == ()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), "other/9", "format"),
        (("source", "sha256"), "abc", "source.sha256"),
        (("source", "time_base"), "1/0", "positive fraction"),
        (("source", "width"), 0, "source.width"),
        (("tracks", 0, "enhance"), "perhaps", "tracks.0.enhance"),
        (("tracks", 0, "colour"), 1, "tracks.0.colour"),
        (("tracks", 0, "knots"), [], "tracks.0.knots"),
        (("tracks", 0, "knots", 0, "box"), [1, 2, 3], "tracks.0.knots.0.box"),
        (("tracks", 0, "knots", 0, "box"), [1, 2, 3, 1e12], "tracks.0.knots.0.box"),
        (("tracks", 0, "knots", 0, "score"), 7, "score"),
        (("tracks", 0, "knots", 0, "pts"), 99999, "must rise"),
        (("tracks", 1, "number"), 1, "same number"),
    ],
)
def test_a_bad_edit_is_reported(
    tmp_path: Path, place: tuple[str | int, ...], value: object, message: str
) -> None:
    path = tmp_path / "analysis.json"
    write_analysis(analysis(track(1), track(2)), path)
    content: Any = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_analysis(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "NaN", '{"format": 1}'])
def test_no_analysis_is_reported(tmp_path: Path, content: str) -> None:
    path = tmp_path / "analysis.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"analysis\.json: no valid analysis"):
        read_analysis(path)


def test_nan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    write_analysis(analysis(track(1)), path)
    path.write_text(path.read_text().replace('"box": [', '"box": [NaN, ', 1))
    with pytest.raises(InputError):
        read_analysis(path)


def test_a_missing_or_binary_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such analysis"):
        read_analysis(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_analysis(tmp_path / "binary.json")
