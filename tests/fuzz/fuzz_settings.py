"""Corrupt settings: a TOML file, a line of dashes, then one assignment a line."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from facepipe.configs.settings import load_settings
from facepipe.configs.training import load_recipe
from facepipe.errors import FacepipeError

_BREAK = b"\n---\n"


def seeds() -> dict[str, bytes]:
    """Files and assignments as users write them."""
    return {
        "sections": b'[detect]\nscore = 0.5\nevery = 3\n[output]\ncodec = "libx265"\ncrf = 20\n',
        "choose": b'[choose]\ntracks = [1, 2]\nregion = "0,0,10,10"\nlargest = 3\n',
        "limits": b"[limits]\nframe_megapixels = 40\nhours = 2.5\nfaces = 10\ntracks = 99\n",
        "options": b'[output.options]\nqp = 0\ntune = "grain"\n---\noutput.scale=2',
        "assigned": _BREAK
        + b"detect.score=0.5\noutput.options.x=[1, {a=2}]\nchoose.region=1,2,3,4",
        "recipe": b'network = "srcnn"\nfaces = ["a.zip"]\nout = "runs/a"\nsteps = 10\n',
    }


def fuzz_one(data: bytes) -> None:
    """Load them; only FacepipeError may be raised."""
    content, _, rest = data.partition(_BREAK)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.toml"
        path.write_bytes(content)
        with contextlib.suppress(FacepipeError):
            load_settings(config=path, assignments=rest.decode(errors="replace").split("\n"))
        with contextlib.suppress(FacepipeError):
            load_recipe(path)
