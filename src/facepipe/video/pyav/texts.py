"""How PyAV reads texts that are no UTF-8; goes when PyAV 18 is no longer allowed."""

from __future__ import annotations

from typing import Any

import av

#: Arguments of `av.open`: bytes that are no UTF-8 pass as surrogates. Since 19 they always do.
TEXTS: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if av.__version__.startswith("18.") else {}
)
