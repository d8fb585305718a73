"""Cache of compiled networks on disk: OpenVINO compiles for a third of a second, each time anew.

Where it lies: the folder that FACEPIPE_CACHE names (empty: nothing is kept), else `facepipe` in the
user's folder for such files. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepipe._system.files import atomic_write
from facepipe.errors import OutputError

if TYPE_CHECKING:
    from openvino import CompiledModel, Core

log = logging.getLogger(__name__)
#: Networks that are kept, those used last: each takes some 14 MB.
MOST = 4
_DIGEST = hashlib.sha256().digest_size


def compile_once(
    core: Core, graph: Path, options: dict[str, Any], weights_mark: str
) -> CompiledModel:
    """The network of `graph` on the CPU: from the cache, or compiled and put there.

    `weights_mark` stands for the content of graph and weights; without one, nothing is kept. What
    is kept is used on the same kind of processor alone, with the same OpenVINO and options, and
    where it is whole. Raises RuntimeError as OpenVINO does.
    """
    import openvino

    folder = cache_folder() if weights_mark else None
    if folder is None:
        return core.compile_model(core.read_model(graph), "CPU", options)
    machine = [
        str(core.get_property("CPU", name))
        for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    ]
    made_of = repr((openvino.__version__, machine, sorted(options.items()), weights_mark))
    path = folder / f"{hashlib.sha256(made_of.encode()).hexdigest()}.openvino"
    kept = _read(path)
    if kept is not None:
        with suppress(RuntimeError):
            return core.import_model(kept, "CPU", options)
    compiled = core.compile_model(core.read_model(graph), "CPU", options)
    exported = compiled.export_model()  # of bytes in older versions
    _keep(exported if isinstance(exported, bytes) else exported.getvalue(), path)
    return compiled


def cache_folder() -> Path | None:
    """The folder for what is kept from one run to the next; None: nothing is to be kept."""
    given = os.environ.get("FACEPIPE_CACHE")
    if given is not None:
        return Path(given) if given else None
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData/Local")
    elif sys.platform == "darwin":
        base = home / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "facepipe"


def _read(path: Path) -> bytes | None:
    """What `_keep` wrote, None where that is not there or not whole."""
    try:
        if not _is_private(path.parent):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):
        path.touch()  # so that what is in use is not the oldest
    kept = content[_DIGEST:]
    return kept if hashlib.sha256(kept).digest() == content[:_DIGEST] else None


def _is_private(folder: Path) -> bool:
    """Whether nobody else can put a network there. Errors: OSError as the disk does."""
    if os.name != "posix":
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def _keep(content: bytes, path: Path) -> None:
    """Write the content with its digest, and delete the oldest of what is too much.

    A folder that cannot be written to costs time, and nothing else.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.parent):
            return
        with atomic_write(path) as partial:
            partial.write_bytes(hashlib.sha256(content).digest() + content)
        kept = (one for one in path.parent.glob("*.openvino") if not one.name.startswith("."))
        by_age = sorted(kept, key=lambda one: one.stat().st_mtime)
        for old in by_age[:-MOST]:
            old.unlink()
    except (OSError, OutputError) as error:
        log.info("the compiled network is not kept: %s", error)
