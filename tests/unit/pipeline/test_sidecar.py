"""The sidecar's keys, their order and their descriptions, for videos and for photographs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepipe.configs.notices import NOTICE
from facepipe.configs.settings import Settings
from facepipe.datatypes import (
    Analysis,
    Clock,
    ClockJoint,
    Damage,
    Part,
    Span,
    Track,
    VideoInfo,
)
from facepipe.errors import OutputError
from facepipe.pipeline.sidecar import Sidecar, make_sidecar, write_sidecar
from facepipe.video import EncodeSettings

INFO = VideoInfo(
    path="/videos/in.mp4",
    container="mp4",
    stream_index=0,
    codec="h264",
    width=320,
    height=240,
    pix_fmt="yuv420p",
    time_base=Fraction(1, 10),
    pts=tuple(range(30)),
    keyframe_pts=(0, 10, 20),
    rotation=0,
    sample_aspect_ratio=None,
    others=(),
    warnings=("one", "two"),
    damage=(Damage(3, 4, 2, "do not decode"),),
    clock=Clock(begin=Fraction(3, 2), joints=(ClockJoint(2.0, -3600.0),)),
)


def track(number: int, *, reason: str | None = None) -> Track:
    """A face of 40 px at two knots."""
    landmarks = np.array([[40, 40], [60, 40], [50, 52], [42, 62], [58, 62]], np.float32)
    return Track(
        number=number,
        pts=np.array([0, 9], np.int64),
        boxes=np.array([[30, 30, 70, 70]] * 2, np.float32),
        landmarks=np.stack([landmarks] * 2),
        scores=np.array([0.9, 0.9], np.float32),
        enhance=reason is None,
        reason=reason,
    )


ANALYSIS = Analysis(
    "0" * 64, INFO.time_base, 30, 320, 240, (track(1), track(2, reason="too large"))
)
PARTS = (
    Part(Span(0, 0, 10), "a", 10, 10, runs_on="onnxruntime on cpu"),
    Part(Span(1, 10, 20, copied=True), "", 10, 0),
    Part(Span(2, 20, 30), "c", 10, 0, passed_through="it failed", warnings=("two", "three")),
)


def content(encode: EncodeSettings | None, folder: Path) -> dict[str, Any]:
    """A sidecar as it is on disk."""
    made = make_sidecar(
        info=INFO,
        analysis=ANALYSIS,
        settings=Settings(),
        model=None,
        parts=PARTS,
        target=Path("out.mp4"),
        notes=("note",),
        encode=encode,
        earlier=Fraction(1, 4),
    )
    write_sidecar(made.delivered("1" * 64, None), folder / "out.json")
    text = (folder / "out.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    assert text == json.dumps(read, indent=1) + "\n"
    return read


def test_keys_and_values_in_their_order(tmp_path: Path) -> None:
    encode = EncodeSettings("libx264", (("crf", "18"),), "yuv420p")
    read = content(encode, tmp_path)
    assert " ".join(read) == (
        "format notice versions source output clock model settings faces_enhanced tracks cuts "
        "copied passed_through damage warnings report_sha256"
    )
    assert (read["format"], read["notice"]) == ("facepipe-sidecar/1", NOTICE)
    assert list(read["source"].items()) == [
        *(("name", "in.mp4"), ("sha256", "0" * 64), ("frames", 30)),
        *(("width", 320), ("height", 240), ("stream", 0)),
    ]
    assert list(read["output"].items()) == [
        *(("name", "out.mp4"), ("sha256", "1" * 64), ("frames", 30)),
        *(("width", 320), ("height", 240)),
        *(("encoder", "libx264"), ("encoder_options", {"crf": "18"}), ("pixel_format", "yuv420p")),
    ]
    assert read["model"] == {
        "restorer": Settings().restore.restorer, "runs_on": ["onnxruntime on cpu"], "files": {}
    }  # fmt: skip
    assert json.dumps(read["settings"]) == json.dumps(Settings().model_dump(mode="json"))
    assert read["clock"] == {
        "begins_at_seconds": 1.5,
        "output_earlier_seconds": 0.25,
        "joints": [{"at_seconds": 2.0, "jump_seconds": -3600.0}],
    }
    assert read["faces_enhanced"] == 10
    assert read["copied"] == [{"from_seconds": 1.0, "to_seconds": 2.0, "frames": 10}]
    assert read["passed_through"] == [
        {"from_seconds": 2.0, "to_seconds": 3.0, "reason": "it failed"}
    ]
    assert read["damage"] == [
        {"from_seconds": 0.3, "to_seconds": 0.4, "frames": 2, "what": "do not decode"}
    ]
    assert read["warnings"][:3] == ["one", "two", "three"]
    assert read["warnings"][-1] == "note"


def test_tracks_say_why_and_where_pixels_may_differ(tmp_path: Path) -> None:
    enhanced, refused = content(None, tmp_path)["tracks"]
    assert list(enhanced) == [
        *("number", "enhance", "reason", "from_seconds", "to_seconds", "size_px", "knots")
    ]
    assert (enhanced["reason"], refused["reason"]) == (None, "too large")
    assert enhanced["size_px"] == 40.0
    assert list(enhanced["knots"][0]) == ["pts", "box", "score", "changed"]
    assert list(refused["knots"][0]) == ["pts", "box", "score"]
    assert refused["knots"][1] == {**{"pts": 9, "box": [30.0, 30.0, 70.0, 70.0], "score": 0.9}}


def test_a_photograph_has_no_encoder_and_no_clock(tmp_path: Path) -> None:
    assert "clock" not in content(None, tmp_path)
    assert list(content(None, tmp_path)["output"]) == [
        *("name", "sha256", "frames", "width", "height")
    ]


def test_the_schema_describes_every_key() -> None:
    schema = Sidecar.model_json_schema()
    reports = [schema, *(one for name, one in schema["$defs"].items() if name.endswith("Report"))]
    assert len(reports) == 13
    for report in reports:
        for key, field in report["properties"].items():
            assert field.get("description"), (report["title"], key)


def test_a_folder_that_takes_no_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out.json").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        content(None, tmp_path)
