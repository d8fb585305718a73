"""Photographs from file to file: what changes, and all that does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facepipe import (
    InputError,
    MediaError,
    OutputError,
    Settings,
    UsageError,
    analyze,
    enhance,
    render,
)
from facepipe.configs.settings import load_settings
from facepipe.faces import restore
from facepipe.faces.restoration.crop import crop
from facepipe.workers.local import LocalExecutor
from media import synthetic
from media.portraits import portrait


def photograph(side: int = 120) -> NDArray[np.uint8]:
    """RGB: the portrait on a wall; its face is some 38 px wide."""
    wall = np.full((160, 200, 3), 110, np.uint8)
    wall[20 : 20 + side, 40 : 40 + side] = cv2.resize(portrait(), (side, side), interpolation=3)
    return wall


def difference(one: Path, other: Path) -> NDArray[np.int64]:
    """(H, W): by how much the two differ, the largest channel."""
    read = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int64) for path in (one, other)]
    return np.asarray(np.abs(read[0] - read[1]).max(2))


@pytest.mark.parametrize("deep", [False, True], ids=["8 bit", "16 bit"])
def test_only_the_face_changes(tmp_path: Path, deep: bool) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    alpha = np.linspace(80, 255, 200 * 160).reshape(160, 200, 1)
    pixels = np.concatenate((photograph()[..., ::-1], alpha), 2)
    made = (pixels * 257 + 3).astype(np.uint16) if deep else pixels.astype(np.uint8)
    cv2.imwrite(str(source), made)
    done = enhance(source, target)
    assert done.faces == 1
    changed = difference(source, target)
    step = 257 if deep else 1
    assert changed[50:110, 75:125].max() > 6 * step
    outside = np.ones_like(changed, bool)
    outside[20:150, 40:170] = False
    assert not changed[outside].any()
    written = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert written.dtype == made.dtype
    np.testing.assert_array_equal(written[..., 3], made[..., 3])
    report = json.loads((tmp_path / "out.png.facepipe.json").read_text())
    assert report["faces_enhanced"] == 1
    assert report["model"]["runs_on"]


def test_a_photograph_lying_on_its_side(tmp_path: Path) -> None:
    """What the camera's tag turns upright is searched upright, and written so, once."""
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    exif[0x010F] = "a camera"
    Image.fromarray(np.ascontiguousarray(np.rot90(photograph()))).save(
        source, quality=95, exif=exif, icc_profile=b"profile"
    )
    assert enhance(source, target).faces == 1
    with Image.open(target) as written:
        assert written.size == (200, 160)
        assert written.getexif().get(0x0112, 1) == 1
        assert written.getexif()[0x010F] == "a camera"
        assert written.info["icc_profile"] == b"profile"
        assert b"compositeWithTrainedAlgorithmicMedia" in target.read_bytes()
        near = np.abs(np.asarray(written).astype(int) - photograph()).mean()
    assert near < 6


def test_a_larger_photograph(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "in.webp", lossless=True)
    settings = Settings.model_validate({"output": {"scale": 2}})
    assert enhance(tmp_path / "in.webp", tmp_path / "out.webp", settings).faces == 1
    with Image.open(tmp_path / "out.webp") as written:
        assert written.size == (400, 320)


def test_without_a_face_the_bytes_are_the_sources(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "in.jpg")
    done = enhance(tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert done.faces == 0
    assert "no face was found" in done.warnings[0]
    assert (tmp_path / "out.jpg").read_bytes() == (tmp_path / "in.jpg").read_bytes()
    assert not (tmp_path / "out.jpg.facepipe.json").exists()


def test_what_cannot_be_done_is_refused_and_nothing_written(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "in.jpg")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "there.jpg").write_bytes(b"mine")
    for source, target, error in (
        ("in.jpg", "out.png", UsageError),
        ("text.jpg", "out.jpg", InputError),
        ("gone.jpg", "out.jpg", InputError),
        ("in.jpg", "there.jpg", OutputError),
        ("in.jpg", "in.jpg", OutputError),
        ("in.jpg", "nowhere/out.jpg", OutputError),
    ):
        with pytest.raises(error):
            enhance(tmp_path / source, tmp_path / target)
    assert {path.name for path in tmp_path.iterdir()} == {"in.jpg", "text.jpg", "there.jpg"}
    assert (tmp_path / "there.jpg").read_bytes() == b"mine"


