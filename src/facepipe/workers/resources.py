"""Cores and memory of this machine, and how many workers they allow."""

from __future__ import annotations

import ctypes
import gc
import mmap
import multiprocessing
import os
import sys
from functools import cache
from pathlib import Path

import psutil

from facepipe.errors import OutOfMemoryError

#: Memory of a worker without any frames, and frames that it keeps besides its encoder: those of the
#: decoder and of a window. Measured as the peak of its own pages (USS) while it rendered 120 frames
#: of five faces with libx264: 667 MiB at 1280x720, 949 MiB at 1920x1080.
_WORKER_BYTES, _WINDOW_FRAMES = 440 * 2**20, 56
#: Frames that an encoder keeps in memory (measured with 1920x1080 and 3840x2160).
_ENCODER_FRAMES = {
    "libx264": 115, "libx265": 140, "libsvtav1": 260, "libvpx-vp9": 90, "ffv1": 30, "prores_ks": 15
}  # fmt: skip


#: Why one process does all.
NO_SEMAPHORES = (
    "this system has no semaphores (is there no /dev/shm?): one process does all, on one core; "
    "in a container, mount one (docker run --shm-size 64m)"
)
#: Bytes that the folder of temporary files may have for Ray's sockets, whose names have 107 at
#: most: "ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store" lies within it.
LONGEST_SOCKET_FOLDER = 107 - 72


def worker_bytes(
    width: int = 1920, height: int = 1080, *, codec: str = "libx264", sample_bytes: int = 1
) -> int:
    """Estimate the memory that one worker takes, in bytes.

    `width` and `height` are of the video that `codec` writes, in pixels; `sample_bytes` is 2 above
    8 bits a component. Without arguments it is the estimate for a video that is not known yet:
    947 MiB. A codec that was not measured counts as libx264.
    """
    frame_bytes = width * height * 3 // 2 * sample_bytes
    held = _ENCODER_FRAMES.get(codec, _ENCODER_FRAMES["libx264"])
    return _WORKER_BYTES + (_WINDOW_FRAMES + held) * frame_bytes


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def has_semaphores() -> bool:
    """Whether this system has what worker processes wait for each other with.

    It has not where /dev/shm is missing or cannot be written, as in some containers and jails.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError, NotImplementedError):
        return False
    return True


def affordable_workers(bytes_each: int) -> int:
    """Number of workers: the usable cores, fewer where memory allows fewer, at least one.

    One, which is this process, where there are no semaphores.
    """
    if not has_semaphores():
        return 1
    return max(1, min(usable_cores(), free_memory() // bytes_each))


def free_memory() -> int:
    """Bytes that this process and its children may still take."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:  # in a container, its own limit; "max" where there is none
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(free, 0)


def check_memory(needed: int) -> None:
    """Raise OutOfMemoryError where this process may not take so many bytes more (RLIMIT_AS).

    Libraries that meet such a limit in the midst of their work end the process, or never end.
    """
    if sys.platform == "win32":
        return
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except (OSError, OverflowError, ValueError) as error:
        raise OutOfMemoryError(
            f"about {needed >> 20} MB of memory are needed and this process may not take as many; "
            "raise its limit (ulimit -v)"
        ) from error


def return_memory() -> None:
    """Give the system back what the task freed.

    Containers and codecs lie in cycles, a handful of small objects with megabytes behind them: too
    few for the collector to come by itself. And glibc keeps freed blocks of every size that
    networks and codecs asked for: 18 MB a span. Other allocators give back by themselves.
    """
    gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Give the system back what is free, and leave cycles to the collector.

    Within a long task too, freed blocks lie between others that are in use, and more and more so.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
