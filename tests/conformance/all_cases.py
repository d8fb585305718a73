"""All cases, in the order of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance import (
    carried_cases,
    change_cases,
    clock_cases,
    codec_cases,
    copy_cases,
    encoding_cases,
    face_cases,
    field_cases,
    format_cases,
    header_cases,
    layout_cases,
    order_cases,
    recorder_cases,
    stream_cases,
    time_cases,
)
from conformance.cases import Case

GROUPS: Mapping[str, Sequence[Case]] = {
    "Codecs and containers": codec_cases.CASES,
    "Pixels and colours": format_cases.CASES,
    "Times and fields": time_cases.TIMES,
    "Clocks": clock_cases.CASES,
    "Shapes": time_cases.SHAPES,
    "Changes on the way": change_cases.CASES,
    "Sounds": stream_cases.SOUNDS,
    "Captions": stream_cases.CAPTIONS,
    "Everything else": stream_cases.REST,
    "Carried along": carried_cases.CASES,
    "Faces": face_cases.CASES,
    "Copied": copy_cases.CASES,
    "Encoded for others": encoding_cases.CASES,
    "Headers that change": header_cases.CASES,
    "Packets that are no pictures": field_cases.CASES,
    "Order": order_cases.CASES,
    "Recorders": recorder_cases.CASES,
    "In other programs' hands": layout_cases.CASES,
}
CASES: Sequence[Case] = [case for cases in GROUPS.values() for case in cases]
