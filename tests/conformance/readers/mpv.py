"""mpv: FFmpeg's demuxers or, for Matroska, its own; it seeks and orders by itself."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from conformance.readers.base import (
    PATIENCE,
    Facts,
    Reader,
    ReaderError,
    Shown,
    first_line,
    seconds,
)

_OPTIONS = (
    *("--no-config", "--idle=yes", "--pause", "--keep-open=always", "--hr-seek=yes"),
    *("--vo=null", "--ao=null", "--no-audio", "--sid=no", "--hwdec=no", "--really-quiet"),
    *("--screenshot-format=png", "--screenshot-png-compression=0", "--ytdl=no"),
    *("--vd-lavc-threads=1", "--input-default-bindings=no", "--audio-file-auto=no"),
)
_TRACK = ("lang", "title", "default", "forced", "hearing-impaired", "visual-impaired", "codec")
_OWN = ("encoder", "creation_time", "major_brand", "minor_version", "compatible_brands", "comment")


class Mpv(Reader):
    """mpv, held by its own protocol."""

    name = "mpv"

    def version(self) -> str | None:
        said = first_line("mpv", "--version")
        return said and said.partition(" Copyright")[0]

    def facts(self, path: Path) -> Facts:
        with _player(path) as player:
            tracks = player.value("track-list") or []
            tags = player.value("metadata") or {}
            found = {"duration": seconds(player.value("duration"))}
            rate = player.value("container-fps")
            if rate:
                found["rate"] = f"{rate:.3f}"
            for number, track in enumerate(tracks):
                told = {key: track[key] for key in _TRACK if track.get(key) not in (None, False)}
                found[f"stream {number} ({track['type']})"] = str(told)
            for number, chapter in enumerate(player.value("chapter-list") or []):
                found[f"chapter {number}"] = f"{chapter['time']:.2f} {chapter.get('title')}"
        tags = {key.lower(): value for key, value in tags.items()}
        return found | {f"tag {key}": value for key, value in tags.items() if key not in _OWN}

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        with _player(path) as player, tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "shot.png"
            return [player.frame_at(time, shot) for time in times]


class _Player:
    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._waiting, self._number = connection, b"", 0
        self._events: list[str] = []

    def ask(self, *command: object) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self._number += 1
        request = {"command": command, "request_id": self._number}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._line()
            if "event" in answer:
                self._events.append(answer["event"])
            elif answer.get("request_id") == self._number:
                return answer

    def value(self, name: str) -> Any:
        return self.ask("get_property", name).get("data")

    def until(self, event: str) -> None:
        """Wait for an event; ReaderError where the video ends first: mpv refuses it."""
        while event not in self._events:
            if "end-file" in self._events:
                raise ReaderError("mpv does not play it")
            self._events.append(self._line().get("event", ""))
        self._events.clear()

    def frame_at(self, time: float, shot: Path) -> Shown | None:
        shot.unlink(missing_ok=True)
        self._events.clear()
        self.ask("seek", time, "absolute+exact")
        self.until("playback-restart")
        if self.ask("screenshot-to-file", str(shot), "video").get("error") != "success":
            return None
        with Image.open(shot) as image:
            return np.asarray(image.convert("L"))

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._waiting:
            try:
                got = self._connection.recv(2**16)
            except OSError as error:
                raise ReaderError(f"mpv does not answer ({error})") from error
            if not got:
                raise ReaderError("mpv has ended")
            self._waiting += got
        line, self._waiting = self._waiting.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _player(path: Path) -> Iterator[_Player]:
    own, given = socket.socketpair()
    own.settimeout(PATIENCE)
    call = ["mpv", *_OPTIONS, f"--input-ipc-client=fd://{given.fileno()}", str(path)]
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(call, pass_fds=[given.fileno()], **quiet, stderr=subprocess.DEVNULL)
    given.close()
    try:
        player = _Player(own)
        player.until("playback-restart")
        yield player
    finally:
        own.close()
        process.kill()
        process.wait()
