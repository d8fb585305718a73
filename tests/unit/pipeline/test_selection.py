"""Choosing among the faces that could be enhanced."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facepipe.configs.settings import ChooseSettings, load_settings
from facepipe.datatypes import Track, VideoInfo
from facepipe.errors import UsageError
from facepipe.pipeline.selection import choose


def video(rotation: int = 0) -> VideoInfo:
    return VideoInfo(
        "f", "mp4", 0, "h264", 200, 100, "yuv420p", Fraction(1, 25), (0,), (0,), rotation, None, ()
    )


def track(number: int, x: float, y: float, size: float = 10, motion: float = 0) -> Track:
    middles = np.array([[x, y], [x + motion, y]])
    return Track(
        number=number,
        pts=np.array([0, 10]),
        boxes=np.concatenate((middles - size / 2, middles + size / 2), 1).astype(np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.ones(2, np.float32),
    )


TRACKS = (track(1, 20, 20, 12), track(2, 150, 20, 30), track(3, 150, 80, 20))


def enhanced(wanted: ChooseSettings, info: VideoInfo | None = None) -> list[int]:
    return [t.number for t in choose(TRACKS, wanted, info or video()) if t.enhance]


def test_all_where_nothing_is_said() -> None:
    assert choose(TRACKS, ChooseSettings(), video()) == TRACKS


def test_by_number() -> None:
    one, two, three = choose(TRACKS, ChooseSettings(tracks=(3, 1)), video())
    assert (one.enhance, two.enhance, three.enhance) == (True, False, True)
    assert two.reason == "not among --tracks"
    with pytest.raises(UsageError, match="no track 7; tracks here: 1 to 3"):
        choose(TRACKS, ChooseSettings(tracks=(1, 7)), video())
    with pytest.raises(UsageError, match="none at all"):
        choose((), ChooseSettings(tracks=(1,)), video())


def test_by_place() -> None:
    assert enhanced(ChooseSettings(region=(0, 0, 100, 50))) == [1]
    assert enhanced(ChooseSettings(region=(100, 0, 100, 100))) == [2, 3]
    assert enhanced(ChooseSettings(region=(-50, -50, 400, 400))) == [1, 2, 3]
    with pytest.raises(UsageError, match="outside the video of 200x100"):
        enhanced(ChooseSettings(region=(200, 0, 5, 5)))
    crossing = (track(1, 40, 50, motion=90), track(2, 40, 50, motion=20))
    kept = choose(crossing, ChooseSettings(region=(100, 0, 100, 100)), video())
    assert [t.enhance for t in kept] == [True, False]


@pytest.mark.parametrize(
    ("rotation", "region"),
    [(90, (0, 100, 60, 100)), (180, (150, 50, 50, 50)), (270, (50, 0, 50, 100))],
)
def test_regions_are_in_the_video_as_shown(
    rotation: int, region: tuple[float, float, float, float]
) -> None:
    """The first track stands at the left and above in the coded frame."""
    assert enhanced(ChooseSettings(region=region), video(rotation)) == [1]


def test_by_a_mask(tmp_path: Path) -> None:
    mask = np.zeros((50, 100), np.uint8)
    mask[:, 60:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    assert enhanced(ChooseSettings(region=tmp_path / "mask.png")) == [2, 3]
    with pytest.raises(UsageError, match="100x50 px has not the shape of the video, 100x200"):
        enhanced(ChooseSettings(region=tmp_path / "mask.png"), video(90))
    with pytest.raises(UsageError, match=r"absent\.png: this image cannot be read"):
        enhanced(ChooseSettings(region=tmp_path / "absent.png"))
    for content in (b"", b"no image"):
        (tmp_path / "text.png").write_bytes(content)
        with pytest.raises(UsageError, match=r"text\.png"):
            enhanced(ChooseSettings(region=tmp_path / "text.png"))


def test_the_largest_of_those_that_are_left() -> None:
    assert enhanced(ChooseSettings(largest=1)) == [2]
    assert enhanced(ChooseSettings(largest=2)) == [2, 3]
    assert enhanced(ChooseSettings(largest=1, tracks=(1, 3))) == [3]
    chosen = choose(TRACKS, ChooseSettings(largest=1), video())
    assert chosen[0].reason == "not among the 1 largest"
    assert choose(chosen, ChooseSettings(largest=1), video()) == chosen


def test_what_the_command_line_gives() -> None:
    given = {"choose.tracks": "3,7", "choose.region": "1,2,30.5,40", "choose.largest": 2}
    wanted = load_settings(overrides=given).choose
    assert (wanted.tracks, wanted.region, wanted.largest) == ((3, 7), (1, 2, 30.5, 40), 2)
    assert load_settings(overrides={"choose.region": "mask.png"}).choose.region == Path("mask.png")
    assert load_settings(assignments=["choose.tracks=4"]).choose.tracks == (4,)
    for key, wrong, reason in (
        ("tracks", "one", "--tracks must be a list of whole numbers, not 'one'"),
        ("region", "1,2,0,4", "--region must have a width and a height above 0"),
        ("region", "1,2,3", "--region must be x,y,width,height in px, or an image"),
        ("region", "a,b,c,d", "--region must be x,y,width,height"),
        ("largest", 0, "--largest must be a whole number from 1 up, not 0"),
    ):
        with pytest.raises(UsageError, match=reason):
            load_settings(overrides={f"choose.{key}": wrong})
