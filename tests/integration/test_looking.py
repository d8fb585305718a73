"""Faces as people look at them: sheets, reports, galleries and comparisons of real runs."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facepipe import Settings, analyze, enhance
from facepipe.configs.settings import load_settings
from facepipe.datatypes import Span
from facepipe.errors import InputError, OutputError, UsageError
from facepipe.faces.colour import to_rgb
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.presentation import sampling
from facepipe.presentation.comparison import compare_videos
from facepipe.presentation.crops import area_around, crop_area
from facepipe.presentation.documents import read_document
from facepipe.presentation.gallery import write_gallery
from facepipe.presentation.preview import make_preview
from facepipe.presentation.report import make_report
from facepipe.presentation.sheet import SIDE
from facepipe.video import decode, probe
from media import portraits

LOSSLESS = ["output.codec=libx264", "output.options.qp=0", "output.preset=ultrafast"]


def settings(*assignments: str) -> Settings:
    return load_settings(assignments=["workers=1", "output.preset=ultrafast", *assignments])


@pytest.fixture(scope="module")
def made(portrait_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with in.mp4, its analysis.json, and out.mp4, which is twice as large and exact."""
    folder = tmp_path_factory.mktemp("looking")
    shutil.copy(portrait_video, folder / "in.mp4")
    analyze(folder / "in.mp4", folder / "analysis.json", settings())
    enhance(folder / "in.mp4", folder / "out.mp4", settings("output.scale=2", *LOSSLESS))
    return folder


def test_a_preview_shows_what_a_run_writes(made: Path) -> None:
    preview = make_preview(made / "in.mp4", settings("output.scale=2"), most=4)
    assert preview.whole
    assert len(preview.views) == 4
    before, after = probe(made / "in.mp4"), probe(made / "out.mp4")
    frames = {frame.pts: frame for frame in decode(after, Span(0, 0, after.pts[-1] + 1))}
    for view in preview.views:
        moment = view.moment
        area = area_around(moment.track.box_at(moment.pts), before.width, before.height)
        written = crop_area(frames[moment.pts], area, SIDE, scale=2)
        assert np.array_equal(view.after[0], written)
        assert view.invented is not None
        assert 0.02 < view.invented < 0.9


def test_a_preview_of_an_analysis_has_its_numbers(made: Path, tmp_path: Path) -> None:
    text = (made / "analysis.json").read_text()
    edited = tmp_path / "edited.json"
    edited.write_text(text.replace('"enhance": true', '"enhance": false', 1))
    preview = make_preview(made / "in.mp4", settings(), analysis=edited)
    assert {v.moment.track.number for v in preview.views if not v.after} == {1}
    assert {v.moment.track.number for v in preview.views if v.after} == {2}
    other = portraits.video(tmp_path / "other.mp4", frames=12)
    with pytest.raises(InputError, match="another video"):
        make_preview(other, settings(), analysis=edited)


def test_looks_differ_as_their_settings_do(made: Path) -> None:
    preview = make_preview(
        made / "in.mp4",
        settings(),
        analysis=made / "analysis.json",
        comparisons=["strength=0;0.5;1"],
        most=2,
    )
    assert preview.sheet.labels == ("before", "strength 0", "strength 0.5", "strength 1")
    for view in preview.views:
        changes = [np.abs(one.astype(int) - view.before).mean() for one in view.after]
        assert changes[0] == 0
        assert changes[0] < changes[1] < changes[2]


def test_of_a_long_video_the_places_with_faces_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = portraits.visit(tmp_path / "visit.mp4")  # faces from 2 s to 3.2 s alone
    monkeypatch.setattr(sampling, "WHOLE_PIXELS", 1e5)
    monkeypatch.setattr(sampling, "_STRETCHES", (1, 1))
    preview = make_preview(long, settings())
    assert not preview.whole
    assert {view.moment.track.number for view in preview.views if view.after} == {1, 2}
    assert all(2 <= view.seconds <= 3.2 for view in preview.views)
    assert "searched: 1 s of 0:05" in preview.sheet.notes[0]


def test_a_preview_of_a_photograph(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), portraits.scene(0, scale=1)[..., ::-1])
    preview = make_preview(photo, settings(), comparisons=["scale=1;2"])
    enhanced = [view for view in preview.views if view.after]
    assert enhanced
    assert all(len(view.after) == 2 for view in enhanced)


