"""One face through the shipped network, by what runs it: processor time a face, in one run.

    python benchmarks/runtime.py [--threads 2]

PyTorch eager, as a module is written, is the measure of the others. Loading counts too: a run on a
short clip pays for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, guided_fishsrnet
from facepipe.models.registry import find_model
from facepipe.models.runtime import OnnxRunner, OpenVinoRunner, TorchRunner
from facepipe.models.weights import load_weights

Run = Callable[[NDArray[np.float32]], object]
LOAD = (
    "import time; began = time.process_time()\n"
    "from facepipe.models.restorers import create_restorer\n"
    "create_restorer('fishsrnet', device='cpu', runtime='{}')\n"
    "print(time.process_time() - began)"
)


def eager(weights: Path, *, compiled: bool = False, precision: torch.dtype = torch.float32) -> Run:
    """The network as a plain module, in the default memory format, compiled or not."""
    network = guided_fishsrnet().eval()
    load_weights(network, weights)
    if compiled:
        network = network.to(memory_format=torch.channels_last)
        network = torch.compile(network, dynamic=False)

    def run(seen: NDArray[np.float32]) -> object:
        half = precision != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return network(torch.from_numpy(seen))

    return run


def main() -> None:
    """Time all runtimes, alternating, wall time on the threads asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    files = find_model("fishsrnet")
    torch.set_num_threads(chosen.threads)
    runners: dict[str, Run] = {
        "torch eager": eager(files.paths[0]),
        "torch": TorchRunner(files.paths[0], device="cpu", threads=chosen.threads),
        "torch.compile": eager(files.paths[0], compiled=True),
        "torch.compile, bfloat16": eager(files.paths[0], compiled=True, precision=torch.bfloat16),
        "onnxruntime": OnnxRunner(files.paths[1], threads=chosen.threads),
        "openvino": OpenVinoRunner(files.paths[1], threads=chosen.threads),
    }
    seen = np.random.default_rng(0).random((chosen.batch, INPUT_CHANNELS, 128, 128), np.float32)
    seen[:, 3:] *= 0.02
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(chosen.repeat + 1):
        for name, runner in runners.items():
            began = time.perf_counter()
            runner(seen)
            times[name].append((time.perf_counter() - began) / chosen.batch * 1000)
    base = min(times["torch eager"][1:])
    print(f"{chosen.threads} threads, batches of {chosen.batch}:")
    for name, taken in times.items():
        best = min(taken[1:])
        print(f"{name:24} {best:6.2f} ms a face, {best / base:5.2f} of torch eager")
    for name in ("onnxruntime", "openvino", "torch"):
        loading = subprocess.run(
            [sys.executable, "-c", LOAD.format(name)], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(f"{name} loads in {float(loading):.2f} s of processor time")


if __name__ == "__main__":
    main()
