"""The nouns of a video: its properties, its frames, and the spans that it is worked on in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from facepipe.datatypes.arrays import Plane

Matrix = Literal["bt601", "bt709", "bt2020"]
ColourModel = Literal["yuv", "rgb", "gray"]


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
class HeaderChange:
    """A place where a stream's codec header (extradata) becomes another.

    `pts` is that of the first packet that needs it, in the stream's time base.
    """

    pts: int
    extradata: bytes


@dataclass(frozen=True)
class StreamInfo:
    """A stream other than the enhanced one; it is copied as it stands."""

    index: int
    kind: str  # video, audio, subtitle, data or attachment
    codec: str
    packets: int
    headers: tuple[HeaderChange, ...] = ()  # by rising pts: those after the first
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
class Form:
    """How frames are from pts `first` on, up to the next form's: size, format, tags and shape."""

    first: int
    width: int
    height: int
    pix_fmt: str
    tags: tuple[int, int, int, int]  # as of VideoInfo
    sample_aspect_ratio: Fraction | None
    light: bool = False  # whether they have mastering display or content light level


@dataclass(frozen=True)
class ClockJoint:
    """A place at which a source's clock begins anew, and what follows is joined to what was."""

    seconds: float  # of the video, from its first picture
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
    #: Whether the source's own index says when each stream begins, as edit lists of MP4 do.
    indexed: bool = False
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
    #: NAL units of H.264 or HEVC in that header, then those that come later.
    parameter_sets: tuple[bytes, ...] = ()
    #: The forms of its frames, by time; empty where all are as the first one.
    forms: tuple[Form, ...] = ()
    #: Size in the header, where frames may be smaller between keyframes (AV1, VP9); else None.
    header_size: tuple[int, int] | None = None
    #: pts of frames that hold what none before them was seen to hold, such as captions.
    places: tuple[int, ...] = ()
    #: Which field is first in its interlaced frames, of those that were decoded.
    fields: tuple[Literal["top", "bottom"], ...] = ()
    #: Whether frames keep their own tags and shape of pixels, where forms differ in these.
    own_tags: bool = True
    #: Where the container goes on with another header, by rising pts.
    headers: tuple[HeaderChange, ...] = ()
    #: Half-open pts ranges, sorted, whose packets bring other sequence parameter sets of H.264 or
    #: HEVC than the first ones.
    other_sequences: tuple[tuple[int, int], ...] = ()
    clock: Clock = Clock()
    #: Byte positions of the keyframes' packets, where the clock begins anew: times lead nowhere.
    keyframe_positions: tuple[int, ...] = ()
    #: How many of its pictures bring user data of each kind (`video.user_data`).
    user_data: tuple[tuple[int, int], ...] = ()
    has_second_view: bool = False  # coded on top of the one that decodes (MV-HEVC, MVC)
    #: Whether packets state when they are decoded, and not when their frame is shown.
    timed_as_decoded: bool = False

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
    size: int = 0  # bytes of a rendered one
    sha256: str = ""
    lost: bool = False  # written unenhanced because workers were lost: another run may do better
