"""The whole program on real videos: real detector, real weights, real encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

from facepipe import Settings, analyze, enhance, render
from facepipe.configs.settings import load_settings
from facepipe.datatypes import Span, VideoInfo
from facepipe.datatypes.stages import STAGES
from facepipe.errors import InputError, OutputError, UsageError
from facepipe.pipeline.passes import Event
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video import decode, probe
from facepipe.video.pixel_formats import side_data
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic

LOSSLESS = ["output.codec=libx264", "output.options.qp=0", "output.preset=ultrafast"]


def settings(*assignments: str, **overrides: object) -> Settings:
    base = ["output.preset=ultrafast", "workers=1", "span_seconds=0.4"]
    return load_settings(assignments=[*base, *assignments], overrides=overrides)


def planes(path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size).copy() for p in f.planes]
            for f in container.decode(video=0)
        ]


def seconds(info: VideoInfo) -> list[Fraction]:
    return [pts * info.time_base for pts in info.pts]


def packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type == kind]
        chosen = container.demux(streams) if streams else ()
        return [(p.pts, bytes(p)) for p in chosen if p.size]


def test_seconds_by_stage_are_told_where_they_are_asked_for(
    portrait_video: Path, tmp_path: Path
) -> None:
    made = {}
    for asked in (False, True):
        target = tmp_path / f"{asked}.mp4"
        done = enhance(portrait_video, target, settings(profile_time=asked))
        report = json.loads(sidecar_path(target).read_text())
        assert done.cpu_seconds == report.get("cpu_seconds")
        made[asked] = target.read_bytes()
    assert made[True] == made[False]
    assert done.cpu_seconds is not None
    assert set(done.cpu_seconds) == set(STAGES) - {"scaling"}
    assert all(taken > 0 for taken in done.cpu_seconds.values())


@pytest.fixture(scope="module")
def enhanced(portrait_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait video, enhanced at twice the size; made once."""
    target = tmp_path_factory.mktemp("enhanced") / "out.mp4"
    enhance(portrait_video, target, settings("output.scale=2"))
    return target


def test_the_video_is_the_same_but_larger(portrait_video: Path, enhanced: Path) -> None:
    before, after = probe(portrait_video), probe(enhanced)
    assert after.pts == before.pts
    assert after.time_base == before.time_base
    assert (after.width, after.height) == (before.width * 2, before.height * 2)
    assert after.pix_fmt == before.pix_fmt
    assert packets(portrait_video, "audio") == packets(enhanced, "audio")


def test_both_faces_are_found_and_told(portrait_video: Path, enhanced: Path) -> None:
    report = json.loads(sidecar_path(enhanced).read_text())
    tracks = [track for track in report["tracks"] if track["enhance"]]
    assert len(tracks) == 2
    assert report["faces_enhanced"] == 80
    assert report["output"]["frames"] == 40
    assert "no evidence" in report["notice"]
    assert report["source"]["name"] == portrait_video.name
    assert set(report["model"]["files"]) == {"fishsrnet.safetensors", "fishsrnet.onnx"}
    assert report["settings"]["output"]["scale"] == 2
    assert not report["passed_through"]
    with av.open(str(enhanced)) as container:
        assert "AI-enhanced" in container.metadata["comment"]


