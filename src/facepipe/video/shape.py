"""The shape that a video is written in, where its frames have several: size, format and tags."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import groupby

from facepipe.datatypes import Form, VideoInfo
from facepipe.video.pixel_formats import common_format

#: A size of frames counts if it is shown for such a share of the video.
_LEAST_SHARE = Fraction(1, 20)
#: Share by which the shapes of two frames may differ and still be the same.
_SAME_SHAPE = Fraction(1, 50)
#: Changes that a sentence lists, at most.
_MOST_LISTED = 6
Size = tuple[int, int]


def shaped(info: VideoInfo, size: str) -> VideoInfo:
    """The video as it is to be written: all frames of one size, in a format that holds all.

    `size` is "largest", "usual" (the one shown longest), "source" (the first frame's) or
    "WIDTHxHEIGHT". Sizes that are shown for a blink do not count. `video.conform` brings frames of
    other forms to it; the warnings say what becomes of them. Groups of pictures that would have to
    be changed, or that have another header than the first one, are no longer there to be copied.
    """
    forms = info.forms or (_only_form(info),)
    shown = _shown(info)
    width, height = _size(shown, _header_size(info, forms[0]), size)
    if len(forms) == 1 and (width, height) == (info.width, info.height):
        return info
    of_size = {form: ticks for form, ticks in shown.items() if _size_of(form) == (width, height)}
    candidates = of_size or shown
    main = max(candidates, key=lambda form: candidates[form])
    made = replace(
        info,
        forms=forms,
        width=width,
        height=height,
        pix_fmt=common_format([main.pix_fmt, *(form.pix_fmt for form in shown)]),
        tags=main.tags,
        sample_aspect_ratio=main.sample_aspect_ratio,
    )
    return replace(
        made,
        closed_gops=tuple(gop for gop in info.closed_gops if _can_be_copied(made, gop)),
        warnings=(*info.warnings, *_descriptions(made)),
    )


def form_at(info: VideoInfo, pts: int) -> Form:
    """The form that the frame at `pts` has in the source."""
    if not info.forms:
        return _only_form(info)
    at = bisect_right(info.forms, pts, key=lambda form: form.first) - 1
    return info.forms[max(at, 0)]


def aspect_at(info: VideoInfo, pts: int) -> Fraction | None:
    """The shape of pixels with which the frame at `pts` is written."""
    form = form_at(info, pts)
    own = info.own_tags and _size_of(form) == (info.width, info.height)
    return form.sample_aspect_ratio if own else info.sample_aspect_ratio


def joints(info: VideoInfo) -> tuple[int, ...]:
    """pts of keyframes from which on frames have another form: encoders are opened anew there."""
    return tuple(form.first for form in info.forms[1:])


def fitted_size(info: VideoInfo, width: int, height: int, aspect: Fraction | None) -> Size:
    """The largest size within the video's that keeps the shape of a frame whose pixels have one.

    It is the whole where the shapes differ by no more than a fiftieth: bars so thin look like a
    fault. Multiples of 4 px, so that chroma samples stay at their places.
    """
    own = Fraction(width, height) * (aspect or 1)
    whole = Fraction(info.width, info.height) * (info.sample_aspect_ratio or 1)
    if abs(own / whole - 1) <= _SAME_SHAPE:
        return info.width, info.height
    if own > whole:
        return info.width, max(round(info.height * whole / own / 4) * 4, 1)
    return max(round(info.width * own / whole / 4) * 4, 1), info.height


def _only_form(info: VideoInfo) -> Form:
    first = info.pts[0] if info.pts else 0
    aspect = info.sample_aspect_ratio
    return Form(first, info.width, info.height, info.pix_fmt, info.tags, aspect)


def _size_of(form: Form) -> Size:
    return form.width, form.height


def _shown(info: VideoInfo) -> dict[Form, int]:
    """The ticks for which each form is shown in all, by the form without its time.

    Sizes of a blink are left out.
    """
    if not info.forms:
        return {_only_form(info): 1}
    total: Counter[Form] = Counter()
    sizes: Counter[Size] = Counter()
    ends = [*joints(info), max(info.end or 0, info.pts[-1] + 1)]
    for form, end in zip(info.forms, ends, strict=True):
        ticks = max(end - form.first, 1)
        total[replace(form, first=0)] += ticks
        sizes[_size_of(form)] += ticks
    least = sum(total.values()) * _LEAST_SHARE
    return {form: ticks for form, ticks in total.items() if sizes[_size_of(form)] >= least}


def _header_size(info: VideoInfo, first: Form) -> Size:
    """The size that the header says, unless it is of another shape than the first frame."""
    if info.header_size is None:
        return _size_of(first)
    width, height = info.header_size
    shapes = Fraction(width, max(height, 1)), Fraction(first.width, first.height)
    return info.header_size if abs(shapes[0] / shapes[1] - 1) <= _SAME_SHAPE else _size_of(first)


def _size(shown: dict[Form, int], header: Size, wanted: str) -> Size:
    if wanted == "source":
        return header
    if wanted not in ("largest", "usual"):
        width, _, height = wanted.partition("x")
        return int(width), int(height)
    sizes: Counter[Size] = Counter()
    for form, ticks in shown.items():
        sizes[_size_of(form)] += ticks
    if wanted == "usual":
        return max(sizes, key=lambda size: (sizes[size], size[0] * size[1]))
    return max([*sizes, header], key=lambda size: (size[0] * size[1], sizes[size]))


def _can_be_copied(info: VideoInfo, gop: tuple[int, int]) -> bool:
    """Whether a group's packets can stand between rendered ones: as the first, and as written."""
    first, form, last = info.forms[0], form_at(info, gop[0]), form_at(info, gop[1] - 1)
    fits = (*_size_of(form), form.pix_fmt) == (info.width, info.height, info.pix_fmt)
    return fits and form == last and replace(form, first=first.first) == first


def _descriptions(info: VideoInfo) -> Iterator[str]:
    """A sentence for each property that changes within the video."""
    size = f"{info.width}x{info.height}"
    sizes = _changes(info, lambda form: f"{form.width}x{form.height}")
    if sizes != [size]:
        how = ", with bars where the shape is another" if _has_bars(info) else ""
        yield f"frames are {_listed(sizes)}; all are written as {size} (--size){how}"
        if info.fields:
            yield "interlaced frames that are scaled have their fields mixed"
    formats = _changes(info, lambda form: form.pix_fmt.replace("yuvj", "yuv"))
    if len(formats) > 1:
        yield f"frames are {_listed(formats)}; all are written as {info.pix_fmt}"
    aspects = _changes(info, lambda form: _ratio(form.sample_aspect_ratio))
    if len(aspects) > 1:
        yield f"pixels have the shape {_listed(aspects)}"
    colours = _changes(info, lambda form: "/".join(map(str, form.tags)))
    if len(colours) > 1:
        yield f"colours are tagged {_listed(colours)} (range/matrix/primaries/transfer of H.273)"
    light = _changes(info, lambda form: "with light levels" if form.light else "without")
    if len(light) > 1:
        yield f"frames are {_listed(light)}"


def _has_bars(info: VideoInfo) -> bool:
    """Whether frames of another form are scaled to less than the video's size."""
    size = info.width, info.height
    others = (form for form in info.forms if _size_of(form) != size)
    return any(fitted_size(info, *_size_of(f), f.sample_aspect_ratio) != size for f in others)


def _changes(info: VideoInfo, text: Callable[[Form], str]) -> list[str]:
    """A property of the forms by time: "16:15", then "64:45 from 2.00 s on"."""
    runs = [(value, next(forms).first) for value, forms in groupby(info.forms, text)]
    later = (f"{value} from {float(first * info.time_base):.2f} s on" for value, first in runs[1:])
    return [runs[0][0], *later]


def _listed(changes: list[str]) -> str:
    shown = changes[:_MOST_LISTED]
    more = len(changes) - len(shown)
    return ", ".join([*shown, f"and {more} more changes"] if more else shown)


def _ratio(aspect: Fraction | None) -> str:
    return f"{(aspect or Fraction(1)).numerator}:{(aspect or Fraction(1)).denominator}"
