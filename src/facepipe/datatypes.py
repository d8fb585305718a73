"""The nouns of facepipe. Numpy and the standard library only; no dict crosses a module.

Conventions: boxes are xyxy in pixels of the frame as it is shown (after rotation is left alone:
rotation is metadata, the pixels are the coded ones), pixel centres at integers, so a frame spans
-0.5 .. width - 0.5. Landmarks are five points: image-left eye, image-right eye, nose, image-left
and image-right mouth corner. Time is pts in the video stream's time base.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Plane = NDArray[np.uint8] | NDArray[np.uint16]
#: Canvases of a sequence: two frames before, the one to restore, two after.
SEQUENCE = 5
#: Channels of what the frames beside add to a canvas.
NEIGHBOUR_CHANNELS = 7
Matrix = Literal["bt601", "bt709", "bt2020"]
ColourModel = Literal["yuv", "rgb", "gray"]


@dataclass(frozen=True)
class PixelFormat:
    """How the planes of a frame are to be read. `name` is the one that FFmpeg uses."""

    name: str
    model: ColourModel
    bits: int  # per component, 8..16
    shift_x: int = 0  # log2 of the chroma subsampling
    shift_y: int = 0
    alpha: bool = False


@dataclass(frozen=True)
class Colour:
    """What the code values of a frame mean, as far as facepipe's own arithmetic needs it.

    Tags that the source leaves open are guessed here for arithmetic alone; the output is tagged
    as the source is.
    """

    matrix: Matrix = "bt709"
    full_range: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the film.

    `planes` are 2-D arrays (height, width), uint8 for 8 bits and uint16 above, in logical order:
    Y, U, V or R, G, B or Y alone, then A where there is one; never written to, `with_planes` makes
    a changed copy. `handle` belongs to `media`, which keeps there what it needs to encode the
    frame with its side data.
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
        """(H, W) the plane that says how bright a place is; in RGB green stands for it."""
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


@dataclass(frozen=True)
class Damage:
    """A stretch of film that does not come out as it should.

    `first` and `last` are pts, both included; `frames` counts the frames in it that are concerned,
    0: nobody knows how many. `what` says in what way, as a verb of many frames: "do not decode".
    """

    first: int
    last: int
    frames: int
    what: str


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` learns of a source from its packets alone."""

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
    #: Range, matrix, primaries and transfer of its first picture, by H.273's numbers.
    tags: tuple[int, int, int, int] = (0, 2, 2, 2)
    damage: tuple[Damage, ...] = ()  # what the packets alone tell
    chroma_location: str | None = None  # of chroma samples between luma's, by FFmpeg's names
    coded_pts: tuple[int, ...] = ()  # in decoding order; where there are closed groups
    end: int | None = None  # pts up to which the last frame is shown, as far as it is known
    extradata: bytes = b""  # the codec's header, as the container holds it
    #: NAL units of H.264 or HEVC in that header, then those in the first keyframe.
    parameter_sets: tuple[bytes, ...] = ()

    @property
    def seconds(self) -> float:
        """From the first pts to the last."""
        return float((self.pts[-1] - self.pts[0]) * self.time_base) if self.pts else 0.0

    @property
    def frames_per_second(self) -> float:
        """The mean rate over the film; 25 where one frame gives none."""
        return (len(self.pts) - 1) / self.seconds if self.seconds else 25.0


@dataclass(frozen=True)
class Span:
    """A half-open range of pts, start <= pts < stop, that begins at a keyframe.

    `copied`: nothing in it is changed, and the source's own packets are written.
    """

    index: int
    start: int
    stop: int
    copied: bool = False


@dataclass(frozen=True, eq=False)
class Faces:
    """What a detector found in one picture; N may be 0.

    `boxes` (N, 4) float32 xyxy in pixels, `scores` (N,) float32 in [0, 1],
    `landmarks` (N, 5, 2) float32 in pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,):
            raise ValueError(f"boxes {self.boxes.shape} and scores {self.scores.shape} disagree")
        if self.landmarks.shape != (count, 5, 2):
            raise ValueError(f"landmarks must be ({count}, 5, 2), got {self.landmarks.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Faces:
        """The faces that `which` selects."""
        return Faces(self.boxes[which], self.scores[which], self.landmarks[which])

    @staticmethod
    def none() -> Faces:
        """No face at all."""
        return Faces(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        )


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the N faces of a sighting are in another frame, told by the picture itself.

    `maps` (N, 2, 3) float64 take points of the sighting's frame to the frame of `pts`; NaN where a
    face was lost sight of.
    """

    pts: int
    maps: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameDetections:
    """What the analyze pass saw in one frame it looked at; `shot` counts scene cuts in the span.

    `moves`, by rising pts, follow its faces through the frames after it, up to the next one looked
    at, and back through a few before it, to the last one looked at; never over a cut; none where
    there are no faces. `prints` (N, P) float32 are what each face looks like, None: not known.
    """

    pts: int
    faces: Faces
    shot: int
    moves: tuple[Motion, ...] = ()
    prints: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    detail: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class SpanFaces:
    """The analyze pass over one span: its sightings by pts, and the pts of each cut's first frame.

    `damage` is what is wrong with which of its frames; `warnings` what else there is to tell.
    """

    span: Span
    detections: tuple[FrameDetections, ...]
    cuts: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()


