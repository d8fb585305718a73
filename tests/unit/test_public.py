"""The public surface, frozen."""

from __future__ import annotations

import subprocess
import sys

import pytest

import facepipe
from facepipe import errors


def test_the_surface_is_this() -> None:
    assert facepipe.__all__ == [
        "Analysis", "Event", "FaceEnhancer", "FacepipeError", "InputError", "MediaError",
        "ModelError", "OutOfMemoryError", "OutputError", "Settings", "Track", "UsageError",
        "WorkerError", "__version__", "analyze", "enhance", "load_settings", "render",
    ]  # fmt: skip
    assert all(getattr(facepipe, name) is not None for name in facepipe.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        facepipe.nothing  # noqa: B018


def test_dir_shows_the_surface_before_it_is_used() -> None:
    code = "import facepipe; print(*sorted({*facepipe.__all__} - {*dir(facepipe)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import facepipe, sys; print({'av', 'cv2', 'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_exit_codes_are_those_of_the_docs() -> None:
    codes = {name: e.exit_code for name, e in vars(errors).items() if isinstance(e, type)}
    assert codes == {
        "FacepipeError": 1, "UsageError": 2, "InputError": 3,
        "OutputError": 4, "OutputExistsError": 4, "ModelError": 5, "MediaError": 6,
        "WorkerError": 7, "WorkersLostError": 7, "NoWorkersError": 7, "OutOfMemoryError": 9,
        "VerificationError": 10,
    }  # fmt: skip
    for name, code in codes.items():
        assert name in (errors.__doc__ or "")
        assert str(code) in (errors.__doc__ or "")
