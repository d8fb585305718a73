"""One picture from file to file: what `facepipe run` does with a photograph."""

from __future__ import annotations

from pathlib import Path

from facepipe._files import is_there
from facepipe.configs.settings import Settings
from facepipe.errors import InputError, OutputError, UsageError
from facepipe.images.picture import MOST_PIXELS
from facepipe.pipeline.preflight import check_output, check_restorer
from facepipe.pipeline.stills import Still, StillDone, StillsTask, enhance_stills

#: Suffixes that mean the same kind of picture.
_SAME = {".jpeg": ".jpg", ".tiff": ".tif", ".heif": ".heic"}


def enhance_picture_file(
    source: Path,
    target: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    most_pixels: int = MOST_PIXELS,
) -> StillDone:
    """Write the picture with its faces made clear to `target`, and a report beside it.

    A picture in which no face is enhanced is copied byte by byte, unless it is enlarged.
    Raises InputError for what is no picture, UsageError for a target of another kind, OutputError
    for one that cannot be written.
    """
    if not is_there(source) or not source.is_file():
        raise InputError(f"{source}: there is no such picture")
    kinds = [_SAME.get(path.suffix.lower(), path.suffix.lower()) for path in (source, target)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{target.name}: a picture keeps its kind; name the output *{source.suffix.lower()}"
        )
    check_output(source, target, overwrite)
    model, _ = check_restorer(settings)
    still = Still(0, str(source), target)
    task = StillsTask((still,), target.parent, settings, most_pixels, model)
    (done,) = enhance_stills(task, lambda _: None).stills
    if done.failed:
        raise (OutputError if done.unwritten else InputError)(done.failed)
    return done
