"""The nouns of faces: those of one frame, those of one span, and their canvases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes.alignment import OWN_ALIGNMENT, Alignment
from facepipe.datatypes.arrays import ArrayRecord, Float32, Float64, Selection
from facepipe.datatypes.video import Damage, Span

#: Canvases of a sequence: two frames before, the one to restore, two after.
SEQUENCE_LENGTH = 5
#: Channels of what the neighbouring frames add to a canvas.
NEIGHBOUR_CHANNELS = 7


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Faces(ArrayRecord):
    """The N faces that a detector found in one frame; N may be 0.

    `boxes` are xyxy in pixels, `scores` lie in [0, 1], `landmarks` are in pixels.
    """

    boxes: Annotated[Float32, "N 4"]
    scores: Annotated[Float32, "N"]
    landmarks: Annotated[Float32, "N 5 2"]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, which: Selection) -> Faces:
        """The faces that `which` selects."""
        return Faces(
            boxes=self.boxes[which], scores=self.scores[which], landmarks=self.landmarks[which]
        )

    @staticmethod
    def none() -> Faces:
        """No face at all."""
        return Faces(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            landmarks=np.zeros((0, 5, 2), np.float32),
        )

    @staticmethod
    def concat(parts: Sequence[Faces]) -> Faces:
        """All faces of `parts`, in order."""
        parts = parts or [Faces.none()]
        return Faces(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            landmarks=np.concatenate([part.landmarks for part in parts]),
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FaceMeasurements(ArrayRecord):
    """What was measured of each of N faces, in the order of their Faces; None: not measured.

    A measurement is one field here, and nothing else: `take`, `concat` and the job folder
    (`pipeline.checkpoint`) go by the fields.

    `appearance` are appearance descriptors (`faces.detection.appearance`). `part_visibility` in
    [0, 1] is the share of a face's parts that show, NaN where the detector was sure and no parse
    was made; `sharpness` in [0, 1] is the share of contrast that is fine detail
    (`faces.detection.quality`).
    """

    appearance: Annotated[Float32 | None, "N P"] = None
    part_visibility: Annotated[Float32 | None, "N"] = None
    sharpness: Annotated[Float32 | None, "N"] = None

    def arrays(self) -> dict[str, Float32]:
        """The measurements that were made, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in values.items() if array is not None}

    def take(self, which: Selection) -> FaceMeasurements:
        """The measurements of the faces that `which` selects."""
        return FaceMeasurements(**{name: array[which] for name, array in self.arrays().items()})

    @staticmethod
    def concat(parts: Sequence[FaceMeasurements]) -> FaceMeasurements:
        """Those of all faces of `parts`, in order; a measurement that any part lacks is None."""
        made = [part.arrays() for part in parts]
        common = [name for name in made[0] if all(name in one for one in made)] if made else []
        return FaceMeasurements(
            **{name: np.concatenate([one[name] for one in made]) for name in common}
        )


@dataclass(frozen=True, eq=False, repr=False)
class Motion(ArrayRecord):
    """The motion of N faces from their detection frame to the frame of `pts`, by its pixels.

    `maps` take points of the detection frame to that frame; NaN where a face was lost.
    """

    pts: int
    maps: Annotated[Float64, "N 2 3"]


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameDetections:
    """The faces of one detection frame; `shot` counts the scene cuts before it in its span.

    `motion`, by rising pts, follows its faces through the frames after it, up to the next detection
    frame, and back through a few before it; never over a cut; empty where there are no faces.
    Raises ValueError where motion or measurements are not of as many faces.
    """

    pts: int
    faces: Faces
    shot: int
    motion: tuple[Motion, ...] = ()
    measurements: FaceMeasurements = FaceMeasurements()

    def __post_init__(self) -> None:
        measured = [len(array) for array in self.measurements.arrays().values()]
        counts = {*measured, *(len(one.maps) for one in self.motion)} - {len(self.faces)}
        if counts:
            raise ValueError(f"{len(self.faces)} faces, but measurements or motion of {counts}")


@dataclass(frozen=True, eq=False, kw_only=True)
class SpanFaces:
    """The analyze pass over one span: its detection frames by pts, and each cut's first pts.

    `damage` says which of its frames are damaged; `warnings` are for the user; `holdings` are what
    its frames hold besides pixels, by name, each with the pts of the first that does.
    """

    span: Span
    detections: tuple[FrameDetections, ...]
    cuts: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()
    holdings: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Crops(ArrayRecord):
    """All N faces of a window of frames, each on its aligned canvas; N may be 0.

    `pixels` are RGB in [0, 1]; `to_frame` takes canvas points to frame points (pixel centres);
    `frame` is the number of the frame within the window; `track` the track's number; S is the side
    of the canvas that `alignment` says.

    `neighbours` is what the neighbouring frames add to each canvas (`faces.restoration.fusion`),
    zero where they add nothing; None: every face stands alone. `weights` in [0, 1] are the shares
    in which each may be changed, None: in full. `noise_variance` is that of the difference between
    two frames of each face where nothing changed (`faces.noise`), None: 0.
    """

    pixels: Annotated[Float32, "N S S 3"]
    to_frame: Annotated[Float64, "N 2 3"]
    frame: Annotated[NDArray[np.intp], "N"]
    track: Annotated[NDArray[np.intp], "N"]
    neighbours: Annotated[Float32 | None, "N S S 7"] = None
    weights: Annotated[Float32 | None, "N"] = None
    noise_variance: Annotated[Float32 | None, "N"] = None
    alignment: Alignment = OWN_ALIGNMENT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixels.shape[1] != self.alignment.side:
            raise ValueError(
                f"Crops: pixels has shape {self.pixels.shape}, "
                f"not (N, {self.alignment.side}, {self.alignment.side}, 3)"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @staticmethod
    def none(alignment: Alignment = OWN_ALIGNMENT) -> Crops:
        """No face at all."""
        return Crops(
            pixels=np.zeros((0, alignment.side, alignment.side, 3), np.float32),
            to_frame=np.zeros((0, 2, 3)),
            frame=np.zeros(0, np.intp),
            track=np.zeros(0, np.intp),
            alignment=alignment,
        )

    def network_input(self, first: int, stop: int) -> Float32:
        """(n, S, S, 10): pixels, then neighbours, of faces first .. stop - 1."""
        which = slice(first, stop)
        return np.concatenate([self.pixels[which], self.neighbours_or_nothing(which)], 3)

    def neighbours_or_nothing(self, which: Selection) -> Float32:
        """(n, S, S, 7): what the neighbouring frames add to these faces, zero where None."""
        if self.neighbours is not None:
            return self.neighbours[which]
        return np.zeros((*self.pixels[which].shape[:3], NEIGHBOUR_CHANNELS), np.float32)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Restored(ArrayRecord):
    """N canvases as a restorer gives them.

    `pixels` are RGB in [0, 1]; `parse` are the shares of each part of the face, None from restorers
    that do not parse. `smoothed_source` are the source's canvases, averaged over neighbouring
    frames as the restored ones are; None: not averaged.
    """

    pixels: Annotated[Float32, "N S S 3"]
    parse: Annotated[Float32 | None, "N 8 32 32"]
    smoothed_source: Annotated[Float32 | None, "N S S 3"] = None
