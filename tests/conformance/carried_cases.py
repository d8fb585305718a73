"""What pictures and containers carry along that FFmpeg does not hand on."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from conformance.cases import AV1, DEFAULT, VP9, X264, X265, Case, Make, refused
from media import portraits, synthetic
from media.boxes import ENTRY, box, crop, sphere, sphere_in_xml, views, with_boxes
from media.user_data import Say, with_user_data

_X265 = {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none:pools=1"}
_SVT = {"preset": "12", "crf": "20"}
_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_MPEG2 = partial(
    synthetic.video, codec="mpeg2video", pts=range(8), time_base=Fraction(1, 25),
    options={"b": "4000000"},
)  # fmt: skip
_LOST = "lost: the user data of its pictures"


def _each(number: int) -> str:
    return f"{number} " + "x" * (300 * (number % 3))


def _late(number: int) -> str | None:
    return f"{number}" if number > 8 else None


def _spoken(
    codec: str = "libx264", say: Say = _each, *, registered: bool = False, **how: Any
) -> Make:
    options = {"libx265": _X265, "libsvtav1": _SVT}.get(codec, {"bf": "2"})
    video = partial(synthetic.video, codec=codec, options=options, frames=12, **how)
    return lambda path: with_user_data(path, video, say, registered=registered)


def _lost(name: str, make: Make, suffix: str, **how: Any) -> list[Case]:
    case = Case(name, make, suffix, shows=("user data",), **how)
    return refused(case, "mp4 cannot hold the", user_data=_LOST)


def _boxed(*placed: tuple[Sequence[str], bytes], behind: bytes = b"", **how: Any) -> Make:
    video = partial(synthetic.video, **({"frames": 8} | how))
    return lambda path: with_boxes(path, video, *placed, behind=behind)


def _through(make: Make, via: str = ".mp4") -> Make:
    """The video by another container: its packets are copied."""

    def made(path: Path) -> Path:
        whole = make(path.with_name(f"first{via}"))
        with av.open(str(whole)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
            for packet in given.demux(given.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    out.mux_one(packet)
        return path

    return made


_CROP = _boxed((ENTRY, crop(80, 48, right=-4, down=2)))
_SPHERE, _XML = _boxed((ENTRY, sphere())), _boxed((("moov", "trak"), sphere_in_xml()))
_VIEWS = _boxed((ENTRY, views()))
_UDTA = ("moov", "udta")
_CAMERA = (
    (_UDTA, box("FIRM", b"HD9.01")),
    (_UDTA, box("GPMF", bytes(range(64)))),
    (("moov",), box("uuid", bytes(range(16)), b"of the index")),
    (("moov", "trak", "udta"), box("SERL", b"C3441")),
    ((), box("uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), b"<x:xmpmeta/>" * 9)),
    ((), box("free", box("gps ", b"$GPRMC,1"), box("thum", b"\xff\xd8\xff"))),
)
_SHOWN: dict[str, Any] = {"shows": ("user data",)}
CASES: Sequence[Case] = [
    Case("user data in mp4", _spoken(), **_SHOWN),
    Case("user data in ts", _spoken(), ".ts", **_SHOWN),
    Case("user data that begins late in mkv", _spoken(say=_late), ".mkv", **_SHOWN),
    Case("registered user data mov to ts", _spoken(registered=True), ".mov", ".ts", **_SHOWN),
    Case("user data hevc", _spoken("libx265"), ".mkv", settings=X265, **_SHOWN),
    Case("user data hevc to h264", _spoken("libx265"), ".mkv", ".mp4", settings=X264, **_SHOWN),
    Case("user data h264 to hevc", _spoken(registered=True), ".ts", ".mkv", settings=X265,
         **_SHOWN),
    Case("registered user data av1", _spoken("libsvtav1", registered=True), ".mkv", settings=AV1,
         lossy=True, **_SHOWN),
    Case("user data of a video enlarged", _spoken(), scale=2, **_SHOWN),
    Case("user data in flv to mkv", _spoken(), ".flv", ".mkv", **_SHOWN),
    *_lost("user data to vp9", _spoken(), ".mp4", settings=VP9),
    Case("user data of mpeg2", lambda path: with_user_data(path, _MPEG2, _each, registered=False),
         ".mkv", limits={"user data": _LOST}, **_SHOWN),
    Case("crop in mp4", _CROP, shows=("crop",)),
    Case("crop in mov to mp4", _CROP, ".mov", ".mp4", shows=("crop",)),
    Case("crop in mp4 to mkv", _CROP, ".mp4", ".mkv", shows=("crop",)),
    Case("crop in mkv", _through(_CROP), ".mkv", shows=("crop",)),
    Case("crop in mkv to mov", _through(_CROP), ".mkv", ".mov", shows=("crop",)),
    Case("crop in webm", _through(_boxed((ENTRY, crop(80, 48)), codec="libvpx-vp9", options=_VP9)),
         ".webm", settings=VP9, shows=("crop",)),
    Case("crop of a video enlarged", _CROP, scale=2, shows=("crop",)),
    Case("crop of a video enlarged in mkv", _through(_CROP), ".mkv", scale=2, shows=("crop",)),
    Case("crop of a video that is copied", _CROP, settings=DEFAULT, copied="all", shows=("crop",)),
    *refused(Case("crop in mp4 to ts", _CROP, ".mp4", ".ts", shows=("crop",)),
             "mpegts cannot hold the crop", crop="lost: the crop of its frames"),
    Case("sphere in mp4", _SPHERE, shows=("projection",)),
    Case("sphere in mp4 to mov", _SPHERE, ".mp4", ".mov", shows=("projection",)),
    Case("sphere in mp4 to mkv", _SPHERE, ".mp4", ".mkv", shows=("projection",)),
    Case("sphere in mkv to mp4", _through(_SPHERE), ".mkv", ".mp4", shows=("projection",)),
    Case("sphere in mp4 that is copied", _SPHERE, settings=DEFAULT, copied="all",
         shows=("projection",)),
    Case("sphere in xml", _XML, shows=("projection", "boxes")),
    Case("sphere in xml to mkv", _XML, ".mp4", ".mkv", shows=("projection",)),
    Case("sphere hevc", _boxed((ENTRY, sphere(stereo=1)), codec="libx265", options=_X265),
         settings=X265, shows=("projection",)),
    *refused(Case("sphere to ts", _SPHERE, ".mp4", ".ts", shows=("projection",)),
             "mpegts cannot hold the projection", projection="lost: the projection of a sphere"),
    Case("sphere in webm", _through(_boxed((ENTRY, sphere()), codec="libvpx-vp9", options=_VP9)),
         ".webm", settings=VP9, shows=("projection",)),
    Case("views side by side in mov", _VIEWS, ".mov", shows=("projection",)),
    Case("a camera's boxes in mp4", _boxed(*_CAMERA), shows=("boxes",)),
    Case("a camera's boxes in mov, with sound", _boxed(*_CAMERA, audio=1), ".mov",
         shows=("boxes",)),
    Case("a camera's boxes in mp4 to mov", _boxed(*_CAMERA), ".mp4", ".mov", shows=("boxes",)),
    Case("a camera's boxes, fragmented", _boxed(*_CAMERA, container_options=_FRAGMENTED),
         shows=("boxes",)),
    Case("a camera's boxes that are copied", _boxed(*_CAMERA), settings=DEFAULT, copied="all",
         shows=("boxes",)),
    Case("bytes behind an mp4", _boxed(behind=b"\xde\xad trailer" * 9), shows=("boxes",)),
    Case("bytes behind an mp4 to mkv", _boxed(behind=b"\xde\xad trailer" * 9), ".mp4", ".mkv",
         limits={"boxes": "lost: what lies behind its last box"}, shows=("boxes",)),
    *refused(Case("a camera's boxes to mkv", _boxed(*_CAMERA), ".mp4", ".mkv", shows=("boxes",)),
             "matroska cannot hold the XMP data", boxes="lost: the XMP data"),
    Case("user data, some of it copied",
         lambda path: with_user_data(path, portraits.video, _each, registered=False),
         settings=DEFAULT, **_SHOWN),
]  # fmt: skip
