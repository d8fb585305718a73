"""Run one harness under atheris, from its seeds: python tests/fuzz NAME [options of libFuzzer].

python tests/fuzz analysis -max_total_time=300
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).resolve().parents[1])

NAMES = ("settings", "analysis", "manifest", "archive", "video", "image", "checkpoint", "bitstream")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"name one of {', '.join(NAMES)}")
    name, options = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["facepipe", "tomllib", "zipfile", "tarfile"]):
        harness = import_module(f"fuzz.fuzz_{name}")
    with tempfile.TemporaryDirectory() as corpus:
        for seed, data in harness.seeds().items():
            (Path(corpus) / seed).write_bytes(data)
        arguments = [sys.argv[0], corpus, "-timeout=20", "-rss_limit_mb=4096", *options]
        # A harness may have a mutator of its own.
        own = {"custom_mutator": harness.mutate} if hasattr(harness, "mutate") else {}
        atheris.Setup(arguments, harness.fuzz_one, **own)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
