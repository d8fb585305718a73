"""Time and speed of candidate blocks of a network: in training, and in use.

    python benchmarks/speed/blocks.py [--threads 1] [--clock wall] [--only 'conv3|msab']

Each block is measured at a width and a resolution that the networks have: forward and backward by
PyTorch, in bfloat16 and float32, channels-last; and in use by OpenVINO (in the precision that it
chooses) and by onnxruntime in float32. GFLOP/s count two operations a multiply-accumulate, and
three passes in training. All blocks take turns, so that what else runs on the machine hits all.
`--clock cpu` counts processor time instead, for a machine that others share (with one thread).
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facepipe.models.networks.complexity import gigamacs
from facepipe.models.networks.layers import (
    AttentionUnit,
    MultiScaleConv,
    PlainBlock,
    conv,
    merge_kernels,
)
from facepipe.models.networks.msab import MSAB
from facepipe.models.runtime import onnx_session

Clock = Callable[[], float]


class Span(nn.Module):
    """SPAN's block: three convolutions, and attention without parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(channels, channels) for _ in range(3))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        first, second, last = self.convs
        f: Tensor = last(nn.functional.silu(second(nn.functional.silu(first(x_BCHW)))))
        return (x_BCHW + f) * (torch.sigmoid(f) - 0.5)


class DepthwiseMix(nn.Module):
    """A 7x7 kernel a channel, then 1x1 to twice the channels and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.widen = conv(channels, 2 * channels, 1)
        self.narrow = conv(2 * channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change: Tensor = self.narrow(torch.relu(self.widen(self.spread(x_BCHW))))
        return x_BCHW + change


#: Blocks by name, and the levels (width, resolution) at which each is measured.
LEVELS = ((24, 64), (32, 64), (64, 32), (96, 32), (128, 16), (192, 16), (256, 8))
BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "conv3": lambda c: conv(c, c),
    "conv3, 4 groups": lambda c: nn.Conv2d(c, c, 3, padding=1, groups=4),
    "residual": PlainBlock,
    "merged 1+3+5": lambda c: MultiScaleConv(c, (1, 3, 5)),
    "merged 1+3+5+7, 4 groups": lambda c: MultiScaleConv(c, (1, 3, 5, 7), groups=4),
    "depthwise mix": DepthwiseMix,
    "span": Span,
    "msab": MSAB,
    "attention, 1+3": lambda c: AttentionUnit(c, (1, 3)),
    "attention, 1+3+5+7, 4 groups": lambda c: AttentionUnit(c, (1, 3, 5, 7), groups=4),
}
WAYS = ("train bf16", "train fp32", "openvino", "onnxruntime")
_PASSES = {"train bf16": 3, "train fp32": 3, "openvino": 1, "onnxruntime": 1}


@dataclass(frozen=True, eq=False)
class Entrant:
    """A block at one level: its work in 10^9 multiply-accumulates, and a run of it each way."""

    name: str
    gmacs: float
    runs: dict[str, Callable[[], object]]


def training(block: nn.Module, inputs: Tensor, *, half: bool) -> Callable[[], object]:
    """Forward and backward of a batch."""
    seen = inputs.clone(memory_format=torch.channels_last).requires_grad_()

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            made = block(seen)
        made.backward(torch.ones_like(made))
        return None

    return run


def in_use(block: nn.Module, inputs: Tensor, folder: Path, threads: int) -> dict[str, object]:
    """The exported block in both runtimes."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    graph = folder / "block.onnx"
    torch.onnx.export(
        block.eval(),
        (inputs[:2],),
        str(graph),
        input_names=["x"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    session = onnx_session(graph, threads=threads)
    core = openvino.Core()
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()
    pixels = inputs.numpy().copy()
    return {
        "openvino": lambda: request.infer({"x": pixels}, share_inputs=True),
        "onnxruntime": lambda: session.run(None, {"x": pixels}),
    }


def entrant(name: str, level: tuple[int, int], chosen: argparse.Namespace, folder: Path) -> Entrant:
    """The block called `name` at that level, ready to run in every way."""
    width, side = level
    block = nn.Sequential(BLOCKS[name](width))
    inputs = torch.rand(chosen.batch, width, side, side)
    work = gigamacs(block, inputs[:1])
    merged = nn.Sequential(BLOCKS[name](width))
    merge_kernels(merged)
    block.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    runs = {
        "train bf16": training(block, inputs, half=True),
        "train fp32": training(block, inputs, half=False),
        **in_use(merged, inputs, folder, chosen.threads),
    }
    return Entrant(f"{name} {width}@{side}", work, runs)  # type: ignore[arg-type]


def measured(entrants: list[Entrant], repeat: int, clock: Clock) -> dict[tuple[str, str], float]:
    """Median seconds of one batch, by block and way; the first round warms up."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat + 1):
        for one in entrants:
            for way in WAYS:
                began = clock()
                one.runs[way]()
                seconds.setdefault((one.name, way), []).append(clock() - began)
    return {key: statistics.median(taken[1:]) for key, taken in seconds.items()}


def main() -> None:
    """Print a row for each block and level: ms and GFLOP/s, each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--only", default="", help="regular expression of names, as in 'conv3 24@'")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    clock = time.process_time if chosen.clock == "cpu" else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        entrants = [
            entrant(name, level, chosen, Path(folder))
            for level in LEVELS
            for name in BLOCKS
            if re.search(chosen.only, f"{name} {level[0]}@{level[1]}")
        ]
        seconds = measured(entrants, chosen.repeat, clock)
    setup = f"{chosen.threads} threads, batches of {chosen.batch}, {chosen.clock} time"
    print(f"{setup}: ms a face (GFLOP/s)")
    print(f"{'':36} MMACs " + " ".join(f"{way:>15}" for way in WAYS))
    for one in entrants:
        cells = []
        for way in WAYS:
            taken = seconds[one.name, way] / chosen.batch
            speed = 2 * one.gmacs * _PASSES[way] / taken
            cells.append(f"{taken * 1000:8.2f} ({speed:4.0f})")
        print(f"{one.name:36} {one.gmacs * 1000:5.0f} " + " ".join(f"{c:>15}" for c in cells))
    assert np.isfinite(list(seconds.values())).all()


if __name__ == "__main__":
    main()
