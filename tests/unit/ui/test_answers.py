from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facepipe.presentation.crops import Shown, upright
from facepipe.ui.answers import (
    about_moment,
    about_video,
    best_frame,
    mark_of,
    shown_box,
    shown_size,
)
from facepipe.ui.library import Library, settings_path
from facepipe.ui.project import Project


def told(video: Path) -> dict[str, object]:
    project = Project(video)
    answer = about_video(project, project.opened(), Library(video.parent))
    assert json.loads(json.dumps(answer)) == answer
    return answer


def test_a_video_that_was_not_searched(video: Path) -> None:
    answer = told(video)
    assert (answer["frames"], answer["width"], answer["height"]) == (40, 240, 136)
    assert answer["shape"] == pytest.approx(240 / 136)
    assert (answer["searched"], answer["tracks"]) == (False, [])


def test_tracks_come_with_their_reason_in_words(searched: Path) -> None:
    first, second = told(searched)["tracks"]  # type: ignore[misc]
    assert (first["number"], first["enhance"], first["from"]) == (1, True, "0:00.00")
    assert (second["enhance"], second["kind"]) == (False, "not surely a face")
    assert "--score 0.6" in second["remedy"]


def test_a_track_is_best_seen_in_a_frame_of_its_own(searched: Path) -> None:
    opened = Project(searched).opened()
    for number, frames in ((1, 40), (2, 10)):
        track = opened.track(number)
        assert track is not None
        assert 0 < best_frame(track, opened.info.pts) < frames - 1


def test_the_boxes_of_a_frame_are_those_of_its_tracks(searched: Path) -> None:
    opened = Project(searched).opened()
    moment = about_moment(opened, 5)
    assert moment["pts"] == opened.info.pts[5]
    assert [box["number"] for box in moment["boxes"]] == [1, 2]
    assert moment["boxes"][0]["box"] == pytest.approx([43.5, 42.5, 24, 24], abs=0.1)
    assert [box["number"] for box in about_moment(opened, 30)["boxes"]] == [1]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_box_lies_where_the_upright_picture_shows_it(searched: Path, rotation: int) -> None:
    info = replace(Project(searched).opened().info, rotation=rotation)
    image = np.zeros((info.height, info.width, 3), np.uint8)
    image[20:41, 10:31] = 255  # the pixels 10 .. 30 by 20 .. 40
    turned = upright(image, Shown(rotation))
    x, y, width, height = (
        round(value) for value in shown_box(np.float32([9.5, 19.5, 30.5, 40.5]), info)
    )
    assert turned.shape[1::-1] == shown_size(info)
    assert (width, height) == (21, 21)
    assert turned[y : y + height, x : x + width].min() == 255
    assert turned.astype(int).sum() == 21 * 21 * 3 * 255


def test_pixels_that_are_no_squares_change_the_shape_alone(searched: Path) -> None:
    project = Project(searched)
    opened = project.opened()
    info = replace(opened.info, sample_aspect_ratio=Fraction(4, 3))
    library = Library(searched.parent)
    answer = about_video(project, replace(opened, info=info), library)
    assert (answer["width"], answer["height"]) == (240, 136)
    assert answer["shape"] == pytest.approx(320 / 136)
    answer = about_video(project, replace(opened, info=replace(info, rotation=90)), library)
    assert (answer["width"], answer["height"]) == (136, 240)
    assert answer["shape"] == pytest.approx(136 / 320)


def test_the_mark_changes_with_the_files(searched: Path) -> None:
    project = Project(searched)
    before = mark_of(project)
    assert mark_of(project) == before
    settings_path(searched).write_text("output.scale = 2\n")
    assert mark_of(project) != before