def test_the_report_of_an_output_shows_each_track(made: Path) -> None:
    page = make_report(read_document(made / "out.mp4"), settings())
    report = json.loads(sidecar_path(made / "out.mp4").read_text())
    for track in report["tracks"]:
        assert f'id="track-{track["number"]}"' in page
    enhanced = sum(track["enhance"] for track in report["tracks"])
    assert page.count("<img ") >= 2 * 4 * enhanced
    assert report["source"]["sha256"] in page
    assert report["output"]["sha256"] in page
    assert "output.scale = 2" in re.sub("<[^>]+>", "", page)
    assert "score" in page  # over time
    assert len(page) < 1_000_000


def test_the_report_of_an_analysis_renders_by_settings(made: Path) -> None:
    document = read_document(made / "analysis.json")
    assert document.source == made / "in.mp4"  # found by its name
    page = make_report(document, settings())
    assert "nothing was written yet" in page
    assert page.count("<img ") >= 4


def test_a_report_without_its_source_says_so(made: Path, tmp_path: Path) -> None:
    for name in ("out.mp4", "out.mp4.facepipe.json"):
        shutil.copy(made / name, tmp_path)
    page = make_report(read_document(tmp_path / "out.mp4"), settings())
    assert "There are no images here" in page
    assert "<img " not in page
    whole = make_report(read_document(tmp_path / "out.mp4", source=made / "in.mp4"), settings())
    assert "<img " in whole
    with pytest.raises(InputError, match="sha256 differs"):
        read_document(tmp_path / "out.mp4", source=made / "out.mp4")


def test_a_source_of_the_same_name_that_is_another_is_not_taken(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "analysis.json", tmp_path)
    (tmp_path / "in.mp4").write_bytes(b"another")
    assert read_document(tmp_path / "analysis.json").source is None


