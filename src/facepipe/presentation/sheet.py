"""Contact sheet: faces before and after as one image, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facepipe.configs.notices import SHORT_NOTICE
from facepipe.errors import printable
from facepipe.presentation.crops import Rgb
from facepipe.presentation.refusals import explain
from facepipe.presentation.views import FaceView
from facepipe.presentation.words import WHY, title_of

#: Side of a face, px, and the width at which a row of cards ends.
SIDE, WIDTH = 176, 1500
_MARGIN, _GAP, _LINE, _CAPTION = 20, 4, 19, 2
_PAPER, _CARD, _INK, _FAINT, _REFUSED = "#f3f3f1", "#ffffff", "#1b1b1b", "#5a5a5a", "#9c2f1a"


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a sheet shows: a title, notes under it, and views with a label for each image.

    `labels` are those of the images of an enhanced face: "before", then each look.
    """

    title: str
    notes: tuple[str, ...]
    labels: tuple[str, ...]
    views: tuple[FaceView, ...]
    side: int = SIDE


def draw_sheet(sheet: Sheet) -> Rgb:
    """(H, W, 3) RGB of a sheet: a head, a card for each view in rows, and the notice."""
    width = _card_width(sheet)
    columns = max(1, min((WIDTH - _MARGIN) // (width + _MARGIN), max(len(sheet.views), 1)))
    total = max(columns * (width + _MARGIN) + _MARGIN, 640)
    head = [sheet.title, *(line for note in sheet.notes for line in _wrapped(note, total - 40, 13))]
    top = _MARGIN + len(head) * _LINE + _MARGIN // 2
    rows = -(-len(sheet.views) // columns)
    height = _card_height(sheet)
    image = Image.new("RGB", (total, top + rows * (height + _MARGIN) + _LINE + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(head):
        size, colour = (17, _INK) if number == 0 else (13, _FAINT)
        _write(draw, (_MARGIN, _MARGIN + number * _LINE), line, size, colour)
    for number, view in enumerate(sheet.views):
        row, column = divmod(number, columns)
        place = (_MARGIN + column * (width + _MARGIN), top + row * (height + _MARGIN))
        _draw_card(image, draw, place, sheet, view)
    _write(draw, (_MARGIN, image.height - _LINE - _MARGIN // 2), SHORT_NOTICE, 13, _FAINT)
    return np.asarray(image)


def _card_width(sheet: Sheet) -> int:
    count = max(len(sheet.labels), 2)
    return count * sheet.side + (count - 1) * _GAP + 2 * _GAP


def _card_height(sheet: Sheet) -> int:
    return sheet.side + 2 * _GAP + (_label_lines(sheet) + _CAPTION) * _LINE + _GAP


def _label_lines(sheet: Sheet) -> int:
    return max(len(list(_wrapped(label, sheet.side, 12))) for label in sheet.labels)


def _draw_card(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    sheet: Sheet,
    view: FaceView,
) -> None:
    x, y = place
    draw.rectangle((x, y, x + _card_width(sheet) - 1, y + _card_height(sheet) - 1), fill=_CARD)
    left, down = x + _GAP, y + _GAP
    for number, label in enumerate(sheet.labels[: 1 + len(view.after)]):
        for row, line in enumerate(_wrapped(label, sheet.side, 12)):
            place = (left + number * (sheet.side + _GAP) + 2, down + row * _LINE)
            _write(draw, place, line, 12, _FAINT)
    down += _label_lines(sheet) * _LINE
    for number, pixels in enumerate((view.before, *view.after)):
        image.paste(Image.fromarray(pixels), (left + number * (sheet.side + _GAP), down))
    caption = (left + 2, down + sheet.side + _GAP)
    _write(draw, caption, title_of(view.moment, view.seconds), 13, _INK)
    if view.moment.track.enhance:
        _write(draw, (caption[0], caption[1] + _LINE), _below(view), 12, _FAINT)
        return
    _write(draw, (caption[0], caption[1] + _LINE), WHY["refused"], 12, _REFUSED)
    _draw_reason(draw, (left + sheet.side + _GAP + 8, down), sheet.side - 12, view)


def _below(view: FaceView) -> str:
    invented = "" if view.invented is None else f"{view.invented:.0%} invented"
    return ", ".join(filter(None, (WHY[view.moment.why], invented)))


def _draw_reason(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, view: FaceView
) -> None:
    """Write why a face was refused where the enhanced one would be."""
    refusal = explain(view.moment.track.reason)
    texts = ((refusal.kind, 14, _REFUSED), (refusal.words, 12, _INK), (refusal.remedy, 12, _FAINT))
    x, y = place
    for text, size, colour in texts:
        for line in _wrapped(text, width, size):
            if y + _LINE <= place[1] + SIDE + _LINE:
                _write(draw, (x, y), line, size, colour)
                y += _LINE - 3
        y += 5


def _wrapped(text: str, width: int, size: int) -> Iterator[str]:
    """The lines of a text that are no wider than `width` px."""
    line = ""
    for word in _writable(text).split():
        longer = f"{line} {word}".strip()
        if line and _font(size).getlength(longer) > width:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: str
) -> None:
    draw.text(place, _writable(text), fill=colour, font=_font(size))


def _writable(text: str) -> str:
    """A text in letters that the font has: others, as of Chinese names, are escaped."""
    return printable(text).encode("latin-1", "backslashreplace").decode("latin-1")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, each letter by itself: as a ligature, `--` is one dash."""
    font = ImageFont.load_default(size)
    if isinstance(font, ImageFont.FreeTypeFont):
        font = font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    return font


def label_image(text: str, size: int) -> Rgb:
    """(H, W, 3) RGB: a text in white on black, to lie on a video."""
    text = _writable(text)
    left, top, right, bottom = _font(size).getbbox(text or " ")
    shape = (int(right - left) + size, int(bottom - top) + size)
    image = Image.new("RGB", shape, "black")
    place = (size / 2 - left, size / 2 - top)
    ImageDraw.Draw(image).text(place, text, fill="white", font=_font(size))
    return np.asarray(image)
