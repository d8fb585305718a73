"""Weights of others as PyTorch saves them, run by spandrel, which knows their architectures.

Nothing in such a file is executed: PyTorch reads tensors from it, and refuses all else.
"""

from __future__ import annotations

import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np

from facepipe.datatypes import Float32
from facepipe.errors import ModelError
from facepipe.models.contract import Contract
from facepipe.models.runtime import Device, Runtime, choose

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor
    from torch import Tensor, nn

#: Side of the canvas for all of them, px.
_SIDE = 512
#: Faces that go through the network at once on a GPU; on a CPU it is one, which takes no longer.
_BATCH = 8

#: Bytes that a file of weights may be larger once it is read, besides twice its size.
_SLACK = 2**24

Call = Callable[["nn.Module", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class _FaceNetwork:
    """A network for faces alone: how it is called on (n, 3, 512, 512) in [-1, 1], and its licence.

    spandrel's own call gives GFPGAN and CodeFormer values in [0, 1], and neither was trained so.
    """

    call: Call
    licence: str


#: By spandrel's name of the architecture. GFPGAN without new noise in each frame: with it, nothing
#: would be the same twice, and all would flicker.
_FACES = {
    "GFPGAN": _FaceNetwork(
        lambda network, x: network(x, return_rgb=False, randomize_noise=False)[0],
        "Apache-2.0, with parts of StyleGAN2 under NVIDIA's non-commercial licence",
    ),
    "CodeFormer": _FaceNetwork(
        lambda network, x: network(x, weight=0.5)[0],
        "S-Lab License 1.0: non-commercial use only",
    ),
    "RestoreFormer": _FaceNetwork(lambda network, x: network(x)[0], "Apache-2.0"),
}


@dataclass(frozen=True)
class Checkpoint:
    """What was found in a file: the network, its architecture and its contract."""

    descriptor: ImageModelDescriptor[Any]
    architecture: str
    contract: Contract


def load_checkpoint(path: Path) -> Checkpoint:
    """Load the network of a file. Raises ModelError: damaged, not only weights, unknown network."""
    spandrel, restricted = import_spandrel()
    state = _read_tensors(path)
    try:
        state = spandrel.canonicalize_state_dict(state)
        descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        more = "" if restricted else "; facepipe[spandrel-extra] knows more, such as CodeFormer"
        raise ModelError(
            f"{path}: weights of a network that spandrel does not know{more}"
        ) from error
    except Exception as error:  # whatever an architecture trips over in the tensors
        raise ModelError(f"{path}: weights that fit no network ({_brief(error)})") from error
    architecture = str(descriptor.architecture.name)
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise ModelError(f"{path}: {architecture} fills in masks and restores nothing")
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise ModelError(
            f"{path}: {architecture} from {descriptor.input_channels} to "
            f"{descriptor.output_channels} channels; a restorer has 3 and 3"
        )
    is_restricted = descriptor.architecture.id in restricted
    descriptor.eval()
    return Checkpoint(descriptor, architecture, _contract(descriptor, is_restricted=is_restricted))


def checkpoint_contract(path: Path) -> tuple[str, Contract]:
    """The architecture and contract of a file; it is loaded once for each version of the file."""
    status = path.stat()
    return _contract_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _contract_of(path: Path, modified_ns: int, size: int) -> tuple[str, Contract]:  # noqa: ARG001
    found = load_checkpoint(path)
    return found.architecture, found.contract


class CheckpointNetwork:
    """Runs the network of a file in PyTorch, in float32."""

    def __init__(self, path: Path, *, device: Device, runtime: Runtime, threads: int) -> None:
        """Raises ModelError as `load_checkpoint`, UsageError for a device that is not there."""
        where, _ = choose(device, "torch" if runtime == "auto" else runtime)
        import torch

        torch.set_num_threads(threads)
        found = load_checkpoint(path)
        self.contract = found.contract
        self._torch, self._where = torch, torch.device(where)
        self._descriptor = found.descriptor.to(self._where)
        face = _FACES.get(found.architecture)
        self._call: Callable[[Tensor], Tensor] = (
            (lambda x: face.call(found.descriptor.model, x)) if face else found.descriptor
        )
        self._at_once = _BATCH if where == "cuda" else 1
        name = torch.cuda.get_device_name() if where == "cuda" else "the CPU"
        self.description = f"{found.architecture} by PyTorch {torch.__version__} on {name}"

    def __call__(self, canvases_NCHW: Float32, /) -> Sequence[Float32]:
        parts = [
            self._run(canvases_NCHW[first : first + self._at_once])
            for first in range(0, len(canvases_NCHW), self._at_once)
        ]
        return [np.concatenate(parts)]

    def _run(self, canvases: Float32) -> Float32:
        with self._torch.inference_mode():
            given = self._torch.from_numpy(canvases).to(self._where)
            return np.asarray(self._call(given).float().cpu().numpy(), np.float32)


def _contract(descriptor: ImageModelDescriptor[Any], *, is_restricted: bool) -> Contract:
    face = _FACES.get(descriptor.architecture.name)
    if face is not None:
        return Contract(
            canvas=_SIDE, range=(-1.0, 1.0), batch=_BATCH, any_size=True, licence=face.licence
        )
    terms = "a non-commercial or copyleft" if is_restricted else "a permissive"
    needs = descriptor.size_requirements
    # A multiple of it that is near 32: smaller faces are given in no smaller images.
    least = max(needs.minimum, needs.multiple_of * max(round(32 / needs.multiple_of), 1))
    input_side = max(_SIDE // descriptor.scale, least)
    return Contract(
        canvas=input_side * descriptor.scale,
        input=input_side,
        native=descriptor.purpose == "SR",
        least_input=least,
        batch=_BATCH,
        any_size=True,
        licence=f"the architecture's is {terms} one; the weights' is as their makers say",
    )


def _read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a file, by name. Raises ModelError for a file that holds anything else."""
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        _refuse_bomb(path)
        with warnings.catch_warnings(action="ignore"):  # of files that are then refused
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # PyTorch and safetensors raise errors of all kinds
        if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ModelError(
                f"{path}: refused unread, as it holds more than weights: it calls {asked[1]}"
            ) from error
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path}: refused, as it is TorchScript, which holds a program; take the weights "
                "alone (a state_dict)"
            ) from error
        if isinstance(error, UnpicklingError):  # its text advises to let the file run
            raise ModelError(
                f"{path}: damaged, or a pickle of something else than weights by their names"
            ) from error
        raise ModelError(f"{path}: damaged, or no file of weights ({_brief(error)})") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: holds a {type(found).__name__}, not weights by their names")
    if _bytes_of(found) > 2 * path.stat().st_size + _SLACK:
        raise ModelError(f"{path}: names more weights than it holds")
    return found


def _refuse_bomb(path: Path) -> None:
    """Raise ModelError for a file that unpacks to much more than it is; PyTorch packs nothing."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(one.file_size for one in archive.infolist())
    if size > 2 * path.stat().st_size + _SLACK:
        raise ModelError(f"{path}: unpacks to {size / 1e6:.0f} MB, many times its size")


def _bytes_of(found: Any) -> int:
    """Bytes that the tensors take once each has a place of its own."""
    if isinstance(found, dict):
        return sum(map(_bytes_of, found.values()))
    if isinstance(found, list | tuple):
        return sum(map(_bytes_of, found))
    return found.numel() * found.element_size() if hasattr(found, "element_size") else 0


def _brief(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0].strip()[:200]}".removesuffix(": ")


def import_spandrel() -> tuple[Any, frozenset[str]]:
    """spandrel, with its extra architectures where they are installed, and the names of those.

    Raises ModelError where it is not installed or does not import.
    """
    try:
        _import_torchvision()
        import spandrel
    except Exception as error:  # torchvision of another build raises errors of its own
        raise ModelError(
            "such weights need spandrel: install facepipe[spandrel], with PyTorch and torchvision "
            f"of one build ({_brief(error)})"
        ) from error
    if find_spec("spandrel_extra_arches") is None:
        return spandrel, frozenset()
    import spandrel_extra_arches

    spandrel_extra_arches.install(ignore_duplicates=True)
    extra = spandrel_extra_arches.EXTRA_REGISTRY
    return spandrel, frozenset(support.architecture.id for support in extra)


def _import_torchvision() -> None:
    """Import torchvision, though its compiled operators be of another build than PyTorch.

    spandrel takes two functions in Python of it and no operator; but with PyTorch for the CPU and
    the torchvision of PyPI, the import fails for want of the operators' declarations.
    """
    import torch

    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _DECLARED.append(
            torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        )
        for name in ("nms", "qnms"):
            _DECLARED[-1].define(
                f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        import torchvision  # noqa: F401


#: Declarations end with the objects that made them.
_DECLARED: list[Any] = []