@pytest.mark.parametrize("name", ["nothing.mp4", "in.mp4"])
def test_a_file_without_a_report_is_refused(made: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no such file|no report beside it"):
        read_document(made / name)


def test_a_damaged_report_is_refused(made: Path, tmp_path: Path) -> None:
    broken = tmp_path / "out.mp4.facepipe.json"
    broken.write_text(sidecar_path(made / "out.mp4").read_text()[:1000])
    with pytest.raises(InputError, match="no valid report"):
        read_document(broken)


def test_reports_of_older_versions_are_read(made: Path, tmp_path: Path) -> None:
    report = json.loads(sidecar_path(made / "out.mp4").read_text())
    del report["cuts"]
    for track in report["tracks"]:
        for knot in track["knots"]:
            del knot["score"]
    old = tmp_path / "out.mp4.facepipe.json"
    old.write_text(json.dumps(report))
    page = make_report(read_document(old, source=made / "in.mp4"), settings())
    assert "The output was not found beside its report" in page


def test_a_gallery_has_each_enhanced_face_and_a_table(made: Path, tmp_path: Path) -> None:
    document = read_document(made / "out.mp4")
    struck = replace(document.tracks[0], enhance=False, reason="=1+1")
    document = replace(document, tracks=(struck, *document.tracks[1:]))
    done = write_gallery(document, tmp_path / "faces", settings())
    rows = list(csv.DictReader((tmp_path / "faces/faces.csv").open(newline="")))
    assert [row["track"] for row in rows] == [str(track.number) for track in document.tracks]
    assert rows[0]["reason"] == "'=1+1"  # no formula
    kept = [row for row in rows if row["enhanced"] == "yes"]
    assert done.images == 2 * len(kept) == len(list((tmp_path / "faces").glob("*.png")))
    for row in kept:
        images = [cv2.imread(str(tmp_path / "faces" / row[what])) for what in ("before", "after")]
        assert images[0].shape == images[1].shape == (256, 256, 3)
        assert np.abs(images[0].astype(int) - images[1]).mean() > 0.5
    with pytest.raises(OutputError, match="--overwrite"):
        write_gallery(document, tmp_path / "faces", settings())


def test_a_comparison_shows_both_at_the_same_time(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "both.mp4"
    chosen = load_settings(assignments=LOSSLESS)
    frames = compare_videos(made / "in.mp4", made / "out.mp4", target, chosen, insets=2)
    both, after = probe(target), probe(made / "out.mp4")
    assert frames == len(both.pts) == 40
    assert both.pts == after.pts
    assert [stream.kind for stream in both.others] == ["audio"]
    span = Span(0, both.pts[20], both.pts[20] + 1)
    (shown,), (own,) = list(decode(both, span)), list(decode(after, span))
    (source,) = list(decode(probe(made / "in.mp4"), span))
    below = own.height // 2  # labels lie above
    second = next(
        k for k in range(own.width, own.width + 12, 4)
        if np.array_equal(shown.planes[0][below : own.height, k : k + own.width],
                          own.planes[0][below:])
    )  # fmt: skip
    assert second >= own.width
    first = to_rgb(shown, (0, below, own.width, own.height))
    enlarged = cv2.resize(to_rgb(source), (own.width, own.height), interpolation=cv2.INTER_CUBIC)
    assert np.abs(first - enlarged[below:]).mean() < 0.01
    insets = shown.planes[0][own.height + 8 :]
    assert insets.std() > 10  # faces are there


@pytest.mark.parametrize("style", ["wipe", "flicker"])
def test_a_wipe_and_a_flicker_have_the_size_of_one(made: Path, tmp_path: Path, style: str) -> None:
    target = tmp_path / "both.mkv"
    chosen = load_settings(assignments=["output.preset=ultrafast", "output.end=0.8"])
    compare_videos(
        made / "in.mp4", made / "out.mp4", target, chosen, style=style, insets=0,  # type: ignore[arg-type]
    )  # fmt: skip
    info, after = probe(target), probe(made / "out.mp4")
    assert (info.width, info.height) == (after.width, after.height)
    assert len(info.pts) == 20


def test_a_comparison_of_a_video_on_its_side(tmp_path: Path) -> None:
    lying = portraits.rotated_video(tmp_path / "lying.mp4")
    target = tmp_path / "both.mp4"
    chosen = load_settings(assignments=["output.preset=ultrafast", "output.end=0.2"])
    compare_videos(lying, lying, target, chosen, insets=0)
    info = probe(target)
    assert info.rotation == 90
    assert info.height > info.width  # coded on its side: shown, it is wide


def test_photographs_are_no_comparison(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="photograph"):
        compare_videos(made / "a.jpg", made / "out.mp4", tmp_path / "x.mp4", settings())


def test_the_command_line_writes_a_page_with_the_run(made: Path, tmp_path: Path) -> None:
    source = str(made / "in.mp4")
    words = ["run", source, "-o", str(tmp_path / "out.mp4"), "--report", str(tmp_path / "r.html")]
    done = subprocess.run(
        [sys.executable, "-m", "facepipe", *words, "--end", "0.6", "--preset", "ultrafast"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<img " in page
    assert "after" in page


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["preview", "in.mp4", "-o", "x.gif"], 2, ".png or a .html"),
        (["preview", "nothing.mp4", "-o", "x.png"], 3, "nothing.mp4"),
        (["preview", "in.mp4", "-o", "x.png", "--compare", "score=1;2"], 2, "--compare score"),
        (["preview", "in.mp4", "-o", "x.png", "--compare", "restorer=a;b"], 2, "a"),
        (["report", "out.mp4", "-o", "x.html", "--fidelity", "0.7"], 2, "fidelity"),
        (["report", "in.mp4", "-o", "x.html"], 3, "no report beside it"),
        (["report", "out.mp4", "-o", "x.pdf"], 2, ".html"),
        (["gallery", "out.mp4", "-o", "in.mp4"], 4, "no folder"),
        (["compare", "in.mp4", "out.mp4", "-o", "x.mp4", "--labels", "one"], 2, "two labels"),
        (["compare", "in.mp4", "out.mp4", "-o", "out.mp4"], 4, "source itself"),
        (["run", "in.mp4", "-o", "x.mp4", "--report", "x.txt"], 2, ".html"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    made: Path, words: list[str], code: int, said: str
) -> None:
    before = sorted(made.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "facepipe", *words],
        capture_output=True, text=True, check=False, cwd=made,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(made.iterdir()) == before


def test_an_analysis_keeps_the_name_of_its_source(made: Path) -> None:
    assert read_analysis(made / "analysis.json").source_name == "in.mp4"
