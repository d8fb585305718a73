"""The settings of a run: frozen, validated, the same from the command line and from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from facepipe._system.files import is_there
from facepipe.configs.fields import Cli, options_of, refusal
from facepipe.configs.toml import assign, literal, merge, read_toml
from facepipe.errors import UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Quality = Literal["visually-lossless", "archive", "small"]
Speed = Literal["fast", "balanced", "slow"]
Purpose = Literal["web", "edit", "archive", "device"]
PROFILES = ("balanced", "fast", "thorough", "strict", "recall")

#: Headings of the command line's help.
FACES, RESTORATION, VIDEO = "Which faces", "Restoration", "Output video"
SOURCE, RUN = "Source", "Run"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DetectSettings(_Section):
    """How faces are found."""

    detector: Annotated[Literal["yunet", "scrfd"], Cli("--detector", FACES)] = Field(
        "yunet", description="what finds faces; scrfd needs --pack"
    )
    pack: Annotated[Path | None, Cli("--pack", FACES)] = Field(
        None, description="folder of an insightface pack, for scrfd"
    )
    score: Annotated[Share, Cli("--score", FACES)] = Field(
        0.7,
        description="mean detection score that a face must reach, 0.1 less if it is seen for long",
    )
    min_face: Annotated[float, Cli("--min-face", FACES)] = Field(
        8.0, ge=4, description="smallest face, px of the frame"
    )
    max_face: Annotated[float | None, Cli("--max-face", FACES, default="what fills the canvas")] = (
        Field(None, gt=0, description="largest face, px of the frame")
    )
    every: Annotated[int, Cli("--detect-every", FACES)] = Field(
        5, ge=1, le=250, description="look for faces in every k-th frame"
    )
    enlarge: int = Field(2, ge=1, le=4, description="enlargement of the second pass")
    turned: Annotated[Literal["auto", 0, 90, 180, 270], Cli("--turned", FACES)] = Field(
        "auto",
        description="degrees, counter-clockwise, by which faces must be turned to be upright; "
        "auto: 0, and the others where no upright face is found",
    )


class LinkSettings(_Section):
    """How detections become tracks."""

    min_seconds: float = Field(0.25, ge=0, description="shortest track that is enhanced")
    gap_seconds: float = Field(1.0, ge=0, description="longest time unseen within one track")
    features: Share = Field(
        0.4, description="share of a face's parts that a very doubtful face must show; 0 asks none"
    )
    detail: Share = Field(
        0.1, description="share of its contrast that must be detail; a blurred face has less"
    )


def _box(numbers: object) -> tuple[float, float, float, float]:
    """Four numbers as a box. Raises ValueError for anything else."""
    try:
        x, y, width, height = (float(number) for number in numbers)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise ValueError("must be x,y,width,height in px, or an image") from error
    if not (width > 0 and height > 0):
        raise ValueError("must have a width and a height above 0")
    return x, y, width, height


class ChooseSettings(_Section):
    """Which of the faces found are enhanced; all of them by default."""

    tracks: Annotated[
        tuple[int, ...] | None, Cli("--tracks", FACES, default="all", metavar="N,N...")
    ] = Field(None, description="only these tracks, as analyze numbers them")
    region: Annotated[
        tuple[float, float, float, float] | Path | None,
        Cli("--region", FACES, default="the whole frame", metavar="X,Y,W,H"),
    ] = Field(
        None,
        description="only faces there, px of the video as shown; or a mask image, white there",
    )
    largest: Annotated[int | None, Cli("--largest", FACES, default="all")] = Field(
        None, ge=1, description="only so many tracks, the largest"
    )

    @field_validator("tracks", mode="before")
    @classmethod
    def _numbers(cls, given: object) -> object:
        if isinstance(given, int):
            return (given,)
        return given.split(",") if isinstance(given, str) else given

    @field_validator("region", mode="before")
    @classmethod
    def _box_or_path(cls, given: object) -> object:
        if given is None or isinstance(given, Path):
            return given
        if isinstance(given, str) and (is_there(Path(given)) or "," not in given):
            return Path(given)
        return _box(given.split(",") if isinstance(given, str) else given)


class RestoreSettings(_Section):
    """How faces are restored and pasted."""

    restorer: Annotated[str, Cli("--restorer", RESTORATION)] = Field(
        "fishsrnet",
        description="a name that `facepipe models` lists, or a file of weights: .safetensors, "
        ".pth, .onnx with its .toml",
    )
    strength: Annotated[Share, Cli("--strength", RESTORATION)] = Field(
        1.0, description="share of the restored detail that is pasted"
    )
    fidelity: Annotated[Share, Cli("--fidelity", RESTORATION)] = Field(
        0.3, description="share of what the source itself shows that stays the source's"
    )
    mirrored: bool = Field(False, description="restore the mirror image too, and take the mean")
    device: Annotated[Literal["auto", "cpu", "cuda"], Cli("--device", RESTORATION)] = Field(
        "auto", description="where networks run"
    )
    runtime: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    window: int = Field(8, ge=1, le=256, description="frames whose faces are restored together")


class OutputSettings(_Section):
    """How the result is written."""

    scale: Annotated[Literal[1, 2, 4], Cli("--scale", VIDEO)] = Field(
        1, description="enlarge the video"
    )
    size: Annotated[str, Cli("--size", VIDEO, metavar="largest|usual|source|WxH")] = Field(
        "largest",
        description="size of all frames where the video has several: the largest, the one shown "
        "longest, that of its first frame, or one in px; before --scale",
    )
    purpose: Annotated[Purpose | None, Cli("--for", VIDEO, default="what the source is")] = Field(
        None,
        description="what it is for: H.264 in .mp4 for the web, ProRes in .mov to edit, FFV1 in "
        ".mkv to archive, or the codec, profile and bit rate that play where the source does",
    )
    codec: Annotated[str, Cli("--codec", VIDEO)] = Field(
        "auto",
        description="FFmpeg's name of an encoder; auto: the source's codec where it can be written",
    )
    quality: Annotated[Quality, Cli("--quality", VIDEO)] = Field(
        "visually-lossless", description="how good and how large"
    )
    speed: Speed = Field("balanced", description="of encoding; slower makes smaller files")
    crf: Annotated[float | None, Cli("--crf", VIDEO, default="as --quality says")] = Field(
        None, ge=0, le=63, description="constant quality, such as 18 for libx264"
    )
    preset: Annotated[str | None, Cli("--preset", VIDEO, default="as output.speed says")] = Field(
        None, description="the encoder's own preset"
    )
    pix_fmt: Annotated[str | None, Cli("--pix-fmt", VIDEO, default="the source's")] = Field(
        None, description="pixel format"
    )
    keyframes: Annotated[
        float | None, Cli("--keyframes", VIDEO, default="as in the source", metavar="SECONDS")
    ] = Field(
        None, ge=0, le=600, description="longest time between two keyframes; 0: each frame is one"
    )
    options: dict[str, str] = Field(default_factory=dict, description="further encoder options")
    copy_unchanged: Annotated[bool, Cli("--copy/--no-copy", VIDEO)] = Field(
        True,
        description="copy what holds no enhanced face, where the source's packets can be joined "
        "to ours",
    )
    allow_loss: Annotated[bool, Cli("--allow-loss", VIDEO)] = Field(
        False, description="go on without what the output cannot hold"
    )
    dates: Annotated[Literal["source", "now"], Cli("--dates", VIDEO)] = Field(
        "source", description="date of the files that are written: the source's, or when it is done"
    )
    fragmented: Annotated[Literal["auto", "yes", "no"], Cli("--fragmented", VIDEO)] = Field(
        "auto",
        description="write mp4 and mov in fragments, as streaming needs it; auto: as the source is",
    )
    start: Annotated[float | None, Cli("--start", SOURCE, default="the first frame")] = Field(
        None, ge=0, le=1e9, description="begin here, seconds from the first frame"
    )
    end: Annotated[float | None, Cli("--end", SOURCE, default="the last frame")] = Field(
        None, gt=0, le=1e9, description="end here, seconds from the first frame"
    )

    @field_validator("size")
    @classmethod
    def _known_size(cls, size: str) -> str:
        if not re.fullmatch(r"largest|usual|source|[1-9]\d{0,5}x[1-9]\d{0,5}", size, re.ASCII):
            raise ValueError("must be largest, usual, source or a size such as 1280x720")
        return size

    @field_validator("options", mode="before")
    @classmethod
    def _strings(cls, options: object) -> object:
        # TOML and --set give numbers where encoders take strings.
        if isinstance(options, dict):
            return {key: str(value) for key, value in options.items()}
        return options

    @field_validator("options")
    @classmethod
    def _texts(cls, options: dict[str, str]) -> dict[str, str]:
        for text in (*options, *options.values()):
            if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError("must be text in UTF-8 without NUL")
        return options

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: float | None, others: ValidationInfo) -> float | None:
        start = others.data.get("start")
        if start is not None and end is not None and end <= start:
            raise ValueError(f"must lie after the start ({start:g})")
        return end


class LimitSettings(_Section):
    """How large a source may be: a crafted file must not take all memory or all time.

    They change no result.
    """

    frame_megapixels: Positive = Field(100.0, description="largest frame, 10^6 px")
    hours: Positive = Field(100.0, description="longest video, by the times of its frames")
    frames: int = Field(10_000_000, ge=1, description="most video frames")
    faces: int = Field(1000, ge=1, description="most faces that are enhanced in one frame")
    tracks: int = Field(100_000, ge=1, description="most tracks in a video or an analysis.json")
    analysis_megabytes: Positive = Field(256.0, description="largest analysis.json, 10^6 bytes")


class Settings(_Section):
    """Everything that decides what a run makes of a source."""

    detect: DetectSettings = DetectSettings()
    link: LinkSettings = LinkSettings()
    choose: ChooseSettings = ChooseSettings()
    restore: RestoreSettings = RestoreSettings()
    output: OutputSettings = OutputSettings()
    limits: LimitSettings = LimitSettings()
    stream: Annotated[int | None, Cli("--stream", SOURCE, default="the largest", metavar="N")] = (
        Field(None, ge=0, description="the video stream to enhance, by its index in the file")
    )
    strict_input: Annotated[bool, Cli("--strict-input", SOURCE)] = Field(
        False, description="refuse a video in which damage is found"
    )
    span_seconds: Positive = Field(6.0, description="aimed length of a span")
    workers: Annotated[
        int | None, Cli("--workers", RUN, default="a core each, as memory allows")
    ] = Field(None, ge=1, le=256, description="processes")
    profile_time: Annotated[bool, Cli("--profile-time", RUN)] = Field(
        False, description="measure and report seconds of CPU by stage"
    )


def load_settings(
    *,
    profile: str = "balanced",
    config: Path | None = None,
    assignments: Sequence[str] = (),
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from a shipped profile, a TOML file, `key=value` strings and options, in that order.

    Later ones win. Keys are dotted (`detect.score`); an override of None is left out.
    Raises UsageError that names the option, the assignment or the file, what was given and what is
    allowed.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}; there are {', '.join(PROFILES)}")
    shipped = files("facepipe.configs").joinpath(f"profiles/{profile}.toml")
    merged = tomllib.loads(shipped.read_text(encoding="utf-8"))
    own: dict[str, Any] = read_toml(config, "config file") if config is not None else {}
    typed: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set wants key=value, got {assignment!r}")
        assign(own, key.strip(), literal(value.strip()))
        typed[key.strip()] = "--set"
    for key, given in (overrides or {}).items():
        if given is not None:
            assign(own, key, given)
            typed[key] = FLAGS.get(key, key)
    merge(merged, own)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise UsageError(
            refusal(error, Settings, lambda key: _typed(key, typed, config))
        ) from error


def _typed(key: str, typed: dict[str, str], config: Path | None) -> str:
    """Name a setting as it was typed: `--score`, `--set detect.score`, `own.toml: detect.score`."""
    for given, how in reversed(typed.items()):
        if f"{key}.".startswith(f"{given}.") or given.startswith(f"{key}."):
            return f"{how} {key}" if how == "--set" else how
    return key if config is None else f"{config}: {key}"


#: The option of each setting that has one.
FLAGS = {key: marker.flag.partition("/")[0] for key, _, marker in options_of(Settings)}
