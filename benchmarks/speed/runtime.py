"""Time of the default network for one face, by onnxruntime, OpenVINO and PyTorch, in one run.

    python benchmarks/speed/runtime.py [--threads 2]
    python benchmarks/speed/runtime.py --restorer fishsrnet --restorer own.safetensors

With --restorer, several networks are compared, by onnxruntime and OpenVINO. Times are medians,
relative to the first row. Loading is measured too, since a run on a short clip pays for it.
`--clock cpu` counts processor time, for a machine that others share.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, load_guided
from facepipe.models.registry import find_model
from facepipe.models.runtime import OnnxRunner, OpenVinoRunner, TorchRunner

Run = Callable[[NDArray[np.float32]], object]
LOAD = (
    "import time; began = time.process_time()\n"
    "from facepipe.models.restorers import create_restorer\n"
    "create_restorer('fishsrnet', device='cpu', runtime='{}')\n"
    "print(time.process_time() - began)"
)


def eager(weights: Path, *, compiled: bool = False, precision: torch.dtype = torch.float32) -> Run:
    """The network as a plain module, in the default memory format, compiled or not."""
    network: torch.nn.Module = load_guided(weights).eval()
    if compiled:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network = torch.compile(network, dynamic=False)  # type: ignore[assignment]

    def run(inputs: NDArray[np.float32]) -> object:
        half = precision != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return network(torch.from_numpy(inputs))

    return run


def runners_of(restorer: str, threads: int, *, every: bool) -> dict[str, Run]:
    """The network of a restorer by the runtimes that facepipe has; `every`: by PyTorch's too."""
    weights, graph = find_model(restorer).paths[:2]
    runners: dict[str, Run] = {
        "onnxruntime": OnnxRunner(graph, threads=threads),
        "openvino": OpenVinoRunner(graph, threads=threads),
    }
    if every:
        runners = {
            "torch eager": eager(weights),
            "torch": TorchRunner(weights, device="cpu", threads=threads),
            "torch.compile": eager(weights, compiled=True),
            "torch.compile, bfloat16": eager(weights, compiled=True, precision=torch.bfloat16),
            **runners,
        }
    return {f"{Path(restorer).stem}, {how}": run for how, run in runners.items()}


def measured(
    runners: dict[str, Run], inputs: NDArray[np.float32], repeat: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Milliseconds a face of each runner, in turn; the first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for round_ in range(repeat + 1):
        for name, runner in runners.items():
            began = clock()
            runner(inputs)
            if round_:
                times[name].append((clock() - began) / len(inputs) * 1000)
    return times


def main() -> None:
    """Time of all runtimes, or of several networks, in turn, on the given number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--restorer", action="append", help="may be repeated [fishsrnet]")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    chosen = parser.parse_args()
    restorers = chosen.restorer or ["fishsrnet"]
    torch.set_num_threads(chosen.threads)
    runners: dict[str, Run] = {}
    for restorer in restorers:
        runners |= runners_of(restorer, chosen.threads, every=not chosen.restorer)
    inputs = np.random.default_rng(0).random((chosen.batch, INPUT_CHANNELS, 128, 128), np.float32)
    inputs[:, 3:] *= 0.02
    clock = time.process_time if chosen.clock == "cpu" else time.perf_counter
    times = measured(runners, inputs, chosen.repeat, clock)
    first = next(iter(runners))
    base = statistics.median(times[first])
    print(f"{chosen.threads} threads, batches of {chosen.batch}, {chosen.clock} time:")
    for name, taken in times.items():
        middle, best = statistics.median(taken), min(taken)
        print(
            f"{name:36} {middle:6.2f} ms a face (least {best:.2f}), {middle / base:5.2f} of {first}"
        )
    for name in () if chosen.restorer else ("onnxruntime", "openvino", "torch"):
        loading = subprocess.run(
            [sys.executable, "-c", LOAD.format(name)], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(f"{name} loads in {float(loading):.2f} s of processor time")


if __name__ == "__main__":
    main()
