"""A lock that one process at a time holds, also where the file system knows no locks."""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from facepipe.errors import OutputError

#: What file systems without locks answer: some of NFS, Lustre and FUSE.
_NO_LOCKS = frozenset([errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
#: Suffix of the file that stands for the lock there.
HELD = ".held"
#: What can be done where another process holds a lock.
BUSY_HINT = "wait until the other run has ended"
#: Name of the file that is locked in a working folder.
LOCK = "lock"


class HeldError(Exception):
    """Another process holds the lock; the message says which, as far as is known."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made; a kill frees it.

    Where the file system knows no locks, a file beside it says which process holds it; one that a
    kill has left is taken over on the machine on which it was made.
    Errors: HeldError, and OSError as the disk does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions of filelock say what they do instead
            lock = FileLock(path, timeout=0)
            lock.acquire()
    except Timeout as error:
        raise HeldError("another process holds it") from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        with _held_by_file(path.with_name(path.name + HELD)):
            yield
        return
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_folder(folder: Path, busy: str, *, parents: bool = False) -> Iterator[Path]:
    """Make a working folder, hold its lock, and give the lock's file.

    The folders above are made too with `parents`. Errors: OutputError, with the words `busy` where
    another process holds the lock.
    """
    path = folder / LOCK
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=parents, exist_ok=True)
            stack.enter_context(exclusive(path))
        except HeldError as error:
            raise OutputError(f"{busy} ({error})", hint=BUSY_HINT, retryable=True) from error
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot write there ({error.strerror or error})"
            ) from error
        yield path


def knows_locks(folder: Path) -> bool:
    """Whether the file system of a folder knows locks. Errors: OSError as the disk does."""
    path = folder / f".facepipe-lock-{os.getpid()}"
    try:
        with exclusive(path):
            return not path.with_name(path.name + HELD).exists()
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _held_by_file(path: Path) -> Iterator[None]:
    own = f"{os.getpid()} {psutil.Process().create_time()} {socket.gethostname()}"
    if not _made(path, own):
        holder = _read(path)
        if not _is_gone(holder):
            raise HeldError(
                f"{path} says that process {holder.partition(' ')[0] or '?'} on "
                f"{holder.rpartition(' ')[2] or '?'} holds it; delete that file if it does not run"
            )
        path.unlink(missing_ok=True)
        if not _made(path, own):
            raise HeldError("another process took it just now")
    try:
        yield
    finally:
        with suppress(OSError):
            if _read(path) == own:
                path.unlink()


def _made(path: Path, content: str) -> bool:
    """Make a file that is not there yet; False: it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _is_gone(holder: str) -> bool:
    """Whether a process of this machine, given as its number, begin and machine, has ended."""
    words = holder.split(" ")
    if len(words) != 3 or words[2] != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(int(words[0])).create_time() != float(words[1]))
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return True
    except psutil.Error:
        return False
