"""Sources that are too large are refused at once, and the setting that lifts it is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.configs.settings import LimitSettings, load_settings
from facepipe.datatypes import Span
from facepipe.errors import InputError
from facepipe.video import DecodeReport, decode, probe
from facepipe.video.probe import check_size
from media import synthetic


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_frame_that_is_too_large(suffix: str, tmp_path: Path) -> None:
    path = synthetic.plain(tmp_path / f"a{suffix}", frames=2)
    allowed = synthetic.WIDTH * synthetic.HEIGHT / 10**6
    assert probe(path, LimitSettings(frame_megapixels=allowed)).width == synthetic.WIDTH
    with pytest.raises(InputError, match=r"96x64 px, .* limits\.frame_megapixels=1 lifts it"):
        probe(path, LimitSettings(frame_megapixels=allowed - 1e-6))


def test_8k_passes_by_default_and_16_times_as_much_does_not() -> None:
    limits = load_settings().limits
    check_size(Path("a.mp4"), 7680, 4320, limits)
    with pytest.raises(InputError, match=r"limits\.frame_megapixels=531 lifts it"):
        check_size(Path("a.mp4"), 4 * 7680, 4 * 4320, limits)


def test_a_header_that_promises_a_huge_picture(tmp_path: Path) -> None:
    """VP8 tells its size in every keyframe; here 16383x16383 in a file of some kilobytes."""
    path = synthetic.video(
        tmp_path / "a.ivf", codec="libvpx", pts=range(3), time_base=Fraction(1, 25)
    )
    content = bytearray(path.read_bytes())
    content[12:16] = b"\xff\x3f\xff\x3f"  # in the file's head
    start = content.index(b"\x9d\x01\x2a") + 3
    content[start : start + 4] = b"\xff\x3f\xff\x3f"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"16383x16383 px"):
        probe(path)


def test_a_video_that_is_too_long(tmp_path: Path) -> None:
    base = Fraction(1, 25)
    path = synthetic.video(
        tmp_path / "a.mkv", pts=[0, 25, 25 * 7200], time_base=base, options={"bf": "0"}
    )
    with pytest.raises(InputError, match=r"lasts 2 hours .* limits\.hours=N lifts it"):
        probe(path, LimitSettings(hours=1.99))
    assert len(probe(path, LimitSettings(hours=2.01)).pts) == 3


def test_a_video_of_too_many_frames(tmp_path: Path) -> None:
    path = synthetic.plain(tmp_path / "a.mp4", frames=12)
    with pytest.raises(InputError, match=r"more than the 11 frames .* limits\.frames=N lifts it"):
        probe(path, LimitSettings(frames=11))
    assert len(probe(path, LimitSettings(frames=12)).pts) == 12


def test_values_beyond_their_bits_are_cut_and_told(tmp_path: Path) -> None:
    """Damage leaves such in pictures of 10 bits, and x264 ends the process at them."""
    path = tmp_path / "a.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p10le"
        for value in (0x8080, 1023):
            frame = av.VideoFrame.from_ndarray(np.full((24, 32), value, np.uint16), "yuv420p10le")
            container.mux(stream.encode(frame))
    info, report = probe(path), DecodeReport()
    frames = list(decode(info, Span(0, info.pts[0], info.pts[-1] + 1), report=report))
    assert [int(plane.max()) for frame in frames for plane in frame.planes] == [1023] * 6
    assert [(d.first, d.frames) for d in report.damage(info.pts)] == [(info.pts[0], 1)]
