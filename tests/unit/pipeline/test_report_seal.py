"""The seal of a report: every changed byte is found, and what is signed is what it says."""

from __future__ import annotations

import json

from facepipe.pipeline.report_seal import BLANK, SEAL, content_sha256, is_intact, sealed

REPORT = {"output": {"name": "a", "sha256": "x"}, "zeros": BLANK, "number": 0.1, SEAL: BLANK}


def text(report: dict[str, object]) -> bytes:
    return sealed(json.dumps(report, indent=1) + "\n").encode()


def test_each_changed_byte_is_found() -> None:
    whole = text(REPORT)
    assert is_intact(whole)
    for at in range(len(whole)):
        broken = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert not is_intact(broken), at
    assert not is_intact(whole + b"\n")
    assert not is_intact(b" " + whole)


def test_without_a_seal_nothing_is_known() -> None:
    assert is_intact(b"{}") is None
    assert is_intact(b"") is None


def test_what_is_known_later_is_not_signed() -> None:
    said = content_sha256(REPORT)
    later = {**REPORT, "output": {"name": "a", "sha256": "y", "manifest": {}}, SEAL: "1" * 64}
    assert content_sha256(later) == said
    assert content_sha256(json.loads(text(REPORT))) == said
    assert content_sha256({**REPORT, "number": 0.2}) != said
    assert content_sha256({**REPORT, "output": {"name": "b"}}) != said
