"""What eight bits would cost and save: the shipped network quantised, beside float32.

    python benchmarks/int8.py TRAIN.zip VAL.zip [--faces 100] [--threads 1]

Convolutions are quantised by onnxruntime, each output channel by itself, activations by what 96
training faces span but for one value in 100,000. To be shipped it may lose 0.1 dB at most.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from facepipe.datatypes import Float32
from facepipe.evaluation.faces import evenly_spaced
from facepipe.evaluation.protocols import given
from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, guided_fishsrnet
from facepipe.models.registry import find_model
from facepipe.models.weights import load_weights
from facepipe.training.face_archive import FaceArchive, canvas_of

BATCH = 8


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches of what the network sees."""

    def __init__(self, seen: Float32) -> None:
        self._batches: Iterator[Float32] = iter(np.split(seen, len(seen) // BATCH))

    def get_next(self) -> dict[str, Float32] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"seen": batch}


def faces(archive: Path, count: int) -> tuple[Float32, Float32]:
    """What is seen of faces of 16 px (N, 10, 128, 128), and the truth (N, 3, 128, 128)."""
    source = FaceArchive([archive])
    seen, truth = [], []
    for number in evenly_spaced(len(source), count):
        face = source.face(number)[0]
        canvas, beside = given(face, "bicubic8", number=number)
        seen.append(np.dstack([canvas.astype(np.float32) / 255, beside]))
        truth.append(canvas_of(face).astype(np.float32) / 255)
    to_planes = (0, 3, 1, 2)
    return np.stack(seen).transpose(to_planes).copy(), np.stack(truth).transpose(to_planes)


def measure(graph: Path, seen: Float32, truth: Float32, threads: int) -> tuple[float, float]:
    """Mean PSNR in dB, and seconds for all faces in batches."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    psnrs: list[float] = []
    session.run(["restored"], {"seen": seen[:BATCH]})
    began = time.perf_counter()
    made = [
        session.run(["restored"], {"seen": seen[k : k + BATCH]})[0]
        for k in range(0, len(seen), BATCH)
    ]
    seconds = time.perf_counter() - began
    for restored, true in zip(np.concatenate(made), truth, strict=True):
        error = float(np.square(np.clip(restored, 0, 1) - true).mean())
        psnrs.append(10 * np.log10(1 / error))
    return float(np.mean(psnrs)), seconds


def main() -> None:
    """Print one row each for float32 and int8."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--faces", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    network = guided_fishsrnet().eval()
    load_weights(network, find_model("fishsrnet").paths[0])
    seen, truth = faces(options.val, options.faces)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, small = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        torch.onnx.export(
            network,
            (torch.rand(2, INPUT_CHANNELS, 128, 128),),
            str(plain),
            input_names=["seen"],
            output_names=["restored", "parse"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=512)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(small),
            Calibration(faces(options.train, 96)[0]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            op_types_to_quantize=["Conv"],
        )
        whole, whole_time = measure(ready, seen, truth, options.threads)
        eighth, eighth_time = measure(small, seen, truth, options.threads)
    faster = whole_time / eighth_time
    print(f"float32 {whole:.2f} dB; int8 {eighth:.2f} dB, {faster:.2f} times as fast")


if __name__ == "__main__":
    main()
