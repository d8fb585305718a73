"""The outermost boxes of mp4: whether there are fragments, and whether there is an index."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from facepipe.video.pyav.isobmff import is_fragmented, lacks_index
from media import recordings, synthetic


def test_fragments_are_seen(tmp_path: Path) -> None:
    plain = partial(synthetic.plain, frames=3)
    for made, expected in (
        (plain(tmp_path / "a.mp4"), False),
        (recordings.fragmented(tmp_path / "b.mp4", make=plain), True),
    ):
        data = made.read_bytes()
        assert is_fragmented(io.BytesIO(data), len(data)) is expected
        assert not lacks_index(made)


def test_a_cut_file_lacks_its_index(tmp_path: Path) -> None:
    made = synthetic.plain(tmp_path / "a.mp4", frames=3)
    made.write_bytes(made.read_bytes()[:200])
    assert lacks_index(made)
