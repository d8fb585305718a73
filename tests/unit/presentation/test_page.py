"""Pages: hostile texts stay text, images keep to their bytes, and a page stands alone."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from facepipe.configs.settings import Settings
from facepipe.datatypes import Track
from facepipe.presentation.documents import Document
from facepipe.presentation.moments import Moment
from facepipe.presentation.page import data_uri, preview_page, shown_views
from facepipe.presentation.report import MOST_TRACKS, make_report
from facepipe.presentation.sheet import Sheet, draw_sheet
from facepipe.presentation.views import FaceView

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><svg onload=alert(1)>",
    "{{ 7*7 }} {% raw %}",
    "a\x00b\x1b[31m\u202e\udcff",
    "\u65e5\u672c\u8a9e.mp4",
]


class Tags(HTMLParser):
    """The tags of a page, and the attributes that could run or fetch something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.dangerous: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            outside = name in ("src", "href") and not (value or "").startswith(("data:", "#"))
            if name.startswith("on") or outside:
                self.dangerous.append((tag, name))


def track(number: int, reason: str | None = None, *, enhance: bool = False) -> Track:
    return Track(
        number=number,
        pts=np.array([0, 50]),
        boxes=np.tile(np.float32([10, 10, 30, 30]), (2, 1)),
        landmarks=np.tile(np.float32([[1, 1], [2, 1], [1.5, 2], [1, 3], [2, 3]]), (2, 1, 1)),
        scores=np.full(2, 0.8, np.float32),
        enhance=enhance,
        reason=reason,
    )


def view(one: Track) -> FaceView:
    image = np.random.default_rng(one.number).integers(0, 256, (160, 160, 3), np.uint8)
    after = (image,) if one.enhance else ()
    return FaceView(Moment(one, 10, "typical"), 0.4, image, after, 0.1 if after else None)


def document(*tracks: Track, text: str = "film.mp4") -> Document:
    return Document(
        path=Path("analysis.json"),
        tracks=tracks,
        source_name=text,
        source_sha256="0" * 64,
        frames=100,
        width=64,
        height=48,
        source=None,
        tick=0.04,
        warnings=(text,),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_reasons_stay_text(text: str) -> None:
    page = make_report(document(track(1, text), text=text), Settings())
    sheet = Sheet(text, (text,), (text, text), (view(track(1, text)),))
    for one in (page, preview_page(sheet)):
        tags = Tags(one)
        assert "script" not in tags.tags
        assert "onerror" not in tags.tags
        assert tags.dangerous == []
        assert "7*7" in one or "{{" not in text  # it was not computed
        one.encode("utf-8")
        assert not re.search("[\x00-\x08\x1b\u202e]", one)
    assert draw_sheet(sheet).shape[2] == 3


def test_a_page_needs_nothing_else() -> None:
    page = make_report(document(track(1, enhance=True)), Settings())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "no evidence" in page
    assert "There are no images here" in page  # and says why


@pytest.mark.parametrize("most", [400, 2_000, 12_000])
def test_an_image_keeps_to_its_bytes(most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    uri = data_uri(noise, most)
    coded = base64.b64decode(uri.partition(",")[2])
    assert len(coded) <= most
    assert cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR) is not None


def test_an_image_that_fits_is_coded_well() -> None:
    red = np.full((64, 64, 3), (200, 30, 10), np.uint8)
    coded = base64.b64decode(data_uri(red, 12_000).partition(",")[2])
    image = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (64, 64, 3)
    assert np.abs(image[..., ::-1].astype(int) - red).max() < 12


def test_the_images_of_500_tracks_are_at_most_5_megabytes() -> None:
    views = [view(track(number, enhance=True)) for number in range(1, MOST_TRACKS + 1)]
    total = sum(len(uri) for one in shown_views(views) for uri in one.uris)
    assert total < 4_000_000


def test_more_tracks_than_a_page_shows_are_counted() -> None:
    tracks = [track(n, "outside --region") for n in range(1, 800)]
    page = make_report(document(*tracks), Settings())
    assert len(page) < 2_000_000
    assert "299 more are not shown here" in page


def test_refused_tracks_say_why_and_what_changes_it() -> None:
    page = make_report(document(track(1, "score 0.649 below 0.7")), Settings())
    assert "Not surely a face" in page
    assert "--score 0.6" in page