def test_enhanced_faces_are_nearer_to_the_truth(portrait_video: Path, enhanced: Path) -> None:
    """The video's pictures are known, so the faces' error can be measured against bicubic's."""
    import cv2

    report = json.loads(sidecar_path(enhanced).read_text())
    with av.open(str(enhanced)) as container:
        ours = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(portrait_video)) as container:
        small = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    pts = probe(portrait_video).pts
    errors: dict[str, list[float]] = {"ours": [], "bicubic": []}
    for track in report["tracks"]:
        for knot in track["knots"]:
            number = pts.index(knot["pts"])
            truth = portraits.scene(number, scale=2).astype(float)
            bicubic = cv2.resize(small[number], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            x0, y0, x1, y1 = (round(2 * v) for v in knot["box"])
            for name, picture in (("ours", ours[number]), ("bicubic", bicubic)):
                error = (picture[y0:y1, x0:x1] - truth[y0:y1, x0:x1]) ** 2
                errors[name].append(float(error.mean()))
    gain = 10 * np.log10(np.mean(errors["bicubic"]) / np.mean(errors["ours"]))
    assert gain > 0.3


@pytest.mark.parametrize("make", [portraits.video, portraits.ten_bit_video], ids=["8", "10"])
def test_pixels_outside_the_changed_boxes_are_exact(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    source, target = make(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    enhance(source, target, settings(*LOSSLESS))
    report = json.loads(sidecar_path(target).read_text())
    info = probe(source)
    outside = np.ones((info.height, info.width), bool)
    for track in report["tracks"]:
        if track["enhance"]:
            boxes = np.array([knot["changed"] for knot in track["knots"]])
            low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
            outside[low[1] : high[1], low[0] : high[0]] = False
    assert outside.mean() > 0.2
    bytes_a_sample = 1 if info.pix_fmt == "yuv420p" else 2
    differ = 0
    for before, after in zip(planes(source), planes(target), strict=True):
        for number, (a, b) in enumerate(zip(before, after, strict=True)):
            step = 1 if number == 0 else 2
            mask = outside if number == 0 else outside[::2, ::2] & outside[1::2, 1::2]
            mask = np.repeat(mask, bytes_a_sample, axis=1)
            width = info.width // step * bytes_a_sample
            unequal = a[:, :width] != b[:, :width]
            assert not (unequal & mask).any()
            differ += int(unequal.sum())
    assert differ > 1000  # the faces did change


def test_hdr_stays_hdr(tmp_path: Path) -> None:
    """Side data and 10 bit are kept, and outside the changed boxes next to nothing changes."""
    source, target = portraits.hdr_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    summary = enhance(source, target, settings("output.quality=archive", "output.crf=12"))
    assert summary.tracks == 2
    before, after = probe(source), probe(target)
    assert (after.codec, after.pix_fmt, after.pts) == ("hevc", "yuv420p10le", before.pts)
    with av.open(str(source)) as one, av.open(str(target)) as two:
        theirs, ours = (next(c.decode(video=0)) for c in (one, two))
    for kind in (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL):
        assert side_data(ours, kind) == side_data(theirs, kind) != b""
    tags = ("color_range", "colorspace", "color_primaries", "color_trc")
    assert [getattr(ours, tag) for tag in tags] == [getattr(theirs, tag) for tag in tags]
    untouched = np.ones((before.height, before.width), bool)
    for track in json.loads(sidecar_path(target).read_text())["tracks"]:
        for knot in track["knots"]:
            x0, y0, x1, y1 = knot["changed"]
            untouched[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = False
    assert untouched.mean() > 0.3
    span = Span(0, before.pts[0], before.pts[-1] + 1)
    for one, two in zip(decode(before, span), decode(after, span), strict=True):
        apart = np.abs(one.planes[0].astype(int) - two.planes[0])
        assert apart[untouched].mean() < 2.5  # of 1023; see benchmarks/quality/hdr.py
        assert apart[~untouched].max() > 8


def test_analyze_then_render_is_run(portrait_video: Path, tmp_path: Path) -> None:
    whole, halves = tmp_path / "run.mp4", tmp_path / "halves.mp4"
    found = tmp_path / "analysis.json"
    enhance(portrait_video, whole, settings())
    analyze(portrait_video, found, settings())
    render(portrait_video, found, halves, settings())
    assert packets(whole, "video") == packets(halves, "video")


def test_a_struck_track_stays_the_source(portrait_video: Path, tmp_path: Path) -> None:
    found, target = tmp_path / "analysis.json", tmp_path / "out.mp4"
    analyze(portrait_video, found, settings())
    content = json.loads(found.read_text())
    content["tracks"][0]["enhance"] = False
    found.write_text(json.dumps(content))
    summary = render(portrait_video, found, target, settings(*LOSSLESS))
    assert (summary.tracks, summary.faces) == (1, 40)
    for track in content["tracks"]:
        track["enhance"] = False
    found.write_text(json.dumps(content))
    summary = render(portrait_video, found, target, settings(*LOSSLESS), overwrite=True)
    assert summary.faces == 0
    for before, after in zip(planes(portrait_video), planes(target), strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_analysis_of_another_video_is_refused(portrait_video: Path, tmp_path: Path) -> None:
    found = tmp_path / "analysis.json"
    analyze(portrait_video, found, settings())
    other = synthetic.plain(tmp_path / "other.mp4")
    with pytest.raises(InputError, match="another video"):
        render(other, found, tmp_path / "out.mp4", settings())
    assert not (tmp_path / "out.mp4").exists()


def test_the_result_does_not_depend_on_spans_or_workers(
    portrait_video: Path, tmp_path: Path
) -> None:
    results = []
    for name, assignments in (
        ("one", ["span_seconds=60"]),
        ("many", ["span_seconds=0.1"]),
        ("two", ["span_seconds=0.1", "workers=2"]),
    ):
        target = tmp_path / f"{name}.mp4"
        enhance(portrait_video, target, settings(*LOSSLESS, *assignments))
        found = tmp_path / f"{name}.json"
        analyze(portrait_video, found, settings(*assignments))
        results.append((planes(target), found.read_bytes()))
    for pictures, analysis in results[1:]:
        assert analysis == results[0][1]
        for one, other in zip(results[0][0], pictures, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class StopAfter(LocalExecutor):
    """The real executor, stopped from the keyboard after so many outcomes."""

    def __init__(self, outcomes: int) -> None:
        super().__init__(1)
        self.left = outcomes

    def map(self, function, tasks, **how):  # type: ignore[no-untyped-def]
        for outcome in super().map(function, tasks, **how):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield outcome


def test_a_stopped_run_goes_on(portrait_video: Path, tmp_path: Path) -> None:
    target, whole = tmp_path / "out.mp4", tmp_path / "whole.mp4"
    long_spans = settings("span_seconds=0.1")
    with pytest.raises(KeyboardInterrupt):
        enhance(portrait_video, target, long_spans, executor=StopAfter(3))
    assert not target.exists()
    assert (tmp_path / ".out.mp4.facepipe").is_dir()
    events: list[Event] = []
    summary = enhance(portrait_video, target, long_spans, on_event=events.append)
    assert summary.resumed >= 1
    assert events[-1].done == events[-1].total == 40
    assert not (tmp_path / ".out.mp4.facepipe").exists()
    enhance(portrait_video, whole, long_spans)
    assert packets(target, "video") == packets(whole, "video")


@pytest.mark.parametrize(
    "make",
    [
        synthetic.vfr, synthetic.late_video, synthetic.negative_start, synthetic.odd_size,
        synthetic.rotated, synthetic.ten_bit, synthetic.plain, synthetic.two_audios,
        synthetic.one_frame, synthetic.gray, synthetic.full_range, synthetic.interlaced,
        synthetic.open_gop, synthetic.b_pyramid,
    ],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_videos_without_faces_come_out_as_they_are(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    source, target = make(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    summary = enhance(source, target, settings(*LOSSLESS, "output.copy_unchanged=false"))
    assert summary.faces == 0
    before, after = probe(source), probe(target)
    assert seconds(before) == seconds(after)
    # x264 codes no odd 4:2:0, which is announced; FFmpeg decodes H.264's grey as 4:2:0.
    kept = make not in (synthetic.odd_size, synthetic.gray)
    if make is synthetic.odd_size:
        assert any("is written as" in warning for warning in summary.warnings)
    fields = ["width", "height", "rotation", "sample_aspect_ratio", *(["pix_fmt"] * kept)]
    assert [getattr(after, f) for f in fields] == [getattr(before, f) for f in fields]
    assert [s.kind for s in after.others] == [s.kind for s in before.others]
    assert packets(source, "audio") == packets(target, "audio")
    for a, b in zip(planes(source), planes(target), strict=True):
        for one, other in zip(a[: None if kept else 1], b[: None if kept else 1], strict=True):
            visible = before.width * (1 if before.pix_fmt != "yuv420p10le" else 2)
            visible //= 1 if one.shape[0] == before.height else 2
            np.testing.assert_array_equal(one[:, :visible], other[:, :visible])


def test_a_video_without_faces_is_copied(tmp_path: Path) -> None:
    source, target = synthetic.two_audios(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    enhance(source, target, settings())
    assert packets(source, "video") == packets(target, "video")
    (copied,) = json.loads(sidecar_path(target).read_text())["copied"]
    assert copied == {"from_seconds": 0.0, "to_seconds": pytest.approx(1.2, abs=0.04), "frames": 30}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_what_holds_no_face_is_copied(suffix: str, tmp_path: Path) -> None:
    source, target = portraits.visit(tmp_path / "in.mp4"), tmp_path / f"out{suffix}"
    summary = enhance(source, target, settings())
    assert summary.tracks == 2
    copied = json.loads(sidecar_path(target).read_text())["copied"]
    assert [part["frames"] for part in copied] == [50, 50]
    before, after = planes(source), planes(target)
    same = [
        all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(before, after, strict=True)
    ]
    assert all(same[:50])
    assert all(same[80:])
    assert not any(same[50:80])
    theirs, ours = (sorted(packets(path, "video")) for path in (source, target))
    if suffix != ".ts":  # which begins every picture with a delimiter
        assert [p for _, p in ours[:50]] == [p for _, p in theirs[:50]]
        assert [p for _, p in ours[80:]] == [p for _, p in theirs[80:]]
    encoded = tmp_path / f"encoded{suffix}"
    enhance(source, encoded, settings("output.copy_unchanged=false"))
    assert "copied" in json.loads(sidecar_path(encoded).read_text())
    assert packets(encoded, "video") != packets(target, "video")
    assert probe(encoded).pts == probe(target).pts


def test_what_is_copied_does_not_depend_on_spans(tmp_path: Path) -> None:
    source = portraits.visit(tmp_path / "in.mp4")
    told = []
    for seconds_each in (0.1, 60):
        target = tmp_path / f"{seconds_each}.mp4"
        enhance(source, target, settings(f"span_seconds={seconds_each}"))
        told.append(json.loads(sidecar_path(target).read_text())["copied"])
    assert told[0] == told[1]


def test_a_part_of_the_video(portrait_video: Path, tmp_path: Path) -> None:
    target = tmp_path / "part.mp4"
    summary = enhance(portrait_video, target, settings(**{"output.start": 0.44, "output.end": 1.0}))
    assert summary.frames == 14
    assert probe(target).pts[0] == 0
    with pytest.raises(UsageError, match=r"the video has 1\.56 s"):
        enhance(portrait_video, tmp_path / "none.mp4", settings(**{"output.start": 30.0}))


def test_a_rotated_face_is_found(tmp_path: Path) -> None:
    source = portraits.rotated_video(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    summary = enhance(source, target, settings())
    assert summary.tracks == 2
    assert probe(target).rotation == probe(source).rotation != 0


def test_tiny_faces_draw_advice(portrait_video: Path, tmp_path: Path) -> None:
    summary = enhance(portrait_video, tmp_path / "out.mp4", settings())
    assert summary.advice is not None
    assert "--scale" in summary.advice


@pytest.mark.parametrize("restorer", ["bicubic", "fishsrnet"])
def test_no_strength_or_no_restorer_changes_nothing(
    portrait_video: Path, tmp_path: Path, restorer: str
) -> None:
    target = tmp_path / "out.mp4"
    enhance(
        portrait_video,
        target,
        settings(*LOSSLESS, "restore.strength=0", f"restore.restorer={restorer}"),
    )
    for before, after in zip(planes(portrait_video), planes(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_targets_that_cannot_be_are_refused(portrait_video: Path, tmp_path: Path) -> None:
    existing = tmp_path / "there.mp4"
    existing.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        enhance(portrait_video, existing, settings())
    with pytest.raises(OutputError, match="is the source itself"):
        enhance(portrait_video, portrait_video, settings(), overwrite=True)
    with pytest.raises(OutputError, match="is a directory"):
        enhance(portrait_video, tmp_path, settings(), overwrite=True)
    with pytest.raises(OutputError, match="no such folder"):
        enhance(portrait_video, tmp_path / "no" / "out.mp4", settings())
    assert existing.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [existing]


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("output.codec=libx999", "libx999"),
        ("output.codec=aac", "aac"),
        ("output.pix_fmt=pal8", "pal8"),
        ("restore.restorer=magic", "unknown restorer 'magic'"),
        ("detect.detector=scrfd", "pack"),
    ],
)
def test_what_cannot_work_is_refused_before_the_work(
    portrait_video: Path, tmp_path: Path, assignment: str, told: str
) -> None:
    from facepipe.errors import FacepipeError

    with pytest.raises(FacepipeError, match=told):
        enhance(portrait_video, tmp_path / "out.mp4", settings(assignment))
    assert list(tmp_path.iterdir()) == []


def test_crf_goes_with_its_encoders_only(portrait_video: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--crf does not go with ffv1"):
        enhance(
            portrait_video,
            tmp_path / "out.mkv",
            settings(**{"output.codec": "ffv1", "output.crf": 20.0}),
        )


@pytest.mark.parametrize(
    "make", [synthetic.odd_size, synthetic.gray, synthetic.lossless_rgb], ids=lambda m: m.__name__
)
def test_a_lossless_video_stays_lossless_unasked(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    source, target = make(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    summary = enhance(source, target, load_settings(overrides={"output.crf": 30, "workers": 1}))
    before, after = probe(source), probe(target)
    assert (after.codec, after.pix_fmt, after.pts) == ("ffv1", before.pix_fmt, before.pts)
    for one, other in zip(planes(source), planes(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert any("--crf does not go with ffv1" in warning for warning in summary.warnings)
    report = json.loads(sidecar_path(target).read_text())
    assert report["output"]["encoder"] == "ffv1"


def test_a_truncated_video_keeps_what_decodes(portrait_video: Path, tmp_path: Path) -> None:
    whole = synthetic.streamable(tmp_path / "whole.mkv")
    source = synthetic.truncated(tmp_path / "cut.mkv", whole)
    summary = enhance(source, tmp_path / "out.mkv", settings())
    assert summary.frames == len(planes(source)) > 5


def test_settings_are_defaults_when_none_are_given(portrait_video: Path, tmp_path: Path) -> None:
    summary = enhance(str(portrait_video), str(tmp_path / "out.mp4"))
    assert replace(summary, seconds=0).frames == 40


def test_only_the_faces_that_were_chosen(portrait_video: Path, tmp_path: Path) -> None:
    def reasons(**how: object) -> list[str | None]:
        wanted = load_settings(overrides={f"choose.{key}": value for key, value in how.items()})
        found = analyze(portrait_video, tmp_path / "found.json", wanted, overwrite=True)
        return [track.reason for track in found.tracks]

    assert reasons() == [None, None]
    assert reasons(largest=1).count("not among the 1 largest") == 1
    half = f"0,0,{portraits.WIDTH / 2},{portraits.HEIGHT}"
    assert reasons(region=half).count("outside --region") == 1
    analyze(portrait_video, tmp_path / "all.json")
    second = load_settings(overrides={"choose.tracks": "2"})
    summary = render(portrait_video, tmp_path / "all.json", tmp_path / "two.mp4", second)
    assert (summary.tracks, summary.refused) == (1, 1)
    wanted = load_settings(overrides={"choose.tracks": "5"})
    with pytest.raises(UsageError, match="no track 5"):
        render(portrait_video, tmp_path / "all.json", tmp_path / "five.mp4", wanted)
    assert not (tmp_path / "five.mp4").exists()
