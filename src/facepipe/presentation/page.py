"""Pages: self-contained HTML from templates, images within, nothing fetched and no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from facepipe._version import __version__
from facepipe.configs.notices import NOTICE
from facepipe.errors import MediaError, printable
from facepipe.presentation.crops import Rgb
from facepipe.presentation.refusals import Refusal, explain
from facepipe.presentation.sheet import Sheet
from facepipe.presentation.views import FaceView
from facepipe.presentation.words import WHY, clock, tick

#: Bytes of all images of a page, before they are coded as text (a third more); and of one image.
_IMAGE_BYTES, _MOST_IMAGE_BYTES = 2_400_000, 12_000
#: Qualities of WebP that are tried in turn, and the least side of an image, px.
_QUALITIES = (82, 70, 55, 40, 25)
_LEAST_SIDE = 24


def _one_line(value: object) -> object:
    """A text without control characters, as names of files may hold any; what is HTML stays."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("facepipe.presentation"),
        autoescape=True,
        finalize=_one_line,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "tick": tick}
    environment.globals |= {"NOTICE": NOTICE, "version": __version__}
    return environment


def render_page(template: str, **values: object) -> str:
    """The page of a template: every value is escaped as text."""
    text = _environment().get_template(template).render(**values)
    # Names of files may hold bytes that are no text, which no page can hold.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class ShownView:
    """A view as a template takes it: images as addresses."""

    number: int
    seconds: float
    size: float
    uris: tuple[str, ...]
    side: int
    why: str
    invented: float | None
    refusal: Refusal | None


def shown_views(views: Sequence[FaceView], *, why: bool = False) -> list[ShownView]:
    """The views as templates take them; all their images together keep to a few megabytes.

    `why`: each says why it is shown.
    """
    count = sum(1 + len(view.after) for view in views)
    most = min(_IMAGE_BYTES // max(count, 1), _MOST_IMAGE_BYTES)
    return [
        ShownView(
            number=view.moment.track.number,
            seconds=view.seconds,
            size=view.moment.size,
            uris=tuple(data_uri(image, most) for image in (view.before, *view.after)),
            side=view.before.shape[0],
            why=WHY[view.moment.why] if why else "",
            invented=view.invented,
            refusal=None if view.moment.track.enhance else explain(view.moment.track.reason),
        )
        for view in views
    ]


def preview_page(sheet: Sheet) -> str:
    """The page of a sheet, as HTML."""
    return render_page(
        "preview.html",
        title=sheet.title,
        subtitle="",
        notes=sheet.notes,
        labels=sheet.labels,
        views=shown_views(sheet.views, why=True),
    )


def data_uri(image: Rgb, most_bytes: int) -> str:
    """An RGB image as WebP in an address, of at most `most_bytes` before its coding as text.

    First its quality is lowered, then its size.
    """
    while True:
        least = max(image.shape[:2]) <= _LEAST_SIDE
        for quality in _QUALITIES:
            coded = _webp(image, quality)
            if len(coded) <= most_bytes or (least and quality == _QUALITIES[-1]):
                return f"data:image/webp;base64,{base64.b64encode(coded).decode()}"
        height, width = (max(length // 2, _LEAST_SIDE) for length in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8)


def _webp(image: Rgb, quality: int) -> bytes:
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    done, coded = cv2.imencode(".webp", np.ascontiguousarray(image[..., ::-1]), options)
    if not done:
        raise MediaError("an image cannot be coded as WebP")
    return coded.tobytes()
