"""OpenCV, which comes with facepipe: FFmpeg, with seeks of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2

from conformance.readers.base import Facts, Reader, ReaderError, Shown

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it decodes from where it may not


class OpenCv(Reader):
    """cv2.VideoCapture, positioned by milliseconds."""

    name = "OpenCV"

    def version(self) -> str | None:
        return str(cv2.__version__)

    def facts(self, path: Path) -> Facts:
        video = _opened(path)
        return {
            "size": f"{video.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x"
            f"{video.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}",
            "rate": f"{video.get(cv2.CAP_PROP_FPS):.2f}",
        }

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        video = _opened(path)
        found: list[Shown | None] = []
        for time in times:
            video.set(cv2.CAP_PROP_POS_MSEC, time * 1000)
            there, frame = video.read()
            found.append(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype("uint8") if there else None)
        return found


def _opened(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise ReaderError("OpenCV does not open it")
    return video
