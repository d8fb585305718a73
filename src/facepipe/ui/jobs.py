"""Jobs: what the page has facepipe do, one after the other, each by the command that does it.

The queue lies in a hidden folder beside the videos, so that it outlives the server: what was at
work goes on where it was. A job that is stopped keeps its finished work until it is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from facepipe._system.files import write_text
from facepipe._system.locks import LOCK, HeldError, exclusive, locked_folder
from facepipe.errors import UsageError, printable
from facepipe.pipeline.checkpoint import folder_of
from facepipe.ui.commands import Command, Kind, Progress, arguments
from facepipe.ui.library import (
    Library,
    NotFoundError,
    analysis_path,
    is_target,
    new_target,
)

State = Literal["waiting", "running", "done", "failed", "stopped"]

#: Jobs that the queue holds, at most.
MOST_JOBS = 200
_FOLDER = ".facepipe-ui"
#: Seconds after which a target is looked at again that another run is making.
_PATIENCE = 1.0
#: Seconds in which a job that was stopped has ended, as a rule.
_ENDING_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """A job of the queue. `video` and `target` are names in the folder.

    `done` and `total` are frames; `seconds_left` is None where it is not known. `message` is what
    the command printed at its end.
    """

    number: int
    kind: Kind
    video: str
    target: str
    state: State = "waiting"
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    message: str = ""


_JOBS = TypeAdapter(list[Job])


class Queue:
    """The jobs of a folder, and the thread that does them; its methods are for all threads."""

    def __init__(self, library: Library, folder: Path) -> None:
        self._library = library
        self._file = folder / "queue.json"
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._command: Command | None = None
        self._working: int | None = None  # the number of the job that the thread is at
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="jobs")
        self.version = 0  # another one after each change
        for job in _kept(self._file):
            if not _is_of(job, library):
                continue  # a folder may come from elsewhere, and name any file
            state: State = "waiting" if job.state == "running" else job.state
            self._jobs[job.number] = replace(job, state=state, seconds_left=None)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def jobs(self) -> list[Job]:
        """All jobs, by number: the order in which they are done."""
        with self._changed:
            return [self._jobs[number] for number in sorted(self._jobs)]

    def add(self, kind: Kind, video: Path) -> Job:
        """Put a job on a video at the end. UsageError: it is there, or there are too many."""
        name = self._library.name_of(video)
        with self._changed:
            if len(self._jobs) >= MOST_JOBS:
                raise UsageError(f"the queue holds {MOST_JOBS} jobs: remove some")
            pending = [job for job in self._jobs.values() if job.state in ("waiting", "running")]
            if any((job.kind, job.video) == (kind, name) for job in pending):
                raise UsageError(f"{name}: that is in the queue already")
            taken = {self._library.folder / job.target for job in self._jobs.values()}
            target = analysis_path(video) if kind == "analyze" else new_target(video, taken)
            number = max(self._jobs, default=0) + 1
            job = Job(number, kind, name, self._library.name_of(target))
            self._put(job)
            return job

    def stop(self, number: int) -> None:
        """Stop a job that waits or is at work; its finished work is kept."""
        with self._changed:
            job = self._known(number, ("waiting", "running"))
            self._put(replace(job, state="stopped", seconds_left=None))
            if job.state == "running" and self._command is not None:
                self._command.interrupt()

    def resume(self, number: int) -> None:
        """Put a job that was stopped or has failed back: it goes on where it was."""
        with self._changed:
            job = self._known(number, ("stopped", "failed"))
            self._put(replace(job, state="waiting", message=""))

    def remove(self, number: int) -> None:
        """Take a job that is not at work out of the queue, and delete the work that it kept.

        What it has made stays.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_ending(number), _ENDING_SECONDS)
            job = self._known(number, ("waiting", "stopped", "failed", "done"))
            if job.state != "done":
                _delete_kept_work(self._library.folder / job.target)
            del self._jobs[number]
            self._save()

    def end(self) -> None:
        """End the work; the job that is at work goes on when the queue is opened again."""
        with self._changed:
            self._ended = True
            if self._command is not None:
                self._command.interrupt()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def is_empty(self) -> bool:
        """Whether nothing is left that the next server would have to know."""
        return all(job.state == "done" for job in self.jobs())

    def _is_ending(self, number: int) -> bool:
        """Whether a job was stopped whose command has not ended yet."""
        job = self._jobs.get(number)
        return self._working == number and job is not None and job.state != "running"

    def _known(self, number: int, states: Sequence[State]) -> Job:
        job = self._jobs.get(number)
        if job is None:
            raise UsageError(f"there is no job {number}")
        if job.state not in states:
            raise UsageError(f"job {number} is {job.state}")
        return job

    def _put(self, job: Job) -> None:
        """Set a job; the caller holds the lock."""
        before = self._jobs.get(job.number)
        self._jobs[job.number] = job
        if before is None or before.state != job.state:
            self._save()
        else:
            self.version += 1

    def _save(self) -> None:
        self.version += 1
        self._changed.notify_all()
        write_text(json.dumps([asdict(job) for job in self._jobs.values()]), self._file)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._run(job)
            except Exception as error:  # noqa: BLE001 (a fault of one job ends no other)
                self._close(job.number, "failed", printable(error))
            with self._changed:
                self._working = None
                self._changed.notify_all()

    def _next(self) -> Job | None:
        """The next job, marked as running; None: the queue has ended."""
        with self._changed:
            while not self._ended:
                waiting = sorted(n for n, job in self._jobs.items() if job.state == "waiting")
                if waiting:
                    job = replace(self._jobs[waiting[0]], state="running")
                    self._working = job.number
                    self._put(job)
                    return job
                self._changed.wait()
        return None

    def _run(self, job: Job) -> None:
        folder = self._library.folder
        video, target = folder / job.video, folder / job.target
        if not self._is_free(job, target):
            return
        if job.kind == "render" and target.exists():  # made before the last server was killed
            self._close(job.number, "done", "")
            return
        progress = Progress()

        def on_event(done: int, total: int) -> None:
            with self._changed:
                now = self._jobs.get(job.number)
                if now is not None and now.state == "running":
                    left = progress.seconds_left(done, total, time.monotonic())
                    self._put(replace(now, done=done, total=total, seconds_left=left))

        with self._changed:
            now = self._jobs.get(job.number)
            if self._ended or now is None or now.state != "running":
                return
            self._put(replace(now, message=""))
            self._command = Command(arguments(job.kind, video, target), folder)
        try:
            code, message = self._command.wait(on_event)
            message = message.replace(f"{folder}{os.sep}", "")
        finally:
            with self._changed:
                self._command = None
        self._close(job.number, "done" if code == 0 else "failed", message)

    def _is_free(self, job: Job, target: Path) -> bool:
        """Wait until no other run makes the target; False: the job was stopped meanwhile."""
        while _is_being_made(target):
            with self._changed:
                now = self._jobs.get(job.number)
                if self._ended or now is None or now.state != "running":
                    return False
                self._put(replace(now, message="waits for another run that makes this file"))
                self._changed.wait(_PATIENCE)
        return True

    def _close(self, number: int, state: State, message: str) -> None:
        """Note how a job has ended, unless it was stopped or is to go on later."""
        with self._changed:
            job = self._jobs.get(number)
            if job is None or job.state != "running":
                return
            if self._ended and state == "failed":
                self._put(replace(job, state="waiting", seconds_left=None, message=""))
                return
            done = job.total if state == "done" else job.done
            self._put(replace(job, state=state, done=done, seconds_left=None, message=message))


