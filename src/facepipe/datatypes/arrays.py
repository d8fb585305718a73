"""Names of array types, and the base of all records that hold arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Plane = NDArray[np.uint8] | NDArray[np.uint16]
#: What `take` takes: numbers of faces, a mask of them, or a run.
Selection = NDArray[np.intp] | NDArray[np.bool_] | slice


@dataclass(frozen=True, eq=False, repr=False)
class ArrayRecord:
    """Base of dataclasses that hold arrays: checks their shapes, and shows shapes in its repr.

    A field annotated `Annotated[Float32, "N 5 2"]` must be an array of that shape, or None where
    None is its default. A letter stands for one length, the same in all fields of an object.
    Raises ValueError where an array has another shape.
    """

    _axes: ClassVar[dict[str, tuple[int | str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls._axes = {
            name: tuple(
                int(axis) if axis.isdigit() else axis for axis in hint.__metadata__[0].split()
            )
            for name, hint in hints.items()
            if get_origin(hint) is Annotated
        }

    def __post_init__(self) -> None:
        lengths: dict[str, int] = {}
        for name, axes in self._axes.items():
            array = getattr(self, name)
            if array is None:
                continue
            fits = len(axes) == array.ndim
            for axis, length in zip(axes, array.shape, strict=False):
                expected = lengths.setdefault(axis, length) if isinstance(axis, str) else axis
                fits = fits and length == expected
            if not fits:
                expected_shape = ", ".join(str(lengths.get(str(axis), axis)) for axis in axes)
                raise ValueError(
                    f"{type(self).__name__}: {name} has shape {array.shape}, not ({expected_shape})"
                )

    def __repr__(self) -> str:
        shown = (f"{field.name}={_summary(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


def _summary(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return repr(value)
