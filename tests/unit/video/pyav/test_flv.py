"""Flash videos one behind the other: where each begins."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from facepipe.video.pyav import flv
from media import recordings, synthetic

PLAIN = partial(synthetic.plain, frames=3)


def test_headers_within_a_file(tmp_path: Path) -> None:
    one = PLAIN(tmp_path / "a.flv").read_bytes()
    with recordings.joined(tmp_path / "b.flv", *[PLAIN] * 3).open("rb") as file:
        assert flv.inner_headers(file) == (len(one), 2 * len(one))
    assert flv.inner_headers(io.BytesIO(one)) == ()


def test_a_header_across_two_blocks() -> None:
    header = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
    for before in range(flv._BLOCK - len(header), flv._BLOCK + 1):
        data = header + bytes(before - len(header)) + header + bytes(50)
        assert flv.inner_headers(io.BytesIO(data)) == (before,)
