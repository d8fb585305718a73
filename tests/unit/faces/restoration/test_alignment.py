"""Faces on canvases of any size and template: the same face, cropped, parsed and pasted."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import (
    OWN_ALIGNMENT,
    TEMPLATES,
    Alignment,
    Colour,
    Crops,
    Float32,
    Frame,
    Restored,
    Track,
)
from facepipe.faces.canvas import TEMPLATE, canvas_to_frame, frame_px_per_canvas_px
from facepipe.faces.restoration.crop import crop
from facepipe.faces.restoration.parsing import parses
from facepipe.faces.restoration.paste import paste
from facepipe.video.pixel_formats import pixel_format

LARGE = Alignment(512)
OTHER = Alignment(224, TEMPLATES["arcface"])


def frame(pts: int = 0) -> Frame:
    """400x300 px, smooth, with a light disc where the face is."""
    down, across = np.mgrid[0:300, 0:400].astype(np.float32)
    disc = 60 * np.exp(-((across - 200) ** 2 + (down - 150) ** 2) / 800)
    luma = (60 + across / 8 + disc).astype(np.uint8)
    colour = Colour(matrix="bt601", full_range=True)
    return Frame(pts=pts, format=pixel_format("gray"), colour=colour, planes=(luma,))


def track(scale: float) -> Track:
    """A face whose own canvas has `scale` px of the frame to a px, about the disc."""
    points = ((TEMPLATE - 64) * scale + [200, 150]).astype(np.float32)
    return Track(
        number=1,
        pts=np.array([0]),
        boxes=np.array([[150, 100, 250, 200]], np.float32),
        landmarks=points[None],
        scores=np.array([0.9], np.float32),
        enhance=True,
        reason=None,
    )


@pytest.mark.parametrize("alignment", [OWN_ALIGNMENT, LARGE, OTHER])
def test_landmarks_lie_at_the_template(alignment: Alignment) -> None:
    to_frame = canvas_to_frame(alignment.points * 0.3 + [20, 30], alignment)
    np.testing.assert_allclose(to_frame, [[0.3, 0, 20], [0, 0.3, 30]], atol=1e-9)


def test_a_larger_canvas_holds_the_same_face() -> None:
    own = crop([frame()], [track(0.5)])
    large = crop([frame()], [track(0.5)], alignment=LARGE, fused=False)
    assert large.neighbours is None
    assert large.pixels.shape == (1, 512, 512, 3)
    np.testing.assert_allclose(large.to_frame[0, :, :2] * 4, own.to_frame[0, :, :2], atol=1e-9)
    means = large.pixels[0].reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(means - own.pixels[0]).max() < 2 / 255


def test_faces_that_fill_the_canvas_are_left_alone_unless_any_size_goes() -> None:
    assert len(crop([frame()], [track(1.5)])) == 0
    assert len(crop([frame()], [track(1.5)], alignment=LARGE)) == 1
    assert len(crop([frame()], [track(4.5)], alignment=LARGE)) == 0
    taken = crop([frame()], [track(4.5)], alignment=Alignment(512, any_size=True))
    assert frame_px_per_canvas_px(taken.to_frame[0]) > 1
    assert len(taken) == 1


@pytest.mark.parametrize("alignment", [OWN_ALIGNMENT, LARGE, OTHER])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_change_lands_where_the_face_is(alignment: Alignment, scale: int) -> None:
    crops = crop([frame()], [track(0.5)], alignment=alignment, fused=False)
    side = alignment.side
    down, across = np.mgrid[0:side, 0:side] / side
    # A small spot at the nose, which no low-pass takes for light.
    nose = alignment.template[2]
    spot = 0.3 * np.exp(-((across - nose[0]) ** 2 + (down - nose[1]) ** 2) / 0.0005)
    made = Restored(pixels=crops.pixels + spot[..., None].astype(np.float32), parse=None)
    (plain,) = paste(
        [frame()],
        crops,
        Restored(pixels=crops.pixels, parse=None),
        strength=1,
        fidelity=0,
        scale=scale,
    )
    (changed,) = paste([frame()], crops, made, strength=1, fidelity=0, scale=scale)
    difference = changed.planes[0].astype(int) - plain.planes[0]
    y, x = np.unravel_index(difference.argmax(), difference.shape)
    at = np.array([*alignment.points[2] - 0.5, 1])  # shares count from the edge of the first px
    expected = (crops.to_frame[0] @ at + 0.5) * scale - 0.5
    assert np.abs(np.array([x, y]) - expected).max() <= scale
    assert 40 < difference.max() < 90
    y0, x0 = np.nonzero(difference)
    reach = 64 * 0.5 * scale * side / 128 / (side / 128) * 1.2
    assert np.abs(x0 - 200 * scale).max() <= reach
    assert np.abs(y0 - 150 * scale).max() <= reach


def test_nothing_restored_is_nothing_changed() -> None:
    crops = crop([frame()], [track(0.5)], alignment=LARGE, fused=False)
    (same,) = paste(
        [frame()],
        crops,
        Restored(pixels=crops.pixels, parse=None),
        strength=1,
        fidelity=0.3,
        scale=1,
    )
    np.testing.assert_array_equal(same.planes[0], frame().planes[0])


def test_colour_and_light_stay_the_sources() -> None:
    crops = crop([frame()], [track(0.5)], alignment=LARGE, fused=False)
    lighter = Restored(pixels=np.clip(crops.pixels + 0.15, 0, 1), parse=None)
    (same,) = paste([frame()], crops, lighter, strength=1, fidelity=0, scale=1)
    assert np.abs(same.planes[0].astype(int) - frame().planes[0]).max() <= 2


@pytest.mark.parametrize("alignment", [OWN_ALIGNMENT, LARGE, OTHER])
def test_parses_lie_on_the_restorers_own_canvas(alignment: Alignment) -> None:
    """The parser is given facepipe's canvas, and its answer is turned back."""
    seen: list[Crops] = []

    def parser(crops: Crops) -> Float32:
        seen.append(crops)
        bright = crops.pixels.mean(3).reshape(-1, 32, 4, 32, 4).mean((2, 4))
        return np.repeat(bright[:, None], 8, 1).astype(np.float32)

    crops = crop([frame()], [track(0.5)], alignment=alignment, fused=False)
    found = parses(crops, parser)
    assert seen[0].pixels.shape == (1, 128, 128, 3)
    own = crop([frame()], [track(0.5)], fused=False)
    shared = np.s_[:, 24:-24, 24:-24]  # beyond its own canvas, its edge is replicated
    np.testing.assert_allclose(seen[0].pixels[shared], own.pixels[shared], atol=0.03)
    assert found.shape == (1, 8, 32, 32)
    cells = crops.pixels[0].mean(2).reshape(32, alignment.side // 32, 32, -1).mean((1, 3))
    inner = np.s_[6:-6, 6:-6]  # beyond its own canvas, the parser has seen nothing
    np.testing.assert_allclose(found[0, 0][inner], cells[inner], atol=0.03)
    none = parses(Crops.none(alignment), parser)
    assert none.shape == (0, 8, 32, 32)
