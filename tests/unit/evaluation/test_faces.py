from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facepipe.errors import InputError, ModelError, OutputError, UsageError
from facepipe.evaluation import faces as evaluate
from facepipe.evaluation.faces import (
    FaceEvaluation,
    FaceRow,
    evaluate_faces,
    evenly_spaced,
    write_sheet,
)
from facepipe.evaluation.metrics import measure
from facepipe.evaluation.protocols import degrade_for
from facepipe.evaluation.restorers import Cost
from facepipe.evaluation.tables import as_json
from facepipe.training.face_archive import FaceArchive
from media.aligned_faces import OUTSIDE, OUTSIDE_COLUMNS

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
Canvases = NDArray[np.float32]
INNER = np.s_[16:144, 16:144]


@pytest.fixture
def archive(faces_folder: Path) -> FaceArchive:
    return FaceArchive([faces_folder])


@pytest.fixture(autouse=True)
def without_perceptual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results must not depend on whether the optional package is installed."""
    monkeypatch.setattr(evaluate, "load_installed_stlpips", lambda: None)
    monkeypatch.setattr(evaluate, "find_identity_weights", lambda: None)


def same(seen: Canvases) -> Canvases:
    return seen[..., :3]


def darkened(seen: Canvases) -> Canvases:
    return seen[..., :3] * np.float32(0.5)


def test_bicubic_comes_first_and_is_the_input(archive: FaceArchive) -> None:
    found = evaluate_faces(archive, {"same": same, "dark": darkened}, protocol="bicubic8")
    bicubic, equal, dark = found.rows
    assert (found.protocol, found.faces) == ("bicubic8", 6)
    assert (bicubic.name, bicubic.gain_db, bicubic.milliseconds) == ("bicubic", 0, 0)
    for figure in ("psnr_rgb", "ssim_rgb3d", "psnr_y", "ssim_y"):
        assert getattr(equal, figure) == getattr(bicubic, figure) > getattr(dark, figure)
    assert equal.gain_db == 0
    assert dark.gain_db == pytest.approx(dark.psnr_rgb - bicubic.psnr_rgb)
    assert dark.milliseconds > 0


def test_figures_are_means_of_each_face_s_over_valid_pixels(archive: FaceArchive) -> None:
    each = []
    for number in range(len(archive)):
        face, alpha = archive.face(number)
        shown = degrade_for(face, "bicubic8", number=number)[0]
        each.append(measure(shown, face[INNER], alpha[INNER] > 127))
    row = evaluate_faces(archive, {}, protocol="bicubic8").rows[0]
    assert row.psnr_rgb == pytest.approx(np.mean([one.psnr_rgb for one in each]))
    assert row.ssim_rgb3d == pytest.approx(np.mean([one.ssim_rgb3d for one in each]))
    assert row.psnr_y == pytest.approx(np.mean([one.psnr_y for one in each]))
    assert row.ssim_y == pytest.approx(np.mean([one.ssim_y for one in each]))


def test_pixels_outside_the_photograph_do_not_count(faces_folder: Path, tmp_path: Path) -> None:
    name = f"face_{OUTSIDE}.webp"
    (tmp_path / name).write_bytes((faces_folder / name).read_bytes())

    def spoil(seen: Canvases) -> Canvases:
        spoilt = seen[..., :3].copy()
        spoilt[:, :, : OUTSIDE_COLUMNS - 16] = 0
        return spoilt

    bicubic, spoilt = evaluate_faces(
        FaceArchive([tmp_path]), {"spoil": spoil}, protocol="bicubic8"
    ).rows
    assert spoilt.psnr_rgb == bicubic.psnr_rgb
    assert spoilt.psnr_y == bicubic.psnr_y


def test_bicubic8_keeps_the_place_and_the_colours(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(0)
    shown = degrade_for(face, "bicubic8", number=0)[0]
    assert shown.shape == (128, 128, 3)
    blocks = (16, 8, 16, 8, 3)
    # Pillow's cubic is not exactly a mean over 8x8 px, but colours stay where they were.
    means = face[INNER].reshape(blocks).mean((1, 3)) - shown.reshape(blocks).mean((1, 3))
    assert abs(means).mean() < 6
    assert abs(means.mean()) < 1


def test_blind_depends_on_seed_and_number_alone(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(0)
    numbered = [degrade_for(face, "blind", number=3, seed=seed)[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(numbered[0], numbered[1])
    assert not np.array_equal(numbered[0], numbered[2])
    assert not np.array_equal(numbered[0], degrade_for(face, "blind", number=4)[0])


def test_sequence_gives_the_canvas_of_blind_and_neighbours(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(0)
    canvas, neighbours = degrade_for(face, "blind", number=3)
    same_canvas, fused = degrade_for(face, "sequence", number=3)
    np.testing.assert_array_equal(canvas, same_canvas)
    assert canvas.shape == (128, 128, 3)
    assert neighbours.shape == fused.shape == (128, 128, 7)
    assert not neighbours.any()
    assert fused[..., 6].mean() > 0.2


def test_bicubic4_keeps_more_than_bicubic8(archive: FaceArchive) -> None:
    finer = evaluate_faces(archive, {}, protocol="bicubic4").rows[0]
    assert finer.psnr_rgb > evaluate_faces(archive, {}, protocol="bicubic8").rows[0].psnr_rgb


def test_sequence_has_a_row_without_neighbour_frames(archive: FaceArchive) -> None:
    def mean(seen: Canvases) -> Canvases:
        return seen[..., :3] + seen[..., 3:6]

    costs = {"mean": Cost(7, 0.5)}
    found = evaluate_faces(archive, {"mean": mean}, protocol="sequence", costs=costs, limit=2)
    rows = found.rows
    assert [(row.parameters, row.gmacs) for row in rows] == [(None, None), (7, 0.5), (7, 0.5)]
    assert [row.name for row in rows] == ["bicubic", "mean, one frame", "mean"]
    assert rows[1].gain_db == pytest.approx(0, abs=0.02)
    assert rows[2].gain_db != rows[1].gain_db


def test_same_evaluation_twice_is_the_same(archive: FaceArchive) -> None:
    one, other = (evaluate_faces(archive, {}, protocol="blind", seed=2) for _ in range(2))
    assert one == other
    assert one != evaluate_faces(archive, {}, protocol="blind", seed=3)


def test_limit_spreads_over_the_archive_and_progress_is_reported(archive: FaceArchive) -> None:
    reported: list[tuple[int, int]] = []
    found = evaluate_faces(
        archive, {}, protocol="bicubic8", limit=3, progress=lambda *done: reported.append(done)
    )
    assert found.faces == 3
    assert reported == [(3, 3)]
    assert evenly_spaced(500, 4) == [0, 125, 250, 375]
    assert evenly_spaced(6, None) == evenly_spaced(6, 99) == list(range(6))


def test_faces_go_through_in_batches_of_sixteen(archive: FaceArchive, faces_folder: Path) -> None:
    seen: list[int] = []

    def watch(inputs: Canvases) -> Canvases:
        assert inputs.dtype == np.float32
        assert inputs.max() <= 1
        seen.append(len(inputs))
        return inputs[..., :3]

    evaluate_faces(FaceArchive([faces_folder] * 3), {"watch": watch}, protocol="bicubic8")
    assert seen == [1, 16, 2]  # one to warm up, not timed


def test_json_and_markdown_say_the_same(archive: FaceArchive) -> None:
    found = evaluate_faces(archive, {"dark": darkened}, protocol="bicubic8")
    parsed = json.loads(as_json(found))
    rows = tuple(FaceRow(**row) for row in parsed["rows"])
    rebuilt = FaceEvaluation(
        parsed["protocol"], parsed["faces"], rows, *map(tuple, (parsed["notes"], parsed["worst"]))
    )
    assert rebuilt == found
    table = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert f"| dark | {found.rows[1].psnr_rgb:.2f} |" in table[3]


def test_without_the_perceptual_package_a_note_says_so(archive: FaceArchive) -> None:
    found = evaluate_faces(archive, {}, protocol="bicubic8", limit=1)
    assert found.rows[0].st_lpips is None
    assert "stlpips-pytorch is not installed" in found.to_markdown()
    assert json.loads(as_json(found))["rows"][0]["st_lpips"] is None


def test_with_perceptual_weights_the_column_is_filled(
    archive: FaceArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "load_installed_stlpips", evaluate.StLpips)
    found = evaluate_faces(archive, {"dark": darkened}, protocol="bicubic8", limit=2)
    assert all(row.st_lpips is not None for row in found.rows)
    assert [note.split()[0] for note in found.notes] == ["identity"]


def test_with_a_metric_of_identity_its_column_is_filled(
    archive: FaceArchive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def light(images: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
        return 1 - np.abs(images.mean((1, 2, 3)) - truths.mean((1, 2, 3))) / 255

    monkeypatch.setattr(evaluate, "find_identity_weights", lambda: tmp_path)
    monkeypatch.setattr(evaluate, "IdentityMetric", lambda _: light)
    found = evaluate_faces(archive, {"dark": darkened}, protocol="bicubic8", limit=2)
    bicubic, dark = (row.identity for row in found.rows)
    assert bicubic is not None
    assert dark is not None
    assert bicubic > 0.95 > dark
    assert [note.split()[0] for note in found.notes] == ["ST-LPIPS"]


def test_restorer_that_returns_no_image_is_refused(archive: FaceArchive) -> None:
    broken = {
        "small": lambda seen: seen[:, :64, :, :3],
        "nan": lambda seen: seen[..., :3] * np.float32(np.nan),
    }
    for name, restore in broken.items():
        with pytest.raises(ModelError, match=name):
            evaluate_faces(archive, {name: restore}, protocol="bicubic8")


def test_wrong_requests_are_refused(archive: FaceArchive) -> None:
    with pytest.raises(UsageError, match="bicubic8, bicubic4, blind, sequence"):
        evaluate_faces(archive, {}, protocol="easy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="always measured"):
        evaluate_faces(archive, {"bicubic": darkened}, protocol="blind")
    with pytest.raises(UsageError, match="at least 1"):
        evaluate_faces(archive, {}, protocol="blind", limit=0)


def test_face_wholly_outside_its_photograph_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (160, 160), (90, 90, 90, 0)).save(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="nowhere"):
        evaluate_faces(FaceArchive([tmp_path]), {}, protocol="bicubic8")


def test_sheet_shows_input_restorers_and_truth(archive: FaceArchive, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_sheet(path, archive, {"dark": darkened}, protocol="bicubic8")
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (16 + len(archive) * 128, 3 * 128, 3)
    second = archive.face(1)[0]
    row = sheet[16 + 128 : 16 + 256]
    np.testing.assert_array_equal(row[:, :128], degrade_for(second, "bicubic8", number=1)[0])
    np.testing.assert_array_equal(row[:, 256:], second[INNER])
    assert row[:, 128:256].mean() == pytest.approx(row[:, :128].mean() / 2, abs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_the_worst_faces_are_named_and_shown(archive: FaceArchive, tmp_path: Path) -> None:
    shares = np.array([0.5, 0.3, 0.9, 0.7, 0.1, 0.0], np.float32)

    def spoilt(inputs: Canvases) -> Canvases:
        return inputs[..., :3] * (1 - shares[: len(inputs), None, None, None])

    found = evaluate_faces(archive, {"spoilt": spoilt}, protocol="bicubic8")
    assert len(found.worst) == len(archive)
    assert found.worst[0] == archive.names[2]
    path = tmp_path / "sheet.png"
    write_sheet(path, archive, {}, protocol="bicubic8", names=found.worst[:2])
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (16 + 2 * 128, 2 * 128, 3)
    np.testing.assert_array_equal(sheet[16 : 16 + 128, 128:], archive.face(2)[0][INNER])


def test_sheet_that_cannot_be_written_is_reported(archive: FaceArchive, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent"):
        write_sheet(tmp_path / "absent" / "s.png", archive, {}, protocol="bicubic8")
