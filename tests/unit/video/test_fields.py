"""Field marks: progressive frames stay such among interlaced ones, in one stream of libx264."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from facepipe.datatypes import Span
from facepipe.video import EncodeSettings, decode, encode, probe
from facepipe.video.fields import first_field
from media.sections import Section, sectioned
from media.video_checks import whole


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_every_frame_keeps_its_own(preset: str, order: str, tmp_path: Path) -> None:
    fielded = Section(interlaced=True, filters=[f"setfield={order}"])
    made = (Section(frames=7), fielded, Section(frames=5), fielded)
    info = probe(sectioned(tmp_path / "a.ts", *made))
    part = tmp_path / "part.nut"
    settings = EncodeSettings("libx264", (("crf", "20"), ("preset", preset)), "yuv420p")
    span = Span(0, info.pts[0], info.pts[-1] + 1)
    assert encode(decode(info, whole(info)), part, info=info, span=span, settings=settings) == 32
    with av.open(str(part)) as container:
        frames = list(container.decode(container.streams.video[0]))
    expected = [False] * 7 + [True] * 10 + [False] * 5 + [True] * 10
    assert [frame.interlaced_frame for frame in frames] == expected
    name = {"tff": "top", "bff": "bottom"}[order]
    assert {first_field(frame) for frame in frames if frame.interlaced_frame} == {name}


def test_both_orders_of_fields_in_one_span(tmp_path: Path) -> None:
    made = [
        Section(frames=15, interlaced=True, filters=[f"setfield={order}"])
        for order in ("bff", "tff")
    ]
    info = probe(sectioned(tmp_path / "a.ts", *made, Section()))
    assert info.fields == ("bottom", "top")
    part = tmp_path / "part.nut"
    span = Span(0, info.pts[0], info.pts[-1] + 1)
    settings = EncodeSettings("libx264", (("preset", "medium"),), "yuv420p")
    encode(decode(info, whole(info)), part, info=info, span=span, settings=settings)
    with av.open(str(part)) as container:
        frames = list(container.decode(container.streams.video[0]))
    order = [first_field(frame) if frame.interlaced_frame else "" for frame in frames]
    assert order == ["bottom"] * 15 + ["top"] * 15 + [""] * 10


def test_a_progressive_video_is_written_as_such(tmp_path: Path) -> None:
    info = probe(sectioned(tmp_path / "a.ts", Section()))
    part = tmp_path / "part.nut"
    settings = EncodeSettings("libx264", (("preset", "ultrafast"),), "yuv420p")
    span = Span(0, info.pts[0], info.pts[-1] + 1)
    encode(decode(info, whole(info)), part, info=info, span=span, settings=settings)
    with av.open(str(part)) as container:
        frames = list(container.decode(container.streams.video[0]))
    assert not any(frame.interlaced_frame for frame in frames)
