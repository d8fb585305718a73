"""Inference runtimes: OpenVINO or onnxruntime on the CPU, PyTorch on a GPU.

Each is loaded only when used.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
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
    """Runs a network on its input (N, C, H, W), and returns all that it gives, in order.

    The guided network takes `Crops.network_input` (N, 10, 128, 128) and gives the restored canvases
    (N, 3, 128, 128) in [0, 1] and their parses (N, 8, 32, 32).
    """

    description: str

    def __call__(self, input_NCHW: Float32, /) -> Sequence[Float32]: ...


class GraphRunner(Runner, Protocol):
    """Runs a graph; `input_shape` is that of its input, None where a length is free."""

    input_shape: tuple[int | None, ...]


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
    if how == "torch":
        return TorchRunner(files.paths[0], device=where, threads=threads)
    mark = " ".join(files.sha256)
    return graph_runner(
        files.paths[1], device=device, runtime=how, threads=threads, half=True, weights_mark=mark
    )


def graph_runner(
    graph: Path,
    *,
    device: Device,
    runtime: Runtime,
    threads: int,
    half: bool,
    weights_mark: str = "",
) -> GraphRunner:
    """Load an ONNX graph. `half`: in bfloat16 or half precision, where that is faster.

    `weights_mark` is as in `compile_once`.
    Raises ModelError when it does not load, UsageError for a runtime that takes no graphs.
    """
    _, runtime = choose_graph(device, runtime)
    if runtime == "openvino":
        return OpenVinoRunner(graph, threads=threads, half=half, weights_mark=weights_mark)
    return OnnxRunner(graph, threads=threads)


def choose_graph(device: Device, runtime: Runtime) -> tuple[Literal["cpu", "cuda"], Runtime]:
    """As `choose`, for a graph, which PyTorch does not run."""
    if runtime == "torch":
        raise UsageError("runtime torch takes no .onnx; allowed: auto, onnxruntime, openvino")
    if device == "cuda":
        raise UsageError("device cuda runs through PyTorch, which takes no .onnx; allowed: cpu")
    return choose("cpu", runtime)


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


#: Element types of a graph's input, as onnxruntime names them.
_ELEMENTS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRunner:
    """onnxruntime on the CPU. The weights of facepipe's graphs lie in the safetensors beside."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        import onnxruntime

        self._session = onnx_session(graph, threads=threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _ELEMENTS:
            described = ", ".join(f"{one.name} {one.type}" for one in inputs)
            raise ModelError(f"{graph}: takes {described}; it must take one tensor of float")
        self._name, self._element = inputs[0].name, _ELEMENTS[inputs[0].type]
        self._outputs = [one.name for one in self._session.get_outputs()]
        self.input_shape = tuple(
            length if isinstance(length, int) else None for length in inputs[0].shape
        )
        self.description = f"onnxruntime {onnxruntime.__version__} on the CPU"

    def __call__(self, input_NCHW: Float32, /) -> Sequence[Float32]:
        given = input_NCHW.astype(self._element, copy=False)
        try:
            results = self._session.run(self._outputs, {self._name: given})
        except Exception as error:  # as above
            raise ModelError(f"onnxruntime cannot run this graph ({_first_line(error)})") from error
        return [np.asarray(result, np.float32) for result in results]


class OpenVinoRunner:
    """OpenVINO on the CPU, from the same graph.

    With `half`, in bfloat16 where the processor multiplies in it: two to three times as fast there,
    and with facepipe's networks off by a tenth of a code value in the mean, by two at most.
    Elsewhere in float32.
    """

    def __init__(
        self, graph: Path, *, threads: int, half: bool = True, weights_mark: str = ""
    ) -> None:
        """`weights_mark` is as in `compile_once`."""
        # OpenVINO reports every import to its makers, unless its telemetry cannot be imported.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        core = openvino.Core()
        # Pinned, the workers of one machine would all sit on its first core.
        options: dict[str, object] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        if not half:
            options["INFERENCE_PRECISION_HINT"] = "f32"
        try:
            compiled = compile_once(core, graph, options, weights_mark)
        except RuntimeError as error:
            raise ModelError(f"{graph}: OpenVINO cannot load this graph ({error})") from error
        if len(compiled.inputs) != 1:
            raise ModelError(f"{graph}: takes {len(compiled.inputs)} inputs; it must take one")
        self.input_shape = tuple(
            length.get_length() if length.is_static else None
            for length in compiled.inputs[0].partial_shape
        )
        self._element = compiled.inputs[0].element_type.to_dtype()
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)
        version = openvino.__version__.split("-")[0]
        self.description = f"OpenVINO {version} on the CPU"

    def __call__(self, input_NCHW: Float32, /) -> Sequence[Float32]:
        given = input_NCHW.astype(self._element, copy=False)
        try:
            outputs = self._request.infer({0: given}, share_inputs=True)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot run this graph ({_first_line(error)})") from error
        return [np.asarray(outputs[k], np.float32) for k in range(self._count)]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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

    def __call__(self, input_NCHW: Float32, /) -> Sequence[Float32]:
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
