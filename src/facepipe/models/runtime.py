"""Inference runtimes: OpenVINO or onnxruntime on the CPU, PyTorch on a GPU.

Each is loaded only when used.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from facepipe.datatypes import Float32
from facepipe.errors import ModelError, UsageError
from facepipe.models.compiled_cache import compile_once

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # pyright: ignore[reportMissingTypeStubs]

    from facepipe.models.registry import ModelFiles

Device = Literal["auto", "cpu", "cuda"]
Runtime = Literal["auto", "onnxruntime", "openvino", "torch"]


class Runner(Protocol):
    """Runs the guided network on `Crops.network_input` (N, 10, 128, 128).

    Returns the restored canvases (N, 3, 128, 128) in [0, 1] and their parses (N, 8, 32, 32).
    """

    description: str

    def __call__(self, input_NCHW: Float32) -> tuple[Float32, Float32]: ...


def choose(device: Device, runtime: Runtime) -> tuple[Literal["cpu", "cuda"], Runtime]:
    """Resolve `auto` on this machine, and check that what was asked for is there.

    CUDA wherever PyTorch sees it, else the CPU; there OpenVINO where it is installed, which is the
    fastest (benchmarks/speed/runtime.py), else onnxruntime, which is as fast as PyTorch for these
    networks and starts two seconds sooner. Raises UsageError where the asked one is missing.
    """
    cuda = (
        device != "cpu"
        and runtime in ("auto", "torch")
        and cuda_available(required=device == "cuda")
    )
    if device == "cuda" and not cuda:
        raise UsageError(f"device cuda runs through PyTorch; runtime {runtime} was asked for")
    if runtime == "auto":
        on_cpu: Runtime = "openvino" if find_spec("openvino") else "onnxruntime"
        runtime = "torch" if cuda else on_cpu
    _check_installed(runtime)
    return ("cuda" if cuda else "cpu"), runtime


def _check_installed(runtime: Runtime) -> None:
    """Raise UsageError where a package that the runtime needs is missing."""
    if runtime == "torch" and not (find_spec("torch") and find_spec("safetensors")):
        raise UsageError("runtime torch needs PyTorch: install facepipe[torch]")
    if runtime == "openvino" and not find_spec("openvino"):
        raise UsageError("runtime openvino needs the package openvino, which is not installed")


def cuda_available(*, required: bool) -> bool:
    """Whether PyTorch sees a CUDA device; UsageError where it is `required` and not there."""
    # Importing PyTorch takes seconds; without a driver there is nothing to ask it.
    driver = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
    if not (driver or shutil.which("nvidia-smi")) or find_spec("torch") is None:
        if required:
            raise UsageError(
                "device cuda was asked for, but there is no NVIDIA driver or no PyTorch here; "
                "allowed: auto, cpu"
            )
        return False
    import torch

    if torch.cuda.is_available():
        return True
    if required:
        raise UsageError(
            "device cuda was asked for, but this PyTorch sees no CUDA device; allowed: auto, cpu"
        )
    return False


def create_runner(files: ModelFiles, *, device: Device, runtime: Runtime, threads: int) -> Runner:
    """Load the guided network of `files`. Raises ModelError when it does not load."""
    where, how = choose(device, runtime)
    if how == "onnxruntime":
        return OnnxRunner(files.paths[1], threads=threads)
    if how == "openvino":
        mark = " ".join(files.sha256)
        return OpenVinoRunner(files.paths[1], threads=threads, weights_mark=mark)
    return TorchRunner(files.paths[0], device=where, threads=threads)


def onnx_session(graph: Path, *, threads: int) -> InferenceSession:
    """A session of onnxruntime on the CPU, for batches of any size. Raises ModelError."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Memory patterns and arenas grow with every new batch size; batches here vary.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of many makes
        raise ModelError(f"{graph}: onnxruntime cannot load this graph ({error})") from error


class OnnxRunner:
    """onnxruntime on the CPU. The graph's weights lie in the safetensors file next to it."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        import onnxruntime

        self._session = onnx_session(graph, threads=threads)
        self.description = f"onnxruntime {onnxruntime.__version__} on the CPU"

    def __call__(self, input_NCHW: Float32) -> tuple[Float32, Float32]:
        restored, parse = self._session.run(["restored", "parse"], {"seen": input_NCHW})
        return np.asarray(restored), np.asarray(parse)


class OpenVinoRunner:
    """OpenVINO on the CPU, from the same graph.

    In bfloat16 where the processor multiplies in it: two to three times as fast there, and off by a
    tenth of a code value in the mean, by two at most. Elsewhere in float32.
    """

    def __init__(self, graph: Path, *, threads: int, weights_mark: str = "") -> None:
        """`weights_mark` is as in `compile_once`."""
        # OpenVINO reports every import to its makers, unless its telemetry cannot be imported.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        core = openvino.Core()
        # Pinned, the workers of one machine would all sit on its first core.
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = compile_once(core, graph, options, weights_mark)
        except RuntimeError as error:
            raise ModelError(f"{graph}: OpenVINO cannot load this graph ({error})") from error
        self._request = compiled.create_infer_request()
        version = openvino.__version__.split("-")[0]
        self.description = f"OpenVINO {version} on the CPU"

    def __call__(self, input_NCHW: Float32) -> tuple[Float32, Float32]:
        outputs = self._request.infer({"seen": input_NCHW}, share_inputs=True)
        return outputs["restored"], outputs["parse"]


class TorchRunner:
    """PyTorch on the CPU or on CUDA, channels-last.

    On CUDA in half precision. Where that overflows to NaN or infinity, the batch is run again in
    float32, and `fallbacks` counts it. `half` None means half precision on CUDA alone.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: Literal["cpu", "cuda"],
        threads: int,
        half: bool | None = None,
    ) -> None:
        import torch

        from facepipe.models.networks.fishsrnet import load_guided

        torch.set_num_threads(threads)
        network = load_guided(weights)
        self._torch = torch
        self._device = torch.device(device)
        network = network.eval().to(self._device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._half = device == "cuda" if half is None else half
        self.fallbacks = 0
        name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
        self.description = f"PyTorch {torch.__version__} on {name}"

    def __call__(self, input_NCHW: Float32) -> tuple[Float32, Float32]:
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(input_NCHW).to(self._device)
            with torch.autocast(self._device.type, torch.float16, enabled=self._half):
                restored, parse = self._network(batch)
            if self._half and not (restored.isfinite().all() and parse.isfinite().all()):
                self.fallbacks += 1
                restored, parse = self._network(batch)
            return (
                restored.contiguous().float().cpu().numpy(),
                parse.contiguous().float().cpu().numpy(),
            )
