"""The settings of a run: frozen, validated, the same from the command line and from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from facepipe._files import is_there
from facepipe.errors import UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Quality = Literal["visually-lossless", "archive", "small"]
Speed = Literal["fast", "balanced", "slow"]
_MOST_TOML = 2**20
#: Sections within sections that a key may name.
_DEEPEST = 8
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120
PROFILES = ("balanced", "fast", "thorough", "strict", "recall")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DetectSettings(_Section):
    """How faces are found."""

    detector: Literal["yunet", "scrfd"] = "yunet"
    pack: Path | None = Field(None, description="folder of an insightface pack, for scrfd")
    score: Share = Field(0.7, description="mean score below which a track is refused")
    min_face: float = Field(8.0, ge=4, description="smallest face, px of the frame")
    max_face: Positive | None = Field(
        None, description="largest face, px of the frame; default: what fills the canvas"
    )
    every: int = Field(5, ge=1, le=250, description="look for faces in every k-th frame")
    enlarge: int = Field(2, ge=1, le=4, description="enlargement of the second pass")


class LinkSettings(_Section):
    """How sightings become tracks."""

    min_seconds: float = Field(0.25, ge=0, description="shortest track that is enhanced")
    gap_seconds: float = Field(1.0, ge=0, description="longest time unseen within one track")
    features: Share = Field(
        0.4, description="share of a face's parts that a very doubtful face must show; 0 asks none"
    )
    detail: Share = Field(
        0.1, description="share of its contrast that must be detail; a blurred face has less"
    )


class ChooseSettings(_Section):
    """Which of the faces found are enhanced; all, where nothing is said."""

    tracks: tuple[int, ...] | None = Field(None, description="numbers that analyze gave: 3,7")
    region: tuple[float, float, float, float] | Path | None = Field(
        None, description="x,y,width,height in px of the film as shown, or a mask picture"
    )
    largest: int | None = Field(None, ge=1, description="only so many, the largest")

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
        numbers = given.split(",") if isinstance(given, str) else given
        try:
            x, y, width, height = (float(number) for number in numbers)  # type: ignore[attr-defined]
        except (TypeError, ValueError) as error:
            raise ValueError("must be x,y,width,height in px, or a picture") from error
        if not (width > 0 and height > 0):
            raise ValueError("must have a width and a height above 0")
        return x, y, width, height


class RestoreSettings(_Section):
    """How faces are restored and pasted."""

    restorer: str = Field("fishsrnet", description="a name that `facepipe models` lists")
    strength: Share = Field(1.0, description="share of the restored detail that is pasted")
    fidelity: Share = Field(
        0.3, description="share of what the source itself shows that stays the source's"
    )
    mirrored: bool = Field(False, description="restore the mirror image too, and take the mean")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    runtime: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    window: int = Field(8, ge=1, le=256, description="frames whose faces are restored together")


class OutputSettings(_Section):
    """How the film is written."""

    scale: Literal[1, 2, 4] = 1
    codec: str = Field("auto", description="auto: the source's, where it can be written well")
    quality: Quality = "visually-lossless"
    speed: Speed = Field("balanced", description="of encoding; slower makes smaller files")
    crf: float | None = Field(None, ge=0, le=63, description="constant quality; 18 for libx264")
    preset: str | None = Field(None, description="the encoder's own preset")
    pix_fmt: str | None = Field(None, description="default: the source's")
    options: dict[str, str] = Field(default_factory=dict, description="further encoder options")
    copy_unchanged: bool = Field(
        True, description="copy what holds no enhanced face, where the source's packets join ours"
    )
    allow_loss: bool = Field(False, description="go on without what the target cannot hold")
    start: float | None = Field(None, ge=0, le=1e9, description="seconds from the first frame")
    end: float | None = Field(None, gt=0, le=1e9, description="seconds from the first frame")

    @field_validator("options", mode="before")
    @classmethod
    def _strings(cls, options: object) -> object:
        # TOML and --set give numbers where encoders take strings.
        if isinstance(options, dict):
            return {key: str(value) for key, value in options.items()}
        return options

    @model_validator(mode="after")
    def _ordered(self) -> OutputSettings:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must lie after start ({self.start})")
        return self


class LimitSettings(_Section):
    """How large a source may be: a crafted file must not take all memory or all time.

    They change no result.
    """

    frame_megapixels: Positive = Field(100.0, description="largest frame, 10^6 px")
    hours: Positive = Field(100.0, description="longest film, by the times of its frames")
    frames: int = Field(10_000_000, ge=1, description="most video frames in a film")
    faces: int = Field(1000, ge=1, description="most faces that are enhanced in one frame")
    tracks: int = Field(100_000, ge=1, description="most tracks in a film or an analysis.json")
    analysis_megabytes: Positive = Field(256.0, description="largest analysis.json, 10^6 bytes")


class Settings(_Section):
    """Everything that decides what a run makes of a source."""

    detect: DetectSettings = DetectSettings()
    link: LinkSettings = LinkSettings()
    choose: ChooseSettings = ChooseSettings()
    restore: RestoreSettings = RestoreSettings()
    output: OutputSettings = OutputSettings()
    limits: LimitSettings = LimitSettings()
    strict_input: bool = Field(False, description="refuse a film in which damage is found")
    span_seconds: Positive = Field(6.0, description="aimed length of a span")
    workers: int | None = Field(None, ge=1, le=256, description="processes; default: a core each")


def load_settings(
    *,
    profile: str = "balanced",
    config: Path | None = None,
    assignments: Sequence[str] = (),
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from a shipped profile, a TOML file, `key=value` strings and options, in that order.

    Later ones win. Keys are dotted (`detect.score`); an override of None is left out.
    Raises UsageError that names the key, what was given and what is allowed.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}; there are {', '.join(PROFILES)}")
    shipped = files("facepipe.configs").joinpath(f"profiles/{profile}.toml")
    merged = tomllib.loads(shipped.read_text(encoding="utf-8"))
    own: dict[str, Any] = read_toml(config, "config file") if config is not None else {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set wants key=value, got {assignment!r}")
        _assign(own, key.strip(), _literal(value.strip()))
    for dotted, given in (overrides or {}).items():
        if given is not None:
            _assign(own, dotted, given)
    _merge(merged, own)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise UsageError(_one_line(error)) from error


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """What a TOML file says; `kind` is what errors call it. Raises UsageError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(f"{path}: this {kind} is no regular file")
        with path.open("rb") as file:
            content = file.read(_MOST_TOML + 1)
        if len(content) > _MOST_TOML:
            raise UsageError(f"{path}: this {kind} has more than {_MOST_TOML} bytes")
        return tomllib.loads(content.decode())
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such {kind}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: this {kind} cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, 1,000 brackets
        raise UsageError(f"{path}: not valid TOML ({error})") from error


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _assign(into: dict[str, Any], dotted: str, value: object) -> None:
    *sections, last = dotted.split(".")
    if len(sections) > _DEEPEST:
        raise UsageError(f"--set wants key=value, got a key of {len(sections) + 1} parts")
    for section in sections:
        inner = into.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{dotted}: {section} is a value, not a section")
        into = inner
    into[last] = value


def _literal(text: str) -> object:
    """The TOML value that `text` spells, or the text itself: `--set output.codec=ffv1`."""
    try:
        spelled = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return spelled["value"] if len(spelled) == 1 else text


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {key!r}; known here: {', '.join(_known(first['loc']))}"
    message = first["msg"].removeprefix("Value error, ")
    return f"setting {key or 'output'}: {message}, got {short(first['input'])}"


def short(value: object) -> str:
    """A value as an error may show it: it can be as large and as deep as its file."""
    return _SHORT.repr(value)


def _known(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return sorted(model.model_fields)
