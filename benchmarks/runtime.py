"""One face through the shipped network, by what runs it: processor time a face, in one run.

    python benchmarks/runtime.py

Loading counts too: a run on a short clip pays for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np

from facepipe.models.networks.fishsrnet import SEEN_CHANNELS
from facepipe.models.registry import find_model
from facepipe.models.runtime import OnnxRunner, OpenVinoRunner, Runner, TorchRunner

LOAD = (
    "import time; began = time.process_time()\n"
    "from facepipe.models.restorers import create_restorer\n"
    "create_restorer('fishsrnet', device='cpu', runtime='{}')\n"
    "print(time.process_time() - began)"
)


def main() -> None:
    """Time all runtimes, one thread each, alternating."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    files = find_model("fishsrnet")
    runners: dict[str, Runner] = {
        "onnxruntime": OnnxRunner(files.paths[1], threads=1),
        "openvino": OpenVinoRunner(files.paths[1], threads=1),
        "torch": TorchRunner(files.paths[0], device="cpu", threads=1),
    }
    faces = np.random.default_rng(0).random((chosen.batch, SEEN_CHANNELS, 128, 128), np.float32)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(chosen.repeat + 1):
        for name, runner in runners.items():
            began = time.process_time()
            runner(faces)
            times[name].append((time.process_time() - began) / chosen.batch * 1000)
    base = min(times["torch"][1:])
    for name, taken in times.items():
        best = min(taken[1:])
        loading = subprocess.run(
            [sys.executable, "-c", LOAD.format(name)], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(
            f"{name:12} {best:6.2f} ms a face, {best / base:5.2f} of torch; "
            f"loads in {float(loading):.2f} s of processor time"
        )


if __name__ == "__main__":
    main()
