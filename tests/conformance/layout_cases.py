"""Videos as other programs read them: order of blocks, edits, fields, fragments, delivery."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from conformance.cases import DEFAULT, VP9, X264, Case, Make, refused
from conformance.clips import Sound, assemble
from conformance.time_cases import LATER
from media import synthetic
from media.boxes import box, full, with_boxes
from media.matroska import language_tag, with_told

_NTSC = Fraction(1, 30000)
_NTSC_PTS = [1001 * number for number in range(30)]
_FAST_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0", "g": "10"}
_STEREO: dict[str, Any] = {"rate": 48000, "layout": "stereo"}
#: Times that follow each other more slowly from keyframe to keyframe.
_SLOWING = [1001 * (n + max(n - 10, 0) + 2 * max(n - 20, 0)) for n in range(30)]
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_LISTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof+global_sidx"}
_BROADCAST = {"mpegts_copyts": "1", "max_delay": "700000"}
_LANGUAGES = (language_tag("pt-BR"), language_tag("zh-Hans"))
_LOST = "lost: the language pt-BR"


def _film(**how: Any) -> Make:
    settings: dict[str, Any] = {"pts": _NTSC_PTS, "time_base": _NTSC}
    return partial(synthetic.video, **(settings | how))


def _heard(video: Make, *sounds: Sound, **how: Any) -> Make:
    return lambda path: assemble(path, video, *(sounds or (Sound(**_STEREO),)), **how)


def _tagged(video: Make, *tracks: bytes) -> Make:
    return lambda path: with_told(path, video, *tracks)


def _keyed(path: Path) -> Path:
    """Titles in their fields, and a maker's own key beside them, as phones write both."""
    handler = full("hdlr", bytes(4), b"mdta", bytes(13))
    names = full("keys", b"\0\0\0\1", box("mdta", b"com.example.reel"))
    value = box("data", b"\0\0\0\1", bytes(4), b"seven")
    values = box("ilst", box("\0\0\0\1", value))
    meta = full("meta", handler, names, values)
    return with_boxes(path, partial(synthetic.video, frames=8, metadata=_TAGS), (("moov",), meta))


def _packed(together: int) -> Make:
    """A broadcast with so many packets of sound in a PES packet, about."""
    options = _BROADCAST | {"pes_payload_size": str(2000 * (together > 1))}
    return _heard(_film(), Sound(start=1.4, **_STEREO), options=options, shift=1.4)


#: An encoder that shows frames in another order than it codes them, and a keyframe now and then.
_REORDERED = (
    *("output.codec=libx264", "output.preset=medium", "output.copy_unchanged=false"),
    "output.options.x264-params=b-adapt=0:bframes=2:scenecut=0:keyint=10:min-keyint=10",
)
_TAGS = {"title": "A title", "artist": "Ana", "genre": "Home", "date": "2021"}
_PLACE = {"location": "+48.8566+002.3522/"}
_AVC = _film(options={"bf": "3", "g": "10"})
_UNEVEN = _heard(_film(pts=_SLOWING, options={"bf": "2", "g": "10"}))
_VP9 = _film(codec="libvpx-vp9", options=_FAST_VP9)
#: Of whole packets: mp4 does not tell samples that are skipped at the end.
_OPUS = Sound("libopus", seconds=(51 * 960 - 312) / 48000, **_STEREO)
CASES: Sequence[Case] = [
    Case("opus and vp9 in webm, 30000/1001", _heard(_VP9, _OPUS), ".webm", settings=VP9,
         shows=("blocks", "streams")),
    Case("opus and vp9 in webm to mp4", _heard(_VP9, _OPUS), ".webm", ".mp4", settings=VP9,
         shows=("pace", "streams")),
    Case("opus and vp9 in webm that are copied", _heard(_VP9, _OPUS), ".webm", settings=DEFAULT,
         copied="all", shows=("blocks",)),
    Case("a rate that falls, with b-frames, mkv to mp4", _UNEVEN, ".mkv", ".mp4",
         settings=_REORDERED, shows=("seeks",)),
    Case("a rate that falls, with b-frames, mkv to mov", _UNEVEN, ".mkv", ".mov",
         settings=_REORDERED, shows=("seeks",)),
    Case("30000/1001 in mkv to mp4", _heard(_AVC, Sound(rate=44100)), ".mkv", ".mp4",
         shows=("pace", "streams")),
    Case("30000/1001 in mkv to mov", _heard(_AVC, Sound(**_STEREO)), ".mkv", ".mov",
         shows=("pace", "streams")),
    Case("30000/1001 in flv to mp4", _heard(_AVC, Sound(rate=44100)), ".flv", ".mp4",
         shows=("pace",)),
    Case("24000/1001 in mkv to ts", _heard(_film(time_base=Fraction(1, 24000)), Sound(**_STEREO)),
         ".mkv", ".ts", shows=("pace", "delivery"), limits=LATER),
    Case("titles and a place in mp4", _film(metadata=_TAGS | _PLACE), shows=("title fields",)),
    Case("titles and keys of one's own in mp4", _keyed, shows=("title fields", "metadata")),
    Case("titles and keys of one's own in mp4 to mov", _keyed, ".mp4", ".mov",
         shows=("metadata",)),
    Case("fragmented mp4 with sound", _heard(_AVC, options=_FRAGMENTED), shows=("fragments",)),
    Case("fragmented mp4 with its list",
         _heard(_film(options={"bf": "0", "g": "10"}), options=_LISTED), shows=("fragments",)),
    Case("fragmented mp4 that is copied", _heard(_AVC, options=_FRAGMENTED), settings=DEFAULT,
         copied="all", shows=("fragments",)),
    Case("broadcast in ts, sound packed together", _packed(5), ".ts", shows=("delivery",)),
    Case("broadcast in ts, sound packed one by one", _packed(1), ".ts", shows=("delivery",)),
    Case("languages of bcp 47 in mkv", _tagged(_heard(_AVC), *_LANGUAGES), ".mkv",
         shows=("language tags",)),
    Case("languages of bcp 47 in webm", _tagged(_heard(_VP9, _OPUS), *_LANGUAGES), ".webm",
         settings=VP9, shows=("language tags",)),
    Case("languages of bcp 47 mkv to mp4", _tagged(_heard(_AVC), *_LANGUAGES), ".mkv", ".mp4",
         shows=("language tags",)),
    Case("languages of bcp 47 mkv to fragments of mp4",
         _tagged(_heard(_AVC, Sound("flac")), *_LANGUAGES), ".mkv", ".mp4",
         settings=(*X264, "output.fragmented=yes"), shows=("language tags",)),
    *refused(Case("languages of bcp 47 mkv to ts", _tagged(_heard(_AVC), *_LANGUAGES), ".mkv",
                  ".ts", shows=("language tags",), limits=LATER),
             "mpegts cannot hold the language pt-BR", language_tags=_LOST),
]  # fmt: skip