@contextmanager
def open_queue(library: Library) -> Iterator[Queue]:
    """The queue of a folder, at work; on leaving, nothing is left of one that is done.

    OutputError: another server has the folder.
    """
    folder = library.folder / _FOLDER
    with locked_folder(folder, f"{library.folder}: another facepipe ui works here"):
        queue = Queue(library, folder)
        queue.start()
        try:
            yield queue
        finally:
            queue.end()
            if queue.is_empty():
                shutil.rmtree(folder, ignore_errors=True)


def _kept(file: Path) -> list[Job]:
    """The jobs that a server before has left; none where the file is damaged."""
    try:
        return _JOBS.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return []


def _is_of(job: Job, library: Library) -> bool:
    """Whether a job is one that `add` could have put there: of a video here, made beside it."""
    try:
        video = library.find_video(job.video)
    except NotFoundError:
        return False
    target = library.folder / job.target
    if job.kind == "analyze":
        return target == analysis_path(video)
    return is_target(target, video)


def _is_being_made(target: Path) -> bool:
    folder = folder_of(target)
    if not folder.is_dir():
        return False
    try:
        with exclusive(folder / LOCK):
            return False
    except HeldError:
        return True
    except OSError:
        return False


def _delete_kept_work(target: Path) -> None:
    folder = folder_of(target)
    with suppress(HeldError, OSError):
        if folder.is_dir():
            with exclusive(folder / LOCK):
                shutil.rmtree(folder)
