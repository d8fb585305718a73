"""The data types that modules pass to each other: numpy and the standard library only.

Conventions: boxes are xyxy in pixels of the coded frame (rotation is metadata and is not applied),
pixel centres are at integers, so a frame spans -0.5 .. width - 0.5. Landmarks are five points:
image-left eye, image-right eye, nose, image-left and image-right mouth corner. Time is pts in the
video stream's time base. Canvases are aligned faces of CANVAS x CANVAS px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Annotated, ClassVar, Literal, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Plane = NDArray[np.uint8] | NDArray[np.uint16]
#: What `take` takes: numbers of faces, a mask of them, or a run.
Selection = NDArray[np.intp] | NDArray[np.bool_] | slice
#: Side of a canvas, an aligned face, in px.
CANVAS = 128
#: Canvases of a sequence: two frames before, the one to restore, two after.
SEQUENCE_LENGTH = 5
#: Channels of what the neighbouring frames add to a canvas.
NEIGHBOUR_CHANNELS = 7
Matrix = Literal["bt601", "bt709", "bt2020"]
ColourModel = Literal["yuv", "rgb", "gray"]


@dataclass(frozen=True, eq=False, repr=False)
class ArrayRecord:
    """Base of dataclasses that hold arrays: checks their shapes, and shows shapes in its repr.

    A field annotated `Annotated[Float32, "N 5 2"]` must be an array of that shape, or None where
    None is its default. A letter stands for one length, the same in all fields of an object.
    Raises ValueError where an array has another shape.
    """

    _axes: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls._axes = {
            name: tuple(hint.__metadata__[0].split())
            for name, hint in hints.items()
            if get_origin(hint) is Annotated
        }

    def __post_init__(self) -> None:
        lengths: dict[str, int] = {}
        for name, axes in self._axes.items():
            array = getattr(self, name)
            if array is None:
                continue
            expected = tuple(
                int(axis) if axis.isdigit() else lengths.setdefault(axis, length)
                for axis, length in zip(axes, array.shape, strict=False)
            )
            if array.ndim != len(axes) or array.shape != expected:
                raise ValueError(
                    f"{type(self).__name__}: {name} has shape {array.shape}, "
                    f"not ({', '.join(str(lengths.get(axis, axis)) for axis in axes)})"
                )

    def __repr__(self) -> str:
        shown = (f"{field.name}={_summary(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


def _summary(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return repr(value)


@dataclass(frozen=True)
class PixelFormat:
    """The layout of a frame's planes. `name` is FFmpeg's name of it."""

    name: str
    model: ColourModel
    bits: int  # per component, 8..16
    shift_x: int = 0  # log2 of the chroma subsampling
    shift_y: int = 0
    alpha: bool = False


@dataclass(frozen=True)
class Colour:
    """The matrix and range of a frame's code values, as facepipe's own arithmetic needs them.

    Tags that the source leaves open are guessed, for arithmetic alone: the output is tagged as the
    source is.
    """

    matrix: Matrix = "bt709"
    full_range: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """One video frame, or one photograph.

    `planes` are 2-D arrays (height, width), uint8 for 8 bits and uint16 above, in logical order:
    Y, U, V or R, G, B or Y alone, then A where there is one; never written to, `with_planes` makes
    a changed copy. `handle` belongs to `video`, which keeps there what it needs to encode the
    frame with its side data. Raises ValueError where a plane is not 2-D or there is none.
    """

    pts: int
    format: PixelFormat
    colour: Colour
    planes: tuple[Plane, ...]
    handle: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.planes or any(plane.ndim != 2 for plane in self.planes):
            raise ValueError("a frame's planes are 2-D arrays, at least one")

    def __repr__(self) -> str:
        shapes = ", ".join("x".join(map(str, p.shape[::-1])) for p in self.planes)
        return f"Frame(pts={self.pts}, {self.format.name}, {shapes})"

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def luma(self) -> Plane:
        """(H, W) the luma plane; of RGB the green one, which is nearest to it."""
        return self.planes[1 if self.format.model == "rgb" else 0]

    def with_planes(self, planes: tuple[Plane, ...]) -> Frame:
        """The same frame with other pixels."""
        return replace(self, planes=planes)


@dataclass(frozen=True)
class StreamInfo:
    """A stream other than the enhanced one; it is copied as it stands."""

    index: int
    kind: str  # video, audio, subtitle, data or attachment
    codec: str
    packets: int
    start: int | None = None  # pts of its first packet, in its own ticks


@dataclass(frozen=True)
class Damage:
    """A stretch of the video that is not as it should be.

    `first` and `last` are pts, both included; `frames` counts the damaged frames in it, 0 where
    the count is unknown. `what` is a verb of many frames: "do not decode".
    """

    first: int
    last: int
    frames: int
    what: str


@dataclass(frozen=True)
class ClockJoint:
    """A place at which a source's clock begins anew, and what follows is joined to what was."""

    seconds: float  # of the film, from its first picture
    jump: float  # of the clock, in seconds: below 0 where it goes back
    stream: int | None = None  # index of the only stream that is joined there; None: all are


