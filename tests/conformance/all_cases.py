"""All cases, in the order of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import codec_cases
import format_cases
from cases import Case

GROUPS: Mapping[str, Sequence[Case]] = {
    "Codecs and containers": codec_cases.CASES,
    "Pixels and colours": format_cases.CASES,
}
CASES: Sequence[Case] = [case for cases in GROUPS.values() for case in cases]
