"""The console script: which commands there are, and the exit code of whatever they raise."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from facepipe import __version__
from facepipe.cli.commands import Lazy, LazyGroup
from facepipe.cli.error_report import report_of
from facepipe.cli.machine import is_asked, note_error, one_object, with_figures
from facepipe.cli.output import print_error
from facepipe.cli.signals import Interrupted, graceful_shutdown
from facepipe.cli.streams import lost_output, make_sturdy, reopen_closed
from facepipe.configs.notices import SHORT_NOTICE
from facepipe.errors import FacepipeError, OutOfMemoryError, OutputError, UsageError


class _Commands(LazyGroup):
    panels = {  # noqa: RUF012
        "Commands": {
            "run": Lazy("facepipe.cli.run:run", "enhance the faces of a video or a photograph"),
            "batch": Lazy("facepipe.cli.batch:batch", "enhance folders, archives and addresses"),
            "analyze": Lazy(
                "facepipe.cli.run:analyze", "find the faces of a video, to look at or edit"
            ),
            "render": Lazy("facepipe.cli.run:render", "enhance the faces that an analysis names"),
            "settings": Lazy(
                "facepipe.cli.settings:settings", "all settings, as TOML to copy and edit"
            ),
            "doctor": Lazy("facepipe.cli.doctor:doctor", "try what this machine has and can do"),
            "describe": Lazy(
                "facepipe.cli.describe:describe", "what there is, for programs: options, exit codes"
            ),
        },
        "To look at": {
            "ui": Lazy("facepipe.cli.ui:ui", "a page to choose, compare, run and download"),
            "preview": Lazy(
                "facepipe.cli.looking:preview", "a sheet of telling faces, before and after"
            ),
            "report": Lazy("facepipe.cli.looking:report", "a page on an analysis or an output"),
            "compare": Lazy("facepipe.cli.looking:compare", "two videos in one, side by side"),
            "gallery": Lazy("facepipe.cli.looking:gallery", "each track's best face as an image"),
        },
        "Proof": {
            "verify": Lazy("facepipe.cli.proof:verify", "is an output still what it was?"),
            "reproduce": Lazy(
                "facepipe.cli.proof:reproduce", "render by a report again, and compare"
            ),
        },
        "Training and measuring networks": {
            "models": Lazy("facepipe.cli.models:models_app", "list the networks"),
            "evaluate": Lazy("facepipe.cli.evaluate:evaluate_app", "measure quality"),
            "train": Lazy("facepipe.cli.train:train", "train a network by a recipe"),
            "align": Lazy("facepipe.cli.train:align", "cut aligned faces out of photographs"),
            "label": Lazy("facepipe.cli.train:label", "label the parts of faces with a teacher"),
            "export": Lazy("facepipe.cli.train:export", "join trained networks into one restorer"),
        },
    }


#: The extra of facepipe that brings a module, where `pip install facepipe` alone does not.
EXTRA_OF_MODULE = {
    "c2pa": "c2pa",
    "cryptography": "c2pa",
    "dlib": "identity",
    "face_recognition_models": "identity",
    "gcsfs": "remote",
    "aiohttp": "remote",
    "s3fs": "remote",
    "insightface": "scrfd",
    "onnx": "train",
    "onnxscript": "train",
    "skimage": "train",
    "pillow_heif": "heic",
    "ray": "cluster",
    "starlette": "ui",
    "tomlkit": "ui",
    "uvicorn": "ui",
    "websockets": "ui",
    "safetensors": "torch",
    "torch": "torch",
}

#: Commands that need the other packages of [train] besides PyTorch.
_TRAINING = ("train", "align", "label", "export", "evaluate")

#: Commands whose result is a file, and not what they print, unless --json asks for an object.
_WRITING = ("run", "analyze", "render", "batch", "preview", "report", "compare", "gallery")

#: What loaders write where a library finds no room.
_NO_ROOM = ("map segment", "bad_alloc", "Cannot allocate")

#: Address space that Python and its libraries take before any video is opened. With less, some of
#: them end the process, and some turn for ever.
_LEAST_SPACE = 1100 * 2**20

app = typer.Typer(
    name="facepipe",
    cls=_Commands,
    help="Make the tiny faces of a video clear and leave the rest of the video as it is.\n\n"
    + SHORT_NOTICE,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"facepipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Make the tiny faces of a video clear and leave the rest of the video as it is."""


def _check_space() -> None:
    """Raise OutOfMemoryError where this process may not even load what it needs."""
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < _LEAST_SPACE:
        raise OutOfMemoryError(
            f"there is not enough memory: this process may take {allowed >> 20} MB, "
            f"{_LEAST_SPACE >> 20} MB at least are needed"
        )


def _unloadable(error: ImportError) -> tuple[str, int]:
    """Say why a library does not load, and give the exit code."""
    short = any(words in str(error) for words in _NO_ROOM)
    cause = "there is not enough memory; " if short else ""
    said = f"{cause}a library does not load: {error}"
    return said, OutOfMemoryError.exit_code if short else 1


def main() -> None:
    """The console script: runs the command and turns what it raises into an exit code."""
    reopen_closed()
    make_sturdy()
    code: object = None
    sys.argv[1:] = with_figures(sys.argv[1:])
    try:
        with one_object(sys.argv[1:]):
            _main()
    except SystemExit as ended:
        code = ended.code
    lost = lost_output()
    if lost is not None:
        print_error(
            f"standard output cannot be written ({lost.strerror or lost}): what was printed is not "
            "complete; files are"
        )
        if is_asked(sys.argv[1:]) or sys.argv[1:2] == [] or sys.argv[1] not in _WRITING:
            code = code or OutputError.exit_code
    sys.exit(code)  # type: ignore[arg-type]


def _main() -> None:
    """Run the command; whatever it raises becomes SystemExit."""
    try:
        with graceful_shutdown():
            if len(sys.argv) > 1 and sys.argv[1] in _WRITING:
                _check_space()
            app()
    except FacepipeError as error:
        _end(error, error, error.exit_code)
    except MemoryError as error:
        said = "there is not enough memory; fewer --workers need less"
        _end(error, said, OutOfMemoryError.exit_code)
    except ModuleNotFoundError as error:
        _end(error, _missing(error.name or str(error)), UsageError.exit_code)
    except ImportError as error:  # a library that is damaged, or finds no room
        _end(error, *_unloadable(error))
    except Interrupted as stopped:
        said = "stopped; what is finished is kept, the same command goes on from there"
        _end(stopped, said, stopped.exit_code)


def _end(error: BaseException, message: object, exit_code: int) -> NoReturn:
    """Print why the command ends, and end it."""
    print_error(message)
    note_error(report_of(error, message, exit_code))
    sys.exit(exit_code)


def _missing(module: str) -> str:
    """Say that a module is missing, and the extra of facepipe that brings it."""
    extra = EXTRA_OF_MODULE.get(module.partition(".")[0])
    if extra == "torch" and sys.argv[1:2] and sys.argv[1] in _TRAINING:
        extra = "train"
    remedy = f"; pip install 'facepipe[{extra}]' brings it" if extra else ""
    return f"this needs {module}, which is not installed{remedy}"


if __name__ == "__main__":
    main()
