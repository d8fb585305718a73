"""Say what VLC sees of a video: `python vlc_player.py FILE`, times as JSON on standard input.

Each time is a playback of its own that begins there, paused: seeks of a paused player show frames
of before and after in no certain order.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

_OPTIONS = (
    *("--no-audio", "--no-spu", "--quiet", "--ignore-config", "--no-osd", "--avcodec-hw=none"),
    *("--no-video-title-show", "--no-drop-late-frames", "--no-skip-frames", "--avcodec-threads=1"),
    *("--no-lua", "--no-media-library", "--no-sub-autodetect-file", "--no-metadata-network-access"),
)
_TAGS = {"title": 0, "artist": 1, "genre": 2, "copyright": 3, "album": 4, "date": 8}
_KINDS = ("audio", "video", "text")
_PATIENCE = 5.0  # seconds for a frame, after which there is none
_LOCK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))
_DISPLAY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_NUMBERS = ctypes.POINTER(ctypes.c_uint)
_FORMAT = ctypes.CFUNCTYPE(
    ctypes.c_uint, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), *(4 * [_NUMBERS])
)


class Track(ctypes.Structure):
    """libvlc_media_track_t."""

    _fields_ = (
        ("codec", ctypes.c_uint32),
        ("original_fourcc", ctypes.c_uint32),
        ("number", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("profile", ctypes.c_int),
        ("level", ctypes.c_int),
        ("more", ctypes.POINTER(ctypes.c_uint32)),
        ("bitrate", ctypes.c_uint),
        ("language", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
    )


def library() -> ctypes.CDLL | None:
    """VLC's library; None: it is not installed."""
    try:
        vlc = ctypes.CDLL("libvlc.so.5")
    except OSError:
        return None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    vlc.libvlc_get_version.restype = text
    for name in ("new", "media_new_path", "media_player_new"):
        getattr(vlc, f"libvlc_{name}").restype = pointer
    vlc.libvlc_media_new_path.argtypes = [pointer, text]
    vlc.libvlc_media_player_new.argtypes = [pointer]
    vlc.libvlc_media_get_duration.restype = ctypes.c_int64
    vlc.libvlc_media_get_meta.restype = text
    for name in ("media_get_duration", "media_get_parsed_status", "media_release"):
        getattr(vlc, f"libvlc_{name}").argtypes = [pointer]
    for name in ("play", "stop"):
        getattr(vlc, f"libvlc_media_player_{name}").argtypes = [pointer]
    vlc.libvlc_media_get_meta.argtypes = [pointer, ctypes.c_int]
    vlc.libvlc_media_add_option.argtypes = [pointer, text]
    vlc.libvlc_media_player_set_media.argtypes = [pointer, pointer]
    vlc.libvlc_media_parse_with_options.argtypes = [pointer, ctypes.c_int, ctypes.c_int]
    tracks = ctypes.POINTER(ctypes.POINTER(ctypes.POINTER(Track)))
    vlc.libvlc_media_tracks_get.argtypes = [pointer, tracks]
    vlc.libvlc_video_set_callbacks.argtypes = [pointer, _LOCK, pointer, _DISPLAY, pointer]
    vlc.libvlc_video_set_format_callbacks.argtypes = [pointer, _FORMAT, pointer]
    return vlc


