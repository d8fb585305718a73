"""All cases, in the order of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import codec_cases
import copy_cases
import face_cases
import format_cases
import stream_cases
import time_cases
from cases import Case

GROUPS: Mapping[str, Sequence[Case]] = {
    "Codecs and containers": codec_cases.CASES,
    "Pixels and colours": format_cases.CASES,
    "Times and fields": time_cases.TIMES,
    "Shapes": time_cases.SHAPES,
    "Sounds": stream_cases.SOUNDS,
    "Captions": stream_cases.CAPTIONS,
    "Everything else": stream_cases.REST,
    "Faces": face_cases.CASES,
    "Copied": copy_cases.CASES,
}
CASES: Sequence[Case] = [case for cases in GROUPS.values() for case in cases]
