"""Self-test of encoders and devices: each is opened and used, in another process.

Drivers crash and hang: that ends the process and the trial it was at, no more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available

from facepipe._system.subprocess import report_line, reported_lines
from facepipe.configs.settings import OutputSettings
from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.encoders.quality import ENCODER_SPECS, encoder_options_of
from facepipe.video.encoders.settings import (
    EncodeSettings,
    configure,
    encoder_options,
    find_encoder,
    output_pix_fmt,
)
from facepipe.video.sources import describe

#: The encoders that facepipe has qualities for, the usual ones first.
ENCODERS = tuple(ENCODER_SPECS)
#: What an encoder's name ends with that needs a device.
_HARDWARE = ("nvenc", "qsv", "vaapi", "amf", "videotoolbox", "v4l2m2m")
#: Size of the frames that are tried, which every encoder takes, and how many.
_SIDE, _FRAMES = 256, 4
#: Seconds that one encoder may take; drivers may wait for a device for ever.
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Trial:
    """Result of trying an encoder, or a device that decodes (`kind`).

    `why` says in a few words what failed; `detail` what it takes or does.
    """

    name: str
    kind: str  # "encoder" or "device"
    works: bool
    why: str = ""
    detail: str = ""


def is_hardware(encoder: str) -> bool:
    """Whether an encoder needs a device of this machine."""
    return encoder.rpartition("_")[2] in _HARDWARE


def try_all(names: Sequence[str]) -> Iterator[Trial]:
    """Try encoders, or devices ("device:cuda"), one after the other.

    One process tries them as long as it lives; after a crash or a hang the next one goes on.
    """
    left = list(names)
    while left:
        lines = reported_lines("facepipe.video.encoders.selftest", left, patience=_TIMEOUT)
        for line in lines:
            yield Trial(**json.loads(line))
            left.pop(0)
        if left:  # the process ended without a report of this one
            kind, name = _parts(left.pop(0))
            yield Trial(name, kind, False, "its driver crashed or hung")


def require_usable(encoder: str) -> None:
    """Raise UsageError, which names what works instead, unless a hardware encoder works here."""
    if not is_hardware(encoder):
        return
    codec = find_encoder(encoder).canonical_name
    trial = next(try_all([encoder]))
    if trial.works:
        return
    others = [name for name in ENCODERS if name != encoder and _canonical(name) == codec]
    usable = [other.name for other in try_all(others) if other.works]
    raise UsageError(
        f"{encoder} does not work here ({trial.why}); "
        f"for {codec} there is {', '.join(usable) or 'nothing else'} "
        "(facepipe doctor lists all)"
    )


def media_versions() -> str:
    """The versions of PyAV and of the FFmpeg in it."""
    return f"{av.__version__} with FFmpeg {av.ffmpeg_version_info}"


def devices() -> tuple[str, ...]:
    """Kinds of devices that this build of FFmpeg could decode with."""
    return tuple(hwdevices_available())


def _parts(name: str) -> tuple[str, str]:
    kind, colon, rest = name.partition(":")
    return (kind, rest) if colon else ("encoder", name)


def _canonical(encoder: str) -> str:
    try:
        return find_encoder(encoder).canonical_name
    except UsageError:
        return ""


def _try_encoder(name: str) -> Trial:
    """Encode a few frames, as those of a video would be."""
    try:
        find_encoder(name)
    except UsageError:
        return Trial(name, "encoder", False, "not in this build of PyAV")
    options, _ = encoder_options_of(OutputSettings(), name, (), named=True)
    settings = EncodeSettings(name, options)
    pix_fmt, _ = output_pix_fmt(settings, _INFO)
    context = find_encoder(name).create("video")
    assert isinstance(context, av.VideoCodecContext)
    configure(context, settings, _INFO, pix_fmt)
    context.options = encoder_options(settings, None)
    packets = 0
    with av.logging.Capture() as log:
        try:
            for number in [*range(_FRAMES), None]:
                packets += len(context.encode(None if number is None else _frame(number, pix_fmt)))
        except (av.FFmpegError, ValueError) as error:
            return Trial(name, "encoder", False, _first_line(log) or describe(error))
    if packets != _FRAMES:
        return Trial(name, "encoder", False, f"it made {packets} packets of {_FRAMES} frames")
    return Trial(name, "encoder", True, detail=_best_formats(name))


def _try_device(kind: str) -> Trial:
    """Open a device for each codec that it could decode."""
    why, usable = "PyAV decodes nothing with it", []
    for codec in ("h264", "hevc", "av1", "vp9", "mpeg2video"):
        with av.logging.Capture() as log:
            try:
                HWAccel(kind, allow_software_fallback=False).create(Codec(codec, "r"))
                usable.append(codec)
            except NotImplementedError:  # PyAV's word for a codec that this kind never decodes
                continue
            except (av.FFmpegError, ValueError) as error:
                why = _first_line(log) or describe(error)
    if usable:
        return Trial(kind, "device", True, detail=", ".join(usable))
    return Trial(kind, "device", False, why)


def _first_line(log: Sequence[tuple[int, str, str]]) -> str:
    return next((text.strip() for _, _, text in log if text.strip()), "")


def _best_formats(name: str) -> str:
    """The depths and samplings that an encoder takes, in a few words."""
    formats = [f for f in find_encoder(name).video_formats or () if f.components]
    bits = sorted({max(part.bits for part in f.components) for f in formats} & {8, 10, 12, 16})
    return f"{', '.join(map(str, bits))} bit" if bits else ""


def _frame(number: int, pix_fmt: str) -> av.VideoFrame:
    frame = av.VideoFrame(_SIDE, _SIDE, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes((number * 16 + 64,)) * plane.buffer_size)
    frame = frame.reformat(format=pix_fmt, threads=1)
    frame.pts, frame.time_base = number * _STEP, _INFO.time_base
    return frame


_STEP = 512
_INFO = VideoInfo(
    path="",
    container="",
    stream_index=0,
    codec="rawvideo",
    width=_SIDE,
    height=_SIDE,
    pix_fmt="yuv420p",
    time_base=Fraction(1, 12800),
    pts=tuple(range(0, _FRAMES * _STEP, _STEP)),
    keyframe_pts=(0,),
    rotation=0,
    sample_aspect_ratio=None,
    others=(),
)


def _main(names: Sequence[str]) -> None:
    """Try each and report it in a line of JSON."""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    for kind, name in map(_parts, names):
        trial = _try_encoder(name) if kind == "encoder" else _try_device(name)
        report_line(json.dumps(asdict(trial)))


if __name__ == "__main__":
    _main(sys.argv[1:])
