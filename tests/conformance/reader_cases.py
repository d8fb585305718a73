"""Videos and photographs that are shown to other programs, each frame with its number on it.

They are written as they are when nobody says how: what holds no face is copied, so that seeks go
over joints.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from conformance.cases import DEFAULT, Case, Make
from conformance.clips import Captions, Marks, Sound, assemble
from media import portraits, synthetic

WIDTH, HEIGHT = portraits.WIDTH, portraits.HEIGHT
FRAMES, SEEN = 120, range(52, 70)
_NTSC = Fraction(1001, 30000)
_STRIP, _BITS = 16, 8  # rows of the strip that tells a frame's number, and its fields
_X264 = {"preset": "veryfast", "g": "25", "crf": "16", "bf": "3"}
_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "12", "b": "0", "g": "25"}
_UNEVEN = np.cumsum(np.random.default_rng(3).integers(400, 3000, FRAMES - 1))
_STEREO: dict[str, Any] = {"rate": 48000, "layout": "stereo", "seconds": FRAMES * float(_NTSC)}
_TAGS = {"title": "A day out", "artist": "Ana Müller", "genre": "Home", "date": "2021-07-04"}


def drawn(number: int) -> NDArray[np.uint8]:
    """RGB (136, 240, 3): a moving gradient, at times two faces, and above it a frame's number."""
    picture = synthetic.picture(number, WIDTH, HEIGHT) // 3 + 60
    if number in SEEN:
        picture = portraits.scene(number - SEEN.start)
    bits = [number >> place & 1 for place in range(_BITS)]
    strip = np.repeat(np.array(bits, np.uint8) * 220 + 16, WIDTH // _BITS)
    picture[:_STRIP] = strip[:, None]
    return picture.astype(np.uint8)


def number_of(shown: NDArray[np.uint8]) -> int:
    """The number that a frame shows, at whatever size."""
    height, width = shown.shape
    strip = shown[height // 34 : height * (_STRIP - 4) // HEIGHT]
    step = width / _BITS
    fields = [strip[:, round((n + 0.3) * step) : round((n + 0.7) * step)] for n in range(_BITS)]
    return sum(int(field.mean() > 126) << place for place, field in enumerate(fields))


def _frames(path: Path, codec: str = "libx264", **how: Any) -> Path:
    settings: dict[str, Any] = {
        "codec": codec,
        "pts": range(FRAMES),
        "time_base": _NTSC,
        "size": (WIDTH, HEIGHT),
        "pictures": drawn,
        "options": _X264,
    }
    return synthetic.video(path, **(settings | how))


def _with(
    *extras: Any, marks: Marks | None = None, through: str = ".mp4", **how: Any
) -> Callable[[Path], Path]:
    more, rate = how.pop("muxing", None), how.pop("rate", 1 / _NTSC)
    make = partial(_frames, **how)
    return lambda path: assemble(
        path, make, *extras, marks=marks, through=through, options=more, rate=rate
    )


def _tagged(path: Path) -> Path:
    return _with(Sound(**_STEREO, language="deu"), marks=Marks(_TAGS))(path)


def _fragmented(path: Path) -> Path:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return _with(Sound(**_STEREO), muxing=flags)(path)


def _located(path: Path) -> Path:
    """With a place, as telephones note it, besides title, artist, genre and date."""
    marks = Marks(file={**_TAGS, "location": "+48.8566+002.3522/"})
    return _with(Sound(**_STEREO, language="deu"), marks=marks)(path)


def _languages(path: Path) -> Path:
    """With languages by BCP 47, where MKVToolNix is installed to write them."""
    sounds = [Sound(**_STEREO, language=code, title=code) for code in ("por", "zho")]
    _with(*sounds, Captions(language="deu"), marks=Marks(file=_TAGS))(path)
    if shutil.which("mkvpropedit"):
        words: list[str] = []
        for track, language in (("a1", "pt-BR"), ("a2", "zh-Hans"), ("s1", "de-CH")):
            words += ["--edit", f"track:{track}", "--set", f"language-ietf={language}"]
        subprocess.run(["mkvpropedit", "-q", str(path), *words], check=True)
    return path


def _opus(path: Path) -> Path:
    marks = Marks(file=_TAGS, chapters=[(0.0, 2.0, "One"), (2.0, 4.0, "Two")])
    sound = Sound("libopus", **_STEREO, language="fra")
    how: dict[str, Any] = {"codec": "libvpx-vp9", "options": _VP9}
    _with(sound, marks=marks, through=".webm", **how)(path)
    if shutil.which("ffmpeg"):
        # FFmpeg 5 and 6 write blocks in the order of time, which later versions do not with Opus.
        ordered = path.with_suffix(".ordered.webm")
        call = ["ffmpeg", "-v", "error", "-i", str(path), "-c", "copy", str(ordered)]
        subprocess.run(call, check=True)
        ordered.replace(path)
    return path


def _transport(path: Path) -> Path:
    """As broadcasters send it: a keyframe each half second, two languages, time to fill buffers."""
    sounds = [Sound(**_STEREO, language=code) for code in ("deu", "eng")]
    options = _X264 | {"g": "15"}
    return _with(*sounds, options=options, muxing={"max_delay": "700000"})(path)


def _anew(case: Case) -> Case:
    """The case with every frame encoded."""
    return replace(case, settings=(*DEFAULT, "output.copy_unchanged=false"), copied="")


def _video(name: str, make: Make, suffix: str, target: str | None = None) -> Case:
    return Case(name, make, suffix, target, DEFAULT, faces=True, copied="some")


_TRANSPORTED = ("h264 in ts", "h264 in ts, all encoded")
_UNEVENLY: dict[str, Any] = {
    "pts": [0, *_UNEVEN.tolist()],
    "time_base": Fraction(1, 30000),
    "rate": None,
}
VIDEOS = (
    _video("h264 in mp4", _tagged, ".mp4"),
    _video("h264 in mp4 at a variable rate", _with(Sound(**_STEREO), **_UNEVENLY), ".mp4"),
    _video("h264 in fragmented mp4", _fragmented, ".mp4"),
    _video("h264 in mp4 with a place", _located, ".mp4"),
    _video("h264 in mkv to mp4", _with(Sound(**_STEREO)), ".mkv", ".mp4"),
    _video("h264 in mkv with languages", _languages, ".mkv"),
    _video("vp9 and opus in webm", _opus, ".webm"),
    _video(_TRANSPORTED[0], _transport, ".ts"),
    _anew(_video("h264 in mp4, all encoded", _tagged, ".mp4")),
    _anew(_video(_TRANSPORTED[1], _transport, ".ts")),
)


def _photograph(path: Path, **how: Any) -> Path:
    """A face on a wall, lying on its side, with all that a camera and its owner note."""
    pixels = np.rot90(portraits.scene(0, 2), 1)
    exif = Image.Exif()
    exif.update({0x112: 6, 0x10F: "Maker", 0x110: "Model", 0x13B: "Ana Müller", 0x8298: "(c) Ana"})
    exif[0x11A], exif[0x11B], exif[0x128] = 300.0, 300.0, 2
    exif.get_ifd(0x8769).update({0x9003: "2022:03:04 05:06:07", 0x829A: 0.004, 0x8827: 400})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 8.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path, exif=exif.tobytes(), icc_profile=profile, **how)
    return path


_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmp:Rating="4"><dc:subject><rdf:Bag><rdf:li>yard</rdf:li></rdf:Bag></dc:subject>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def _png(path: Path) -> Path:
    told = PngImagePlugin.PngInfo()
    told.add_itxt("XML:com.adobe.xmp", _XMP)
    told.add_text("Author", "Ana Müller")
    return _photograph(path, pnginfo=told, dpi=(300, 300))


def _image(name: str, make: Make, suffix: str) -> Case:
    return Case(name, make, suffix, None, DEFAULT, faces=True)


PHOTOGRAPHS = (
    _image("jpeg, to be turned", partial(_photograph, quality=95, xmp=_XMP.encode(),
           dpi=(300, 300)), ".jpg"),
    _image("png, to be turned", _png, ".png"),
    _image("webp, to be turned", partial(_photograph, quality=95, xmp=_XMP.encode()), ".webp"),
    _image("tiff, to be turned", _photograph, ".tif"),
)  # fmt: skip
CASES = (*VIDEOS, *PHOTOGRAPHS)

_UNEVEN_NAME, _FRAGMENTED = "h264 in mp4 at a variable rate", "h264 in fragmented mp4"
#: Differences that are known and not mended: case and reader, and how each begins that stands.
KNOWN: Mapping[tuple[str, str], str] = {
    # The last frame of a video of variable rate lasts as long as most do. OpenCV seeks by the mean.
    (_UNEVEN_NAME, "GStreamer"): "duration",
    (_UNEVEN_NAME, "VLC"): "duration|stream 0",
    (_UNEVEN_NAME, "mpv"): "duration|rate",
    (_UNEVEN_NAME, "OpenCV"): "another frame after|rate",
    (_UNEVEN_NAME, "MediaInfo"): r"\d \w+ (Duration|FrameRate)",
    (_UNEVEN_NAME, "ExifTool"): "(QuickTime|Track1):",
    (_UNEVEN_NAME, "Shaka Packager"): "at most: seconds of a segment",
    # Two frames longer, which is by how much the source begins after zero.
    (_FRAGMENTED, "Chromium"): "duration",
    # From the first clock reference to the last: ours go on until the last frame is sent.
    **{
        (name, reader): words
        for name in _TRANSPORTED
        for reader, words in (
            ("VLC", "duration"),
            ("MediaInfo", r"\d (General|Menu) Duration"),
            ("ExifTool", "M2TS:Duration"),
        )
    },
}

#: The same of readers, in any case: on a busy machine a seek of VLC may give an earlier frame.
BUSY: Mapping[str, str] = {"VLC": "another frame after 1 of"}


def times_of(
    path: Path, copied: list[tuple[float, float]], count: int = 20
) -> list[tuple[float, int]]:
    """Places to seek to, in the middles of frames, in seconds from the first one; and these frames.

    They are spread over the video, and lie on both sides of where a `copied` stretch begins or
    ends, and 0.3 s before the end. Photographs have one.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = container.decode(stream)
        shown = sorted(float(f.time) for f in frames if f.time is not None)
    begins = np.array(shown) - shown[0]
    middles = (begins[:-1] + begins[1:]) / 2
    ends = [time for stretch in copied for time in stretch if 0 < time < begins[-1]]
    joints = {
        int(np.clip(np.searchsorted(begins, time - 1e-3) + side, 1, len(middles) - 1))
        for time in ends
        for side in (-1, 0)
    }
    last = int(np.searchsorted(begins, begins[-1] - 0.3))
    chosen = {1, last, *sorted(joints)[: count - 2]}
    spread = np.linspace(2, len(middles) - 1, count).round().astype(int).tolist()
    for place in sorted(spread, key=lambda one: one * 7 % 13):
        if len(chosen) < count:
            chosen.add(place)
    return [(float(middles[place]), place) for place in sorted(chosen)]
