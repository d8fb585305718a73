"""Manifests of a batch, and the names within archives."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path, PurePosixPath

from facepipe.batch.archives import Limits
from facepipe.batch.archives.names import safe_name
from facepipe.batch.sources import Item, find_items
from facepipe.errors import FacepipeError


def seeds() -> dict[str, bytes]:
    """Manifests as people write them."""
    return {
        "paths": b"# films\nin.mp4\nsub/b.jpg\n\n/absolute.mp4\n",
        "objects": b'{"source": "in.mp4", "output": "b/a.mp4"}\n{"source": "in.mp4"}\n',
        "names": "é.mp4\na b.mp4\n..\n../in.mp4\n".encode(),
        "bad": b'{"source": 1}\n{"source": "a", "out": "b"}\n{"source": "in.mp4", "output": ".."}',
    }


def try_one(data: bytes) -> None:
    """List what they name; no result may lie outside of the output folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.mp4").write_bytes(b"film")
        manifest = Path(folder) / "list.jsonl"
        manifest.write_bytes(data)
        with contextlib.suppress(FacepipeError):
            for item in find_items([str(manifest)], Limits(), exclude=Path(folder) / "out"):
                item.source.encode()  # as the ledger will
                if isinstance(item, Item):
                    item.place.encode()
                    assert inside(item.place), item.place
    for line in data.decode(errors="surrogateescape").split("\n")[:20]:
        safe, fault = safe_name(line, 500)
        assert bool(safe) != bool(fault)
        assert fault or inside(safe), safe


def inside(place: str) -> bool:
    """Whether a place lies within the folder that it is relative to."""
    path = PurePosixPath(place)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in place and bool(place)
