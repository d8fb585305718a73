"""A system that lacks something, for programs that run under it: a library loaded before others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

#: Why there is none on this machine; None: there is.
LACKS = (
    "this machine is no Linux, where a library can be loaded before others"
    if sys.platform != "linux"
    else None
    if shutil.which("gcc")
    else "this machine has no gcc"
)
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
static int lacks(const char *what) {
  const char *list = getenv("LACKS");
  return list && !strcmp(list, what);
}
int flock(int file, int operation) {
  if (lacks("locks")) { errno = ENOLCK; return -1; }
  return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, operation);
}
static int is_lock(int command) {
  return (command >= 5 && command <= 7) || (command >= 12 && command <= 14)
      || (command >= 36 && command <= 38);
}
#define WITHOUT_LOCKS(name) \
  int name(int file, int command, ...) { \
    va_list rest; va_start(rest, command); void *given = va_arg(rest, void *); va_end(rest); \
    if (lacks("locks") && is_lock(command)) { errno = ENOLCK; return -1; } \
    return ((int (*)(int, int, void *))dlsym(RTLD_NEXT, #name))(file, command, given); }
WITHOUT_LOCKS(fcntl)
WITHOUT_LOCKS(fcntl64)
sem_t *sem_open(const char *name, int flags, ...) {
  va_list rest; va_start(rest, flags);
  int mode = va_arg(rest, int); unsigned value = va_arg(rest, unsigned); va_end(rest);
  if (lacks("semaphores")) { errno = ENOENT; return SEM_FAILED; }
  return ((sem_t *(*)(const char *, int, int, unsigned))dlsym(RTLD_NEXT, "sem_open"))(
      name, flags, mode, value);
}
"""


@cache
def _library(folder: Path) -> Path:
    source, library = folder / "lacking.c", folder / "lacking.so"
    source.write_text(_SOURCE)
    call = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(call, check=True)
    return library


def environment(what: str, folder: Path) -> dict[str, str]:
    """The environment of a program whose system lacks `what`: "locks" or "semaphores".

    The coverage of such programs is not measured: it goes into a database that needs locks.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    return {**kept, "LD_PRELOAD": str(_library(folder)), "LACKS": what}
