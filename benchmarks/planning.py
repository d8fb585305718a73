"""How long a batch of very many tiny pictures takes to plan, and to plan again when all is done.

python benchmarks/planning.py --pictures 100000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from facepipe.batch.runner import open_ledger
from facepipe.batch.session import BatchSettings
from facepipe.configs.settings import Settings


def memory() -> float:
    """MB of this process at their most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    asked = parser.parse_args()
    content = cv2.imencode(".png", np.full((16, 16, 3), 99, np.uint8))[1].tobytes()
    with tempfile.TemporaryDirectory() as name:
        source, results = Path(name) / "in", Path(name) / "out"
        for number in range(asked.pictures):
            place = source / f"{number // 1000:04}" / f"{number:07}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        for what in ("planned", "planned again, all done"):
            before, began = memory(), time.perf_counter()
            with ExitStack() as stack:
                batch = BatchSettings(overwrite=True)
                ledger = open_ledger([str(source)], results, Settings(), batch, stack)
                seconds = time.perf_counter() - began
                waiting = ledger.count().get("waiting")
                print(
                    f"{what}: {seconds:.1f} s, {memory() - before:.1f} MB more, "
                    f"{waiting.items if waiting else 0} of {asked.pictures} wait"
                )
                for row in ledger.waiting("image"):
                    written = results / row.place
                    written.parent.mkdir(parents=True, exist_ok=True)
                    written.write_bytes(content)
                rows = (replace(row, state="passed", written=len(content)) for row in ledger.rows())
                ledger.record(rows)


if __name__ == "__main__":
    main()
