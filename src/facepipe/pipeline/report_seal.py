"""The seal of a report: a digest of its own bytes, and one of what it says for a signature.

The seal shows a byte that was changed. It proves nothing against somebody who makes it anew: that
takes a signature, or a note of the digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

#: The last key of a report.
SEAL = "report_sha256"
#: What stands in its place while the digest is taken.
BLANK = "0" * 64
_SEALED = re.compile(rb'("' + SEAL.encode() + rb'": ")([0-9a-f]{64})("\s*\}\s*)\Z')


def sealed(text: str) -> str:
    """A report whose seal is BLANK, with its seal."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    head, _, tail = text.rpartition(BLANK)
    return f"{head}{digest}{tail}"


def is_intact(content: bytes) -> bool | None:
    """Whether a report's bytes are those that were sealed; None where it has no seal."""
    found = _SEALED.search(content)
    if found is None:
        return None
    blank = content[: found.start(2)] + BLANK.encode() + content[found.end(2) :]
    return hashlib.sha256(blank).hexdigest().encode() == found[2]


def content_sha256(report: Mapping[str, Any]) -> str:
    """The digest of what a report says, as a manifest names it, by the values of its JSON.

    Left out is what is known only when the output is signed: its own digest, its manifest and the
    seal.
    """
    said = {key: value for key, value in report.items() if key != SEAL}
    output = said.get("output")
    if isinstance(output, dict):
        later = ("sha256", "manifest")
        said["output"] = {key: value for key, value in output.items() if key not in later}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
