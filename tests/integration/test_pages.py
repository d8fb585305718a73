"""Pages as a browser shows them: both themes, a telephone's width, print, and axe's findings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facepipe.configs.settings import Settings
from facepipe.datatypes import Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.presentation.charts import Stretch
from facepipe.presentation.documents import Document
from facepipe.presentation.moments import Moment
from facepipe.presentation.page import preview_page
from facepipe.presentation.report import make_report
from facepipe.presentation.sheet import Sheet
from facepipe.presentation.views import FaceView
from media import browser, portraits

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(browser.chromium() is None, reason="this machine has no Chromium"),
]
needs_axe = pytest.mark.skipif(browser.axe_source() is None, reason="axe-core is not installed")
REASONS = (None, "score 0.649 below 0.7", "larger than the canvas: 97.0 px, and it holds 70")


def track(number: int, reason: str | None) -> Track:
    begin = 20 * (number % 40)
    boxes = np.tile(np.float32([40, 20, 70, 50]), (4, 1)) + np.arange(4, dtype=np.float32)[:, None]
    return Track(
        number=number,
        pts=np.array([begin, begin + 20, begin + 40, begin + 60]),
        boxes=boxes,
        landmarks=(TEMPLATE[None] / 128 * 30 + boxes[:, None, :2]).astype(np.float32),
        scores=np.linspace(0.7, 0.9, 4).astype(np.float32),
        enhance=reason is None,
        reason=reason,
    )


def view(one: Track) -> FaceView:
    face = cv2.resize(portraits.portrait(), (160, 160), interpolation=cv2.INTER_AREA)
    image = np.asarray(face, np.uint8) // 2 + np.uint8(one.number % 100)  # each is another
    return FaceView(Moment(one, one.first, "typical"), 1.0, image, (image,), 0.2)


def report(count: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of a document of `count` tracks, each with one drawn view."""
    document = Document(
        path=Path("out.mp4.facepipe.json"),
        tracks=tuple(track(n, REASONS[n % 3]) for n in range(1, count + 1)),
        source_name="a film with a rather long name that wraps <b>.mp4",
        source_sha256="0123456789abcdef" * 4,
        frames=900,
        width=640,
        height=360,
        source=None,
        tick=0.04,
        cuts=(5.0, 17.0),
        damage=(Stretch(8, 9, "do not decode"),),
        copied=(Stretch(10, 15),),
        settings=Settings(),
        warnings=("a warning",),
    )
    monkeypatch.setattr(
        "facepipe.presentation.report.document_views",
        lambda _document, _info, tracks, *_: [view(one) for one in tracks],
    )
    return make_report(document, Settings())


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "report.html"
    path.write_text(report(12, monkeypatch), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_follows_the_theme(page: Path, tmp_path: Path, width: int) -> None:
    corners, greens = [], []
    for dark in (False, True):
        target = tmp_path / f"{dark}.png"
        browser.screenshot(page, target, width=width, height=2400, dark=dark)
        image = cv2.imread(str(target))
        assert image.shape[1] >= width
        corners.append(int(image[2, 2].mean()))
        greens.append(len(np.unique(image.reshape(-1, 3), axis=0)))
    assert corners[0] > 220
    assert corners[1] < 50
    assert min(greens) > 1000  # faces are shown


def test_the_page_is_printed(page: Path, tmp_path: Path) -> None:
    pdf = browser.printed(page, tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") >= 12  # also those that a screen would load later


@needs_axe
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    found = browser.findings(page, tmp_path, width=width, dark=dark)
    assert found["serious"] == []
    assert found["checked"] > 20
    assert found["width"] <= found["room"]  # nothing but the timeline scrolls sideways


@needs_axe
def test_axe_finds_nothing_serious_on_a_sheet(tmp_path: Path) -> None:
    views = tuple(view(track(n, REASONS[n % 3])) for n in range(1, 7))
    sheet = Sheet("a.mp4: 6 tracks", ("a note",), ("before", "after"), views)
    page = tmp_path / "sheet.html"
    page.write_text(preview_page(sheet), encoding="utf-8")
    for width in (1280, 390):
        found = browser.findings(page, tmp_path, width=width)
        assert found["serious"] == []
        assert found["width"] <= found["room"]


@needs_axe
def test_axe_would_find_something(page: Path, tmp_path: Path) -> None:
    page.write_text(page.read_text(encoding="utf-8").replace(' alt="', ' data-alt="'))
    found = browser.findings(page, tmp_path, width=1280)
    assert "image-alt" in [name for name, *_ in found["serious"]]


def test_a_page_of_500_tracks_is_at_most_5_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    page.write_text(report(500, monkeypatch), encoding="utf-8")
    assert page.stat().st_size <= 5_000_000
    browser.screenshot(page, tmp_path / "500.png", width=1280, height=900)
    assert (tmp_path / "500.png").stat().st_size > 10_000
