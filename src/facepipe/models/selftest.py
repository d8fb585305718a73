"""Self-test of the inference runtimes, by using them: for `facepipe doctor`.

`python -m facepipe.models.selftest` reports one fact a line, so that a library that crashes takes
no other process with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np

from facepipe._system.subprocess import report_line, reported_lines
from facepipe.errors import FacepipeError, ModelError
from facepipe.models.registry import PARSER, RESTORERS, find_model, verified

#: Seconds without a report after which a test is taken to hang: PyTorch loads slowly.
_PATIENCE = 60.0
#: What is tested, in this order, and the code with which `facepipe run` would end without it.
_PARTS = {
    "onnxruntime": 0,
    "OpenVINO": 0,
    "PyTorch": 0,
    "detector": ModelError.exit_code,
    "restorer": ModelError.exit_code,
}


@dataclass(frozen=True)
class Fact:
    """The result of one test; `code` is not 0 where it failed and a run needs it."""

    name: str
    works: bool
    detail: str
    code: int = 0


def facts() -> Iterator[Fact]:
    """Test each runtime in a child process; after one that crashes, the rest is not tried."""
    left = list(_PARTS)
    for line in reported_lines("facepipe.models.selftest", (), patience=_PATIENCE):
        fact = Fact(**json.loads(line))
        left.remove(fact.name)
        yield fact
    for number, name in enumerate(left):
        detail = "not tried" if number else "it crashed or hung"
        yield Fact(name, False, detail, _PARTS[name])


def weights() -> Iterator[Fact]:
    """Verify the weights that ship by their sha256."""
    for spec in (*RESTORERS, PARSER):
        if not spec.files:
            continue
        try:
            verified(spec)
        except FacepipeError as error:
            needed = error.exit_code if spec in (RESTORERS[0], PARSER) else 0
            yield Fact(spec.name, False, str(error), needed)
        else:
            yield Fact(spec.name, True, "sha256 as expected")


def _main() -> None:
    for name, code in _PARTS.items():
        try:
            fact = _TRIES[name]()
        except FacepipeError as error:
            fact = Fact(name, False, str(error), error.exit_code if code else 0)
        except Exception as error:  # libraries raise what they like
            fact = Fact(name, False, f"{type(error).__name__}: {error}".splitlines()[0], code)
        report_line(json.dumps(asdict(fact)))


def _onnxruntime() -> Fact:
    import onnxruntime

    providers = ", ".join(p.removesuffix("ExecutionProvider") for p in _providers(onnxruntime))
    return Fact("onnxruntime", True, f"{onnxruntime.__version__}: {providers}")


def _providers(onnxruntime: object) -> list[str]:
    return list(onnxruntime.get_available_providers())  # type: ignore[attr-defined]


def _openvino() -> Fact:
    if find_spec("openvino") is None:
        return Fact("OpenVINO", False, "not installed")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    found = ", ".join(openvino.Core().available_devices)
    return Fact("OpenVINO", True, f"{openvino.__version__.split('-')[0]}: {found}")


def _torch() -> Fact:
    from facepipe.models.runtime import cuda_available

    try:
        installed = version("torch")
    except PackageNotFoundError:
        return Fact("PyTorch", False, "not installed (facepipe[torch])")
    if not cuda_available(required=False):
        return Fact("PyTorch", True, f"{installed}: CPU, no CUDA device")
    import torch

    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Fact("PyTorch", True, f"{installed}: CUDA {torch.version.cuda}, {', '.join(names)}")


def _detector() -> Fact:
    from facepipe.models.detectors import create_detector

    create_detector("yunet")(np.zeros((96, 96, 3), np.uint8))
    scrfd = "" if find_spec("insightface") else ", SCRFD needs facepipe[scrfd]"
    return Fact("detector", True, f"YuNet{scrfd}")


def _restorer() -> Fact:
    from facepipe.models.runtime import create_runner

    runner = create_runner(find_model("fishsrnet"), device="auto", runtime="auto", threads=1)
    restored, _ = runner(np.zeros((1, 10, 128, 128), np.float32))
    if not np.isfinite(restored).all():
        return Fact("restorer", False, f"{runner.description} gives no numbers", 5)
    return Fact("restorer", True, f"fishsrnet by {runner.description}")


_TRIES = {
    "onnxruntime": _onnxruntime,
    "OpenVINO": _openvino,
    "PyTorch": _torch,
    "detector": _detector,
    "restorer": _restorer,
}

if __name__ == "__main__":
    _main()
