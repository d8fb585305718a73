"""Contracts: what they may say, and that networks are given and taken at their word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from facepipe.datatypes import CANVAS_FACE, TEMPLATES, Alignment, Crops, Float32
from facepipe.errors import ModelError
from facepipe.models.contract import Contract, read_contract
from facepipe.models.restorers.network import NetworkRestorer

TERMS = 'licence = "MIT"\n'


class Recorder:
    """Gives `made` of what it is given, and keeps the latter."""

    description = "a test"

    def __init__(self, side: int, *, parse: bool = False, value: float | None = None) -> None:
        self.given: list[Float32] = []
        self._side, self._parse, self._value = side, parse, value

    def __call__(self, canvases_NCHW: Float32, /) -> Sequence[Float32]:
        self.given.append(canvases_NCHW)
        enlarged = self._side // canvases_NCHW.shape[-1]
        made = np.kron(canvases_NCHW[:, :3], np.ones((1, 1, enlarged, enlarged), np.float32))
        if self._value is not None:
            made[:] = self._value
        parse = np.full((len(made), 8, 32, 32), 0.125, np.float32)
        return (made, parse) if self._parse else (made,)


def crops(count: int, contract: Contract, *, frame_px: float = 1.0) -> Crops:
    """Grey canvases with a red half; `frame_px` px of the frame to a px of the canvas."""
    side = contract.canvas
    pixels = np.full((count, side, side, 3), 0.25, np.float32)
    pixels[:, :, : side // 2, 0] = 0.75
    to_frame = np.tile(np.array([[frame_px, 0, 0], [0, frame_px, 0]]), (count, 1, 1))
    numbers = np.arange(count)
    return Crops(
        pixels=pixels,
        to_frame=to_frame,
        frame=numbers,
        track=numbers,
        neighbours=np.full((count, side, side, 7), 0.5, np.float32),
        alignment=contract.alignment,
    )


def test_a_contract_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        'canvas = 512\ninput = 128\nrange = [-1, 1]\ncolour = "bgr"\nbatch = 2\n'
        'template = "arcface"\nany_size = true\nmask = "square"\nhalf = true\n' + TERMS
    )
    found = read_contract(path)
    assert (found.canvas, found.input_side, found.range, found.colour) == (512, 128, (-1, 1), "bgr")
    assert found.alignment == Alignment(512, TEMPLATES["arcface"], any_size=True)
    assert found.licence == "MIT"
    points = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
    path.write_text(f"template = {points}\n{TERMS}")
    assert read_contract(path).alignment.points.tolist() == [[x * 128, y * 128] for x, y in points]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("canvas = 512", "licence must be given"),
        ('licence = " "', "licence must be a text that is not empty"),
        (f"{TERMS}canvas = 8", "canvas must be a whole number of px from 32 to 2048, not 8"),
        (f"{TERMS}canvas = 128.0", "canvas must be a whole number"),
        (f"{TERMS}canvas = true", "canvas must be a whole number"),
        (f"{TERMS}side = 512", "side: unknown; known are any_size, batch, canvas"),
        (f'{TERMS}template = "dlib"', "template must be ffhq or arcface, or five different"),
        (f"{TERMS}template = [[0.1, 0.1]]", "template must be"),
        (f'{TERMS}colour = "yuv"', "colour must be rgb or bgr, not 'yuv'"),
        (f"{TERMS}range = [0]", r"range must be two numbers, \[black, white\]"),
        (f"{TERMS}range = [1, -1]", "range must rise from black to white"),
        (f"{TERMS}range = [0, inf]", "range must be two numbers"),
        (f"{TERMS}range = [0, 1{400 * '0'}]", "range must be two numbers"),
        (f"{TERMS}range = [0, 1e-50]", "range must rise from black to white"),
        (f"{TERMS}range = {3000 * '['}", "cannot be read as TOML"),
        (f"{TERMS}batch = 0", "batch must be a whole number from 1 to 256, not 0"),
        (f'{TERMS}mask = "hair"', "mask must be own, parsing, square"),
        (f"{TERMS}neighbours = true\ninput = 64", "neighbours go with an input of the canvas's"),
        ("canvas = ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_contract_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=fault):
        read_contract(path)


def test_a_contract_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.toml: no such file; it must state the contract"):
        read_contract(tmp_path / "net.toml")


def test_colour_range_and_batch_are_honoured() -> None:
    contract = Contract(canvas=64, range=(-1, 1), colour="bgr", batch=2, licence="MIT")
    network = Recorder(64)
    given = crops(5, contract)
    restored = NetworkRestorer(network, contract)(given)
    np.testing.assert_allclose(restored.pixels, given.pixels, atol=1e-6)
    assert restored.parse is None
    assert [one.shape for one in network.given] == [(2, 3, 64, 64)] * 2 + [(1, 3, 64, 64)]
    np.testing.assert_allclose(network.given[0][0, :, 0, 0], [-0.5, -0.5, 0.5])  # red is last


def test_neighbours_follow_the_colours_and_keep_their_values() -> None:
    contract = Contract(canvas=64, range=(0, 255), neighbours=True, mask="own", licence="MIT")
    network = Recorder(64, parse=True)
    restored = NetworkRestorer(network, contract)(crops(1, contract))
    assert network.given[0].shape == (1, 10, 64, 64)
    np.testing.assert_allclose(network.given[0][0, :, 0, 0], [191.25, 63.75, 63.75, *[0.5] * 7])
    assert restored.parse is not None
    assert restored.parse.shape == (1, 8, 32, 32)


def test_the_network_may_be_given_less_than_it_makes() -> None:
    contract = Contract(canvas=256, input=64, licence="MIT")
    network = Recorder(256)
    given = crops(1, contract)
    restored = NetworkRestorer(network, contract)(given)
    assert network.given[0].shape == (1, 3, 64, 64)
    np.testing.assert_allclose(restored.pixels, given.pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("frame_px", "side"), [(0.05, 32), (0.2, 64), (0.3, 128), (2, 128), (0, 128)]
)
def test_a_native_network_gets_pixels_as_the_frame_has_them(frame_px: float, side: int) -> None:
    contract = Contract(canvas=256, input=128, native=True, licence="MIT")

    class Twice(Recorder):
        def __call__(self, canvases_NCHW: Float32, /) -> Sequence[Float32]:
            self._side = 2 * canvases_NCHW.shape[-1]
            return super().__call__(canvases_NCHW)

    network = Twice(0)
    restored = NetworkRestorer(network, contract)(crops(1, contract, frame_px=frame_px))
    assert network.given[0].shape == (1, 3, side, side)
    assert restored.pixels.shape == (1, 256, 256, 3)


def test_what_breaks_the_contract_is_refused() -> None:
    contract = Contract(canvas=64, licence="MIT")
    with pytest.raises(ModelError, match=r"shape \(1, 3, 128, 128\), by its contract it is"):
        NetworkRestorer(Recorder(128), contract)(crops(1, contract))
    with pytest.raises(ModelError, match="no numbers"):
        NetworkRestorer(Recorder(64, value=float("nan")), contract)(crops(1, contract))
    own = Contract(canvas=64, mask="own", licence="MIT")
    with pytest.raises(ModelError, match="gives no parse"):
        NetworkRestorer(Recorder(64), own)(crops(1, own))


def test_values_beyond_white_are_cut_and_no_face_is_no_work() -> None:
    contract = Contract(canvas=64, licence="MIT")
    bright = Recorder(64, value=3.0)
    assert NetworkRestorer(bright, contract)(crops(1, contract)).pixels.max() == 1
    assert NetworkRestorer(Recorder(64), contract)(crops(0, contract)).pixels.shape == (
        0,
        64,
        64,
        3,
    )


def test_the_largest_face_grows_with_the_canvas() -> None:
    assert Alignment().largest_face == CANVAS_FACE
    assert Alignment(512).largest_face == pytest.approx(4 * CANVAS_FACE)
    assert Alignment(112, TEMPLATES["arcface"]).largest_face > CANVAS_FACE  # faces fill it more
    assert Alignment(512, any_size=True).largest_face == float("inf")
