"""The options of the command line: their names, types and help, each told once."""

from __future__ import annotations

from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.files import is_picture

if TYPE_CHECKING:
    from facepipe.configs.settings import Settings


class ProgressKind(StrEnum):
    auto = "auto"
    bar = "bar"
    jsonl = "jsonl"
    none = "none"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Quality(StrEnum):
    lossless_to_the_eye = "visually-lossless"
    archive = "archive"
    small = "small"


class DetectorName(StrEnum):
    yunet = "yunet"
    scrfd = "scrfd"


class Protocol(StrEnum):
    bicubic8 = "bicubic8"
    bicubic4 = "bicubic4"
    blind = "blind"
    sequence = "sequence"


Input = Annotated[Path, typer.Argument(metavar="INPUT", help="any video that FFmpeg reads")]
Output = Annotated[Path, typer.Option("--output", "-o", help="the film to write")]
Config = Annotated[Path | None, typer.Option(help="settings from a TOML file")]
Assign = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="one setting")]
Profile = Annotated[str, typer.Option(help="balanced, fast, thorough, strict or recall")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an existing output")]
Progress = Annotated[ProgressKind, typer.Option(help="how to tell of progress, on stderr")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="print errors alone")]
Workers = Annotated[int | None, typer.Option(help="processes [a core each, as memory allows]")]
Detector = Annotated[DetectorName | None, typer.Option(help="what finds faces [yunet]")]
Pack = Annotated[Path | None, typer.Option(help="folder of an insightface pack, for scrfd")]
Score = Annotated[
    float | None,
    typer.Option(help="mean score a face must reach, 0.1 less if it is seen for long [0.7]"),
]
MinFace = Annotated[float | None, typer.Option(help="smallest face, px [8]")]
MaxFace = Annotated[float | None, typer.Option(help="largest face, px [what fills the canvas]")]
DetectEvery = Annotated[int | None, typer.Option(help="look in every k-th frame [5]")]
Tracks = Annotated[
    str | None, typer.Option(metavar="N,N...", help="only these tracks, as analyze numbers them")
]
Region = Annotated[
    str | None,
    typer.Option(metavar="X,Y,W,H", help="only faces there, px; or a mask picture, white there"),
]
Largest = Annotated[int | None, typer.Option(help="only so many tracks, the largest", min=1)]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|HOST:PORT", help="work on a Ray cluster; local starts one here"
    ),
]
Shared = Annotated[
    bool, typer.Option("--shared", help="the cluster sees the same paths as this machine")
]
Gpus = Annotated[float, typer.Option(help="GPUs that each worker asks Ray for, as .5", min=0)]
MaxPixels = Annotated[int, typer.Option(help="largest picture that is opened, px", min=1)]
Restorer = Annotated[
    str | None, typer.Option(help="fishsrnet, bicubic or a .safetensors file [fishsrnet]")
]
Strength = Annotated[float | None, typer.Option(help="share of the detail that is pasted [1]")]
Fidelity = Annotated[
    float | None, typer.Option(help="share of what the source shows that stays its own [0.3]")
]
DeviceName = Annotated[Device | None, typer.Option(help="where networks run [auto]")]
Scale = Annotated[int | None, typer.Option(help="enlarge the film 1, 2 or 4 times [1]")]
Codec = Annotated[
    str | None, typer.Option(help="FFmpeg's name of an encoder [auto: the source's codec]")
]
QualityName = Annotated[
    Quality | None, typer.Option(help="how good and how large [visually-lossless]")
]
Crf = Annotated[float | None, typer.Option(help="constant quality, as 18 for libx264")]
Preset = Annotated[str | None, typer.Option(help="the encoder's own preset")]
PixFmt = Annotated[str | None, typer.Option(help="pixel format [the source's]")]
CopyUnchanged = Annotated[
    bool | None,
    typer.Option(
        "--copy/--no-copy", help="copy what holds no enhanced face, where packets join [copy]"
    ),
]
AllowLoss = Annotated[
    bool | None, typer.Option("--allow-loss", help="go on without what the output cannot hold")
]
StrictInput = Annotated[
    bool | None, typer.Option("--strict-input", help="refuse a film in which damage is found")
]
Start = Annotated[float | None, typer.Option(help="begin here, seconds from the first frame")]
End = Annotated[float | None, typer.Option(help="end here, seconds from the first frame")]

#: The setting that each option sets.
SETTING_OF_OPTION = {
    "detector": "detect.detector",
    "pack": "detect.pack",
    "score": "detect.score",
    "min_face": "detect.min_face",
    "max_face": "detect.max_face",
    "detect_every": "detect.every",
    "tracks": "choose.tracks",
    "region": "choose.region",
    "largest": "choose.largest",
    "restorer": "restore.restorer",
    "strength": "restore.strength",
    "fidelity": "restore.fidelity",
    "device": "restore.device",
    "scale": "output.scale",
    "codec": "output.codec",
    "quality": "output.quality",
    "crf": "output.crf",
    "preset": "output.preset",
    "pix_fmt": "output.pix_fmt",
    "copy": "output.copy_unchanged",
    "allow_loss": "output.allow_loss",
    "strict_input": "strict_input",
    "start": "output.start",
    "end": "output.end",
    "workers": "workers",
}


def settings_of(ctx: typer.Context) -> Settings:
    """The settings that the command's options make, as far as they were given."""
    from facepipe.configs.settings import load_settings

    given = ctx.params
    overrides = {key: given[name] for name, key in SETTING_OF_OPTION.items() if name in given}
    return load_settings(
        profile=given["profile"],
        config=Path(given["config"]) if given["config"] else None,  # typer before 0.29: str
        assignments=given["assign"] or (),
        overrides={k: v.value if isinstance(v, Enum) else v for k, v in overrides.items()},
    )


def begin(ctx: typer.Context, source: Path) -> Settings:
    """The same; what workers need for a film begins to be imported, beside our own imports."""
    from facepipe.workers.local import usable_cores
    from facepipe.workers.nursery import prepare

    settings = settings_of(ctx)
    if (settings.workers or usable_cores()) > 1 and not is_picture(source):
        prepare()
    return settings
