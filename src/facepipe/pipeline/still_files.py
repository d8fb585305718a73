"""The files of a photograph: what is refused before it is enhanced."""

from __future__ import annotations

from pathlib import Path

from facepipe._system.files import is_there
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.preflight import check_output

#: Suffixes of the same format.
_SAME_FORMAT = {
    **dict.fromkeys((".jpeg", ".jfif", ".jpe", ".mpo"), ".jpg"),
    **{".tiff": ".tif", ".heif": ".heic", ".dib": ".bmp"},
}


def check_files(source: Path, target: Path, *, overwrite: bool) -> None:
    """Refuse a source that is not there, and a target of another format or that exists."""
    if not is_there(source) or not source.is_file():
        raise InputError(f"{source}: there is no such image")
    kinds = [
        _SAME_FORMAT.get(path.suffix.lower(), path.suffix.lower()) for path in (source, target)
    ]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{target.name}: an image keeps its format; name the output *{source.suffix.lower()}"
        )
    check_output(source, target, overwrite)