class Player:
    """One instance of VLC on one video."""

    def __init__(self, vlc: Any, path: str) -> None:
        self._vlc, self._path = vlc, path.encode()
        words = (ctypes.c_char_p * len(_OPTIONS))(*(option.encode() for option in _OPTIONS))
        self._instance = vlc.libvlc_new(len(_OPTIONS), words)
        if not self._instance:
            raise SystemExit("VLC does not start")
        self._media = vlc.libvlc_media_new_path(self._instance, self._path)
        vlc.libvlc_media_parse_with_options(self._media, 0, 10_000)
        while not vlc.libvlc_media_get_parsed_status(self._media):
            time.sleep(0.01)
        self._size = (0, 0)
        self._buffer: Any = None
        self._shown: tuple[int, int, str] | None = None
        self._changed = threading.Condition()

    def tracks(self) -> list[dict[str, Any]]:
        """What VLC says of each stream."""
        listed = ctypes.POINTER(ctypes.POINTER(Track))()
        count = self._vlc.libvlc_media_tracks_get(self._media, ctypes.byref(listed))
        found = []
        for number in range(count):
            track = listed[number].contents
            kind = _KINDS[track.kind] if 0 <= track.kind < 3 else "?"
            told: dict[str, Any] = {
                "kind": kind,
                "codec": track.codec.to_bytes(4, "little").decode(),
            }
            for name in ("language", "description"):
                text = getattr(track, name)
                if text:
                    told[name] = text.decode(errors="replace")
            if kind == "video":
                height, width, *aspect, rate, per = track.more[:6]
                told |= {"size": f"{width}x{height}", "aspect": aspect}
                told["rate"] = round(rate / max(per, 1), 2)
            found.append(told)
        return found

    def tags(self) -> dict[str, str]:
        """Title, artist and so on."""
        given = {k: self._vlc.libvlc_media_get_meta(self._media, n) for k, n in _TAGS.items()}
        found = {key: value.decode(errors="replace") for key, value in given.items() if value}
        if found.get("title") == Path(self._path.decode()).name:  # where there is none
            del found["title"]
        return found

    def duration(self) -> float:
        """In seconds."""
        return float(self._vlc.libvlc_media_get_duration(self._media)) / 1000

    def frames(self, times: list[float]) -> list[tuple[int, int, str] | None]:
        """Width, height and green, row by row, of the frame at each time; None: there is none."""
        vlc = self._vlc
        player = vlc.libvlc_media_player_new(self._instance)
        # The player calls them as long as it lives.
        self._callbacks = _FORMAT(self._prepare), _LOCK(self._lock), _DISPLAY(self._display)
        prepare, lock, display = self._callbacks
        vlc.libvlc_video_set_callbacks(player, lock, None, display, None)
        vlc.libvlc_video_set_format_callbacks(player, prepare, None)
        return [self._first_frame(player, when) for when in times]

    def _prepare(self, _: Any, chroma: Any, width: Any, height: Any, row: Any, rows: Any) -> int:
        for place, letter in enumerate(b"RV32"):
            chroma[place] = letter
        self._size = width[0], height[0]
        row[0], rows[0] = width[0] * 4, height[0]
        self._buffer = (ctypes.c_ubyte * (width[0] * height[0] * 4))()
        return 1

    def _lock(self, _: Any, planes: Any) -> None:
        planes[0] = ctypes.addressof(self._buffer)

    def _display(self, *_: Any) -> None:
        with self._changed:
            if self._shown is None:
                self._shown = (*self._size, bytes(self._buffer)[1::4].hex())
            self._changed.notify_all()

    def _first_frame(self, player: Any, when: float) -> tuple[int, int, str] | None:
        vlc = self._vlc
        media = vlc.libvlc_media_new_path(self._instance, self._path)
        for option in (f":start-time={when:.6f}", ":start-paused"):
            vlc.libvlc_media_add_option(media, option.encode())
        vlc.libvlc_media_player_set_media(player, media)
        with self._changed:
            self._shown = None
        vlc.libvlc_media_player_play(player)
        with self._changed:
            self._changed.wait_for(lambda: self._shown is not None, _PATIENCE)
        vlc.libvlc_media_player_stop(player)
        vlc.libvlc_media_release(media)
        return self._shown


def main() -> None:
    """Print what VLC sees of the video that the first argument names."""
    vlc = library()
    if vlc is None:
        raise SystemExit("libvlc is not installed")
    player = Player(vlc, sys.argv[1])
    seen = {"tracks": player.tracks(), "tags": player.tags(), "duration": player.duration()}
    seen["frames"] = player.frames(json.load(sys.stdin))
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()
    os._exit(0)  # VLC's threads may still call what Python has taken down


if __name__ == "__main__":
    main()