def test_the_command_line_takes_photographs(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "in.jpg")
    command = [sys.executable, "-m", "facepipe", "run", str(tmp_path / "in.jpg")]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out.jpg")], capture_output=True, text=True, check=True
    )
    assert "1 face of 1 track enhanced" in done.stdout
    refused = subprocess.run(
        [*command, "-o", str(tmp_path / "out.mp4")], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "an image keeps its format" in refused.stderr


def test_a_photograph_without_its_end_is_kept_and_told(tmp_path: Path) -> None:
    """As cameras leave them whose memory was full; strict mode refuses it."""
    source, target = tmp_path / "in.jfif", tmp_path / "out.jpg"
    Image.fromarray(photograph()).save(source, "JPEG", quality=95)
    source.write_bytes(source.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"lacks its end; .*--strict-input refuses it"):
        enhance(source, target, Settings(strict_input=True))
    assert not target.exists()
    done = enhance(source, target)
    assert done.faces == 1
    assert any("lacks its end" in warning for warning in done.warnings)
    report = json.loads((tmp_path / "out.jpg.facepipe.json").read_text())
    assert any("lacks its end" in warning for warning in report["warnings"])
    again = enhance(target, tmp_path / "again.jpg")
    assert any("enhanced by facepipe already" in warning for warning in again.warnings)


def test_a_bitmap_is_a_photograph(tmp_path: Path) -> None:
    source, target = tmp_path / "in.bmp", tmp_path / "out.bmp"
    Image.fromarray(photograph()).save(source)
    assert enhance(source, target).faces == 1
    changed = difference(source, target)
    assert changed[50:110, 75:125].max() > 6
    assert not changed[:, 180:].any()


def test_halves_are_for_videos(tmp_path: Path) -> None:
    source = tmp_path / "in.jpg"
    Image.fromarray(photograph()).save(source)
    with pytest.raises(UsageError, match="is a photograph by its name: `facepipe run`"):
        analyze(source, tmp_path / "analysis.json")
    with pytest.raises(UsageError, match="is a photograph by its name: `facepipe run`"):
        render(source, tmp_path / "analysis.json", tmp_path / "out.jpg")


def crowd(path: Path) -> Path:
    """Six faces in two rows; two in the second row are so near that their canvases meet."""
    wall = np.full((260, 500, 3), 110, np.uint8)
    face = cv2.resize(portrait(), (70, 70), interpolation=3)
    for y, x in [(10, 30), (10, 200), (10, 380), (150, 380)]:
        wall[y : y + 70, x : x + 70] = face
    wall[150:220, 100:134] = wall[150:220, 134:168] = face[:, 18:52]
    Image.fromarray(wall).save(path)
    return path


def test_many_faces_are_restored_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory has a bound, and the result is the same."""
    source = crowd(tmp_path / "in.png")
    whole = enhance(source, tmp_path / "whole.png", Settings())
    assert whole.faces == 6
    parts: list[int] = []
    monkeypatch.setattr(restore, "IMAGE_FACES", 1)
    monkeypatch.setattr(
        restore,
        "crop",
        lambda frames, some, **how: parts.append(len(some)) or crop(frames, some, **how),
    )
    assert enhance(source, tmp_path / "parts.png", Settings()).faces == 6
    assert sorted(parts) == [1, 1, 1, 1, 2]
    assert difference(tmp_path / "whole.png", tmp_path / "parts.png").max() <= 1


def test_more_faces_than_the_limit_are_refused_as_in_videos(tmp_path: Path) -> None:
    source = crowd(tmp_path / "in.png")
    limited = load_settings(assignments=["limits.faces=5"])
    with pytest.raises(InputError, match=r"in\.png: there are 6 faces to enhance, more than the 5"):
        enhance(source, tmp_path / "out.png", limited)
    assert not (tmp_path / "out.png").exists()
    largest = load_settings(assignments=["limits.faces=5", "choose.largest=5"])
    assert enhance(source, tmp_path / "out.png", largest).faces == 5


def motion_photo(path: Path) -> bytes:
    """A photograph of a face with a video behind it, which its XMP points to; gives the video."""
    video = b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x10mdatpictures"
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MicroVideo="1" '
        f'GCamera:MicroVideoOffset="{len(video)}"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(photograph()).save(path, quality=95, xmp=xmp.encode())
    path.write_bytes(path.read_bytes() + video)
    return video


def test_a_video_behind_a_photograph_comes_along_and_is_told(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    video = motion_photo(source)
    done = enhance(source, target)
    assert done.faces == 1
    assert done.warnings == ("kept as it was, not enhanced: a video in the same file",)
    assert target.read_bytes().endswith(b"\xff\xd9" + video)
    assert f'MicroVideoOffset="{len(video)}"'.encode() in target.read_bytes()
    report = json.loads((tmp_path / "out.jpg.facepipe.json").read_text())
    assert report["warnings"] == list(done.warnings)


def with_depth_map(path: Path) -> None:
    """A photograph of a face with a depth map: what was its alpha, under another name."""
    alpha = np.full((160, 200, 1), 200, np.uint8)
    Image.fromarray(np.concatenate((photograph(), alpha), 2)).save(path, quality=90)
    content = path.read_bytes()
    assert b"auxiliary:alpha" in content
    path.write_bytes(content.replace(b"auxiliary:alpha", b"auxiliary:depth"))


def test_what_would_be_lost_is_refused_before_the_work(tmp_path: Path) -> None:
    source, target = tmp_path / "in.avif", tmp_path / "out.avif"
    with_depth_map(source)
    with pytest.raises(MediaError, match="the depth map in the same file would be lost"):
        enhance(source, target)
    assert [path.name for path in tmp_path.iterdir()] == ["in.avif"]
    allowed = Settings.model_validate({"output": {"allow_loss": True}})
    done = enhance(source, target, allowed)
    assert done.faces == 1
    assert done.warnings == ("lost: the depth map",)
    none = Settings.model_validate({"detect": {"max_face": 20}})
    enhance(source, target, none, overwrite=True)  # nothing is written again, nothing is lost
    assert target.read_bytes() == source.read_bytes()


def test_a_dry_run_says_what_is_lost_and_what_comes_along(tmp_path: Path) -> None:
    motion_photo(tmp_path / "in.jpg")
    with_depth_map(tmp_path / "in.avif")
    command = [sys.executable, "-m", "facepipe", "run", "--dry-run"]
    planned = subprocess.run(
        [*command, tmp_path / "in.jpg", "-o", tmp_path / "out.jpg", "--scale", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "out.jpg: 400x320" in planned.stdout
    assert "kept as it was, not enhanced: a video in the same file" in planned.stdout
    refused = subprocess.run(
        [*command, tmp_path / "in.avif", "-o", tmp_path / "out.avif"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == MediaError.exit_code
    assert "--allow-loss goes on without" in refused.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("found", [True, False], ids=["with a face", "copied"])
@pytest.mark.parametrize("dates", ["source", "now"])
def test_a_photograph_keeps_its_date(tmp_path: Path, found: bool, dates: str) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    pixels = photograph() if found else np.full((160, 200, 3), 110, np.uint8)
    cv2.imwrite(str(source), pixels[..., ::-1])
    os.utime(source, (978_000_000, 978_307_200.5))
    done = enhance(source, target, load_settings(assignments=[f"output.dates={dates}"]))
    assert done.faces == found
    kept = target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert kept == (dates == "source")


@pytest.mark.parametrize("dates", ["source", "now"])
def test_a_video_keeps_its_date(tmp_path: Path, dates: str) -> None:
    source, target = synthetic.plain(tmp_path / "in.mp4", frames=4), tmp_path / "out.mp4"
    os.utime(source, (978_000_000, 978_307_200.5))
    settings = load_settings(assignments=[f"output.dates={dates}", "workers=1"])
    enhance(source, target, settings, executor=LocalExecutor(1))
    kept = target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert kept == (dates == "source")