#: Share in which the first and the last frame show a track that comes and goes.
_UNSHOWN = 0.2


@dataclass(frozen=True, eq=False)
class Track:
    """One face through time: K knots, between which everything is interpolated.

    `pts` (K,) int64 rising; `boxes` (K, 4), `landmarks` (K, 5, 2) smoothed, in frame pixels;
    `scores` (K,) of the looks that they come from. `reason` says why a track is not enhanced.
    `full` are the first and the last pts at which it is shown in full, None: at all.
    """

    number: int
    pts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]
    enhance: bool = True
    reason: str | None = None
    full: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        knots = len(self.pts)
        if knots == 0 or (knots > 1 and not bool(np.all(np.diff(self.pts) > 0))):
            raise ValueError("a track needs knots at rising pts")
        shapes = (self.boxes.shape, self.landmarks.shape, self.scores.shape)
        if shapes != ((knots, 4), (knots, 5, 2), (knots,)):
            raise ValueError(f"{knots} knots do not fit shapes {shapes}")

    @property
    def first(self) -> int:
        return int(self.pts[0])

    @property
    def last(self) -> int:
        return int(self.pts[-1])

    @property
    def size(self) -> float:
        """Median of the square root of the box's area, pixels of the frame."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.median(np.sqrt(np.maximum(sides.prod(1), 0))))

    def covers(self, pts: int) -> bool:
        """Whether the face is held to be in the frame of that pts."""
        return self.first <= pts <= self.last

    def presence(self, pts: int) -> float:
        """The share in which it is shown at `pts`: it comes and goes along a line."""
        if self.full is None or self.full[0] <= pts <= self.full[1]:
            return 1.0
        begin, end = (self.first, self.full[0]) if pts < self.full[0] else (self.last, self.full[1])
        return _UNSHOWN + (1 - _UNSHOWN) * max(0.0, (pts - begin) / (end - begin))

    def box_at(self, pts: int) -> NDArray[np.float32]:
        """(4,) xyxy, linear between knots."""
        return self._between(self.boxes, pts)

    def landmarks_at(self, pts: int) -> NDArray[np.float32]:
        """(5, 2), linear between knots."""
        return self._between(self.landmarks, pts)

    def _between(self, values: NDArray[np.float32], pts: int) -> NDArray[np.float32]:
        right = int(np.clip(np.searchsorted(self.pts, pts), 1, max(len(self.pts) - 1, 1)))
        if len(self.pts) == 1:
            return np.asarray(values[0], np.float32)
        start, stop = int(self.pts[right - 1]), int(self.pts[right])
        share = np.float32(np.clip((pts - start) / (stop - start), 0, 1))
        return np.asarray((1 - share) * values[right - 1] + share * values[right], np.float32)


@dataclass(frozen=True)
class Analysis:
    """The analyze pass over the whole film: what a person may read, edit and render again."""

    source_sha256: str
    time_base: Fraction
    frames: int
    width: int
    height: int
    tracks: tuple[Track, ...]
    cuts: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, eq=False)
class Crops:
    """All faces of a window of frames, each on its aligned canvas; N may be 0.

    `pixels` (N, 128, 128, 3) float32 RGB in [0, 1]; `to_frame` (N, 2, 3) float64 takes canvas
    points to frame points (pixel centres); `frame` (N,) the number of the frame within the window;
    `track` (N,) the track's number.

    `beside` (N, 128, 128, 7) float32 is what the frames beside each add to it (`pipeline.fuse`),
    zero where they add nothing; None: every face stands alone. `weights` (N,) in [0, 1] are the
    shares in which each may be changed, None: in full. `noise` (N,) is how much two frames differ
    in each, though nothing changed (`pipeline.noise`), None: by nothing.
    """

    pixels: NDArray[np.float32]
    to_frame: NDArray[np.float64]
    frame: NDArray[np.intp]
    track: NDArray[np.intp]
    beside: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None
    noise: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def seen(self, first: int, stop: int) -> NDArray[np.float32]:
        """(n, 128, 128, 10): the pixels of faces first .. stop - 1, then what is beside them."""
        pixels = self.pixels[first:stop]
        if self.beside is None:
            nothing = np.zeros((*pixels.shape[:3], NEIGHBOUR_CHANNELS), np.float32)
            return np.concatenate([pixels, nothing], 3)
        return np.concatenate([pixels, self.beside[first:stop]], 3)


@dataclass(frozen=True, eq=False)
class Restored:
    """What a restorer makes of N canvases.

    `pixels` (N, 128, 128, 3) float32 RGB in [0, 1]; `parse` (N, 8, 32, 32) float32 shares of each
    part of the face, None from restorers that do not parse. `shown` (N, 128, 128, 3) is what the
    source shows there at rest, None: what its frame shows.
    """

    pixels: NDArray[np.float32]
    parse: NDArray[np.float32] | None
    shown: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Part:
    """One span of the film to write: rendered, on disk, or copied from the source."""

    span: Span
    path: str
    frames: int
    faces: int  # enhanced, counted over all frames
    passed_through: str | None = None  # why the span went through unenhanced, if it did
    warnings: tuple[str, ...] = ()
    runs_on: str = ""  # what restored its faces, and where
    damage: tuple[Damage, ...] = ()