@dataclass(frozen=True)
class Clock:
    """The clock of a source: when it begins, and how its times become times that rise.

    `shifts` gives for the index of a stream, by rising byte position in the file, the ticks that
    are added to the times of its packets from there on. It is empty where all times rise already.
    """

    begin: Fraction = Fraction(0)  # time of the first picture or sound, in seconds
    joints: tuple[ClockJoint, ...] = ()
    shifts: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict, hash=False)
    strays: int = 0  # packets with a wrong time, which was worked out
    wraps: bool = False  # whether it counts to 2^33 ticks and goes on at 0
    #: Byte positions at which further files begin that FFmpeg would not read on into (FLV).
    heads: tuple[int, ...] = ()
    #: Whether FFmpeg marks packets behind a joint as not to be shown, as their times go back (MP4).
    marks: bool = False


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` reads of a source's video stream: its properties and all its packets' pts."""

    path: str
    container: str
    stream_index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    pts: tuple[int, ...]  # of every video packet, sorted: one frame each
    keyframe_pts: tuple[int, ...]  # sorted, a subset of pts
    rotation: int  # degrees counter-clockwise, from the display matrix
    sample_aspect_ratio: Fraction | None
    others: tuple[StreamInfo, ...]
    warnings: tuple[str, ...] = ()
    #: Half-open pts ranges, sorted, whose packets decode alone and can be copied whole.
    closed_gops: tuple[tuple[int, int], ...] = ()
    profile: str | None = None  # of the codec, by FFmpeg's name
    #: Range, matrix, primaries and transfer of its first frame, by H.273's numbers.
    tags: tuple[int, int, int, int] = (0, 2, 2, 2)
    damage: tuple[Damage, ...] = ()  # that shows in the packets
    chroma_location: str | None = None  # of chroma samples between luma's, by FFmpeg's names
    coded_pts: tuple[int, ...] = ()  # in decoding order; where there are closed groups
    end: int | None = None  # pts up to which the last frame is shown, as far as it is known
    extradata: bytes = b""  # the codec's header, as the container holds it
    #: NAL units of H.264 or HEVC in that header, then those in the first keyframe.
    parameter_sets: tuple[bytes, ...] = ()
    clock: Clock = Clock()
    #: Byte positions of the keyframes' packets, where the clock begins anew: times lead nowhere.
    keyframe_positions: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """From the first pts to the last."""
        return float((self.pts[-1] - self.pts[0]) * self.time_base) if self.pts else 0.0

    @property
    def frames_per_second(self) -> float:
        """The mean rate over the video; 25 where one frame gives none."""
        return (len(self.pts) - 1) / self.seconds if self.seconds else 25.0


@dataclass(frozen=True)
class Span:
    """A half-open range of pts, start <= pts < stop, that begins at a keyframe.

    `copied`: the source's own packets are written, as nothing in it is changed.
    """

    index: int
    start: int
    stop: int
    copied: bool = False


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

    `damage` says which of its frames are damaged; `warnings` are for the user.
    """

    span: Span
    detections: tuple[FrameDetections, ...]
    cuts: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()


#: Opacity of a track that fades in or out, in its first and its last frame.
_LEAST_PRESENCE = 0.2


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Track(ArrayRecord):
    """One face through time: K knots, between which everything is interpolated linearly.

    `pts` rise; `boxes` and `landmarks` are smoothed, in frame pixels; `scores` are those of the
    detection frames that the knots come from. `reason` says why a track is not enhanced. `full` are
    the first and the last pts at which it is shown at full opacity, None: it does not fade.
    Raises ValueError where there is no knot or the pts do not rise.
    """

    number: int
    pts: Annotated[NDArray[np.int64], "K"]
    boxes: Annotated[Float32, "K 4"]
    landmarks: Annotated[Float32, "K 5 2"]
    scores: Annotated[Float32, "K"]
    enhance: bool = True
    reason: str | None = None
    full: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.pts) == 0 or not bool(np.all(np.diff(self.pts) > 0)):
            raise ValueError("a track needs knots at rising pts")

    @property
    def first(self) -> int:
        return int(self.pts[0])

    @property
    def last(self) -> int:
        return int(self.pts[-1])

    @property
    def size(self) -> float:
        """Median over the knots of the square root of the box's area, px of the frame."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.median(np.sqrt(np.maximum(sides.prod(1), 0))))

    def covers(self, pts: int) -> bool:
        """Whether the track spans that pts."""
        return self.first <= pts <= self.last

    def presence(self, pts: int) -> float:
        """The opacity in [0, 1] at which it is shown at `pts`, linear while it fades."""
        if self.full is None or self.full[0] <= pts <= self.full[1]:
            return 1.0
        begin, end = (self.first, self.full[0]) if pts < self.full[0] else (self.last, self.full[1])
        return _LEAST_PRESENCE + (1 - _LEAST_PRESENCE) * max(0.0, (pts - begin) / (end - begin))

    def box_at(self, pts: int) -> Float32:
        """(4,) xyxy, linear between knots."""
        return self._between(self.boxes, pts)

    def landmarks_at(self, pts: int) -> Float32:
        """(5, 2), linear between knots."""
        return self._between(self.landmarks, pts)

    def _between(self, values: Float32, pts: int) -> Float32:
        right = int(np.clip(np.searchsorted(self.pts, pts), 1, max(len(self.pts) - 1, 1)))
        if len(self.pts) == 1:
            return np.asarray(values[0], np.float32)
        start, stop = int(self.pts[right - 1]), int(self.pts[right])
        share = np.float32(np.clip((pts - start) / (stop - start), 0, 1))
        return np.asarray((1 - share) * values[right - 1] + share * values[right], np.float32)


@dataclass(frozen=True)
class Analysis:
    """The analyze pass over the whole video, which a person may read, edit and render from."""

    source_sha256: str
    time_base: Fraction
    frames: int
    width: int
    height: int
    tracks: tuple[Track, ...]
    cuts: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Crops(ArrayRecord):
    """All N faces of a window of frames, each on its aligned canvas; N may be 0.

    `pixels` are RGB in [0, 1]; `to_frame` takes canvas points to frame points (pixel centres);
    `frame` is the number of the frame within the window; `track` the track's number.

    `neighbours` is what the neighbouring frames add to each canvas (`faces.restoration.fusion`),
    zero where they add nothing; None: every face stands alone. `weights` in [0, 1] are the shares
    in which each may be changed, None: in full. `noise_variance` is that of the difference between
    two frames of each face where nothing changed (`faces.noise`), None: 0.
    """

    pixels: Annotated[Float32, "N 128 128 3"]
    to_frame: Annotated[Float64, "N 2 3"]
    frame: Annotated[NDArray[np.intp], "N"]
    track: Annotated[NDArray[np.intp], "N"]
    neighbours: Annotated[Float32 | None, "N 128 128 7"] = None
    weights: Annotated[Float32 | None, "N"] = None
    noise_variance: Annotated[Float32 | None, "N"] = None

    def __len__(self) -> int:
        return len(self.pixels)

    @staticmethod
    def none() -> Crops:
        """No face at all."""
        return Crops(
            pixels=np.zeros((0, CANVAS, CANVAS, 3), np.float32),
            to_frame=np.zeros((0, 2, 3)),
            frame=np.zeros(0, np.intp),
            track=np.zeros(0, np.intp),
        )

    def network_input(self, first: int, stop: int) -> Float32:
        """(n, 128, 128, 10): pixels, then neighbours, of faces first .. stop - 1."""
        pixels = self.pixels[first:stop]
        if self.neighbours is None:
            nothing = np.zeros((*pixels.shape[:3], NEIGHBOUR_CHANNELS), np.float32)
            return np.concatenate([pixels, nothing], 3)
        return np.concatenate([pixels, self.neighbours[first:stop]], 3)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Restored(ArrayRecord):
    """N canvases as a restorer gives them.

    `pixels` are RGB in [0, 1]; `parse` are the shares of each part of the face, None from restorers
    that do not parse. `smoothed_source` are the source's canvases, averaged over neighbouring
    frames as the restored ones are; None: not averaged.
    """

    pixels: Annotated[Float32, "N 128 128 3"]
    parse: Annotated[Float32 | None, "N 8 32 32"]
    smoothed_source: Annotated[Float32 | None, "N 128 128 3"] = None


@dataclass(frozen=True)
class Part:
    """One span of the output: rendered, on disk, or copied from the source."""

    span: Span
    path: str
    frames: int
    faces: int  # enhanced, counted over all frames
    passed_through: str | None = None  # why the span was written unenhanced, if it was
    warnings: tuple[str, ...] = ()
    runs_on: str = ""  # the runtime that restored its faces, and its device
    damage: tuple[Damage, ...] = ()
