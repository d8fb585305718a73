"""Smart rendering: the source's own packets and ours in one stream that plays from end to end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from facepipe.datatypes import Part, Span, VideoInfo
from facepipe.errors import MediaError
from facepipe.video import (
    EncodeSettings,
    decode,
    joinable_settings,
    mux,
    output_pix_fmt,
    probe,
    smart_render_of,
)
from facepipe.video.bitstream import annex_b, nal_length_size, nal_units
from media import synthetic
from media.video_checks import digest, rendered, whole

X264 = EncodeSettings("libx264", (("crf", "16"), ("preset", "fast")), threads=1)
X265 = EncodeSettings("libx265", (("preset", "ultrafast"), ("crf", "20")), threads=1)
VP9 = EncodeSettings("libvpx-vp9", (("cpu-used", "8"), ("crf", "20"), ("b", "0")), threads=1)
PRORES = EncodeSettings("prores_ks", (("profile", "standard"),), threads=1)
PRORES_4444 = EncodeSettings("prores_ks", (("profile", "4444"),), threads=1)
AV1 = EncodeSettings("libsvtav1", (("preset", "12"), ("crf", "20")), threads=1)


def no_b_frames(path: Path) -> Path:
    """What many cameras write: every picture refers to the one before."""
    return synthetic.video(path, options={"bf": "0", "g": "10"}, frames=40)


def hevc(path: Path) -> Path:
    params = "keyint=10:min-keyint=10:open-gop=0:bframes=2:log-level=none:pools=1"
    return synthetic.video(path, codec="libx265", options={"x265-params": params}, frames=40)


def av1(path: Path) -> Path:
    options = {"preset": "12", "g": "10", "svtav1-params": "lp=1"}
    return synthetic.video(path, codec="libsvtav1", options=options, frames=40, size=(128, 96))


def prores(path: Path) -> Path:
    options = {"profile": "standard"}
    return synthetic.video(
        path, codec="prores_ks", pix_fmt="yuv422p10le", options=options, frames=40
    )


def prores_4444(path: Path) -> Path:
    """ProRes 4444, which FFmpeg reads as 12 bit and writes from 10, keyframes alone."""
    options = {"profile": "4444"}
    return synthetic.video(
        path, codec="prores_ks", pix_fmt="yuv444p10le", options=options, frames=40
    )


def vp9(path: Path) -> Path:
    options = {"cpu-used": "8", "deadline": "realtime", "g": "10"}
    return synthetic.video(path, codec="libvpx-vp9", options=options, frames=40)


def long(path: Path) -> Path:
    return synthetic.plain(path, frames=40)


def wide(path: Path) -> Path:
    return synthetic.video(path, pix_fmt="yuv420p10le", colour=(1, 9, 9, 14), frames=40)


def fields(path: Path) -> Path:
    return synthetic.video(path, interlaced=True, frames=40)


def transport(path: Path) -> Path:
    return synthetic.video(path, frames=40, audio=1, format="mpegts")


def parted(info: VideoInfo, path: Path, settings: EncodeSettings, first: bool) -> list[Part]:
    """Every other stretch of two groups rendered, the others copied; `first`: the first is."""
    groups = info.closed_gops
    stretches = [(groups[n][0], groups[min(n + 1, len(groups) - 1)][1])
                 for n in range(0, len(groups), 2)]  # fmt: skip
    joined = joinable_settings(settings, info)
    parts: list[Part] = []
    for n, (start, stop) in enumerate(stretches):
        span = Span(n, start, stop, copied=(n % 2 == 0) is not first)
        if span.copied:
            count = sum(start <= pts < stop for pts in info.pts)
            parts.append(Part(span, "", count, 0))
        else:
            parts.append(rendered(info, span, path / f"p{n}.nut", joined))
    return parts


def payloads(path: Path, info: VideoInfo) -> dict[int, tuple[bytes, ...]]:
    """By pts, each packet's units but parameter sets and delimiters, whatever their wrapping."""
    found = {}
    with av.open(str(path)) as container:
        stream = container.streams[info.stream_index]
        size = nal_length_size(info.codec, stream.codec_context.extradata or b"")
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            data = bytes(packet)
            if info.codec == "h264":
                units = [
                    u for u in nal_units(annex_b(data, size), None) if u[0] & 31 not in (7, 8, 9)
                ]
            elif info.codec == "hevc":
                units = [u for u in nal_units(annex_b(data, size), None)
                         if u[0] >> 1 & 63 not in (32, 33, 34, 35)]  # fmt: skip
            else:
                units = [data]
            found[packet.pts] = tuple(units)
    return found


def played(path: Path) -> None:
    """Plays without a word of complaint in the ffmpeg program, where there is one."""
    program = shutil.which("ffmpeg")
    if program is None:
        return
    command = [
        program,
        "-v",
        "warning",
        "-xerror",
        "-i",
        str(path),
        "-map",
        "0:v",
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [
        line for line in done.stderr.splitlines() if "deprecated pixel format" not in line
    ]
    assert done.returncode == 0, done.stderr
    assert not complaints


@pytest.mark.fuller
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("make", "suffix", "settings", "target"),
    [
        (long, ".mp4", X264, ".mp4"),
        (long, ".mp4", X264, ".mov"),
        (long, ".mp4", X264, ".mkv"),
        (long, ".mp4", X264, ".ts"),
        (long, ".mp4", X264, ".nut"),
        (long, ".mkv", X264, ".mp4"),
        (transport, ".ts", X264, ".ts"),
        (transport, ".ts", X264, ".mp4"),
        (transport, ".ts", X264, ".mkv"),
        (no_b_frames, ".mp4", X264, ".mp4"),
        (no_b_frames, ".mp4", X264, ".ts"),
        (synthetic.b_pyramid, ".mp4", X264, ".mp4"),
        (synthetic.b_pyramid, ".mkv", X264, ".mkv"),
        (wide, ".mp4", X264, ".mp4"),
        (fields, ".mp4", X264, ".mp4"),
        (hevc, ".mp4", X265, ".mkv"),
        (hevc, ".mkv", X265, ".mkv"),
        (hevc, ".mp4", X265, ".ts"),
        (hevc, ".mp4", X265, ".nut"),
        (vp9, ".webm", VP9, ".webm"),
        (vp9, ".mkv", VP9, ".mp4"),
        (av1, ".mkv", AV1, ".mkv"),
        (av1, ".mp4", AV1, ".webm"),
        (prores, ".mov", PRORES, ".mov"),
        (prores, ".mov", PRORES, ".mkv"),
        (prores_4444, ".mov", PRORES_4444, ".mov"),
    ],
)
def test_copied_and_rendered_parts_play_as_one(
    make: Callable[[Path], Path],
    suffix: str,
    settings: EncodeSettings,
    target: str,
    first: bool,
    tmp_path: Path,
) -> None:
    source = make(tmp_path / f"a{suffix}")
    info = probe(source)
    assert (
        smart_render_of(info, settings_for(settings, info), tmp_path / f"b{target}").extent
        == "parts"
    )
    parts = parted(info, tmp_path, settings, first)
    assert {part.span.copied for part in parts} == {True, False}
    made = tmp_path / f"b{target}"
    mux(parts, source, info, made, settings=settings, metadata={})
    after = probe(made)
    # Transport streams and NUT have no negative times: decoding times move all pictures there.
    assert seconds(after) == pytest.approx(seconds(info), abs=6e-4)
    theirs, ours = payloads(source, info), payloads(made, after)
    for part in parts:
        if part.span.copied:
            for n, pts in enumerate(info.pts):
                if part.span.start <= pts < part.span.stop:
                    assert ours[after.pts[n]] == theirs[pts]
    assert [digest(frame)[1] for frame in decode(after, whole(after))] == pictures(parts, info)
    played(made)


def seconds(info: VideoInfo) -> list[float]:
    return [float((pts - info.pts[0]) * info.time_base) for pts in info.pts]


def pictures(parts: list[Part], info: VideoInfo) -> list[str]:
    """What each part decodes to where it stands alone."""
    found: list[str] = []
    for part in parts:
        video, span = info, part.span
        if not part.span.copied:
            video = probe(Path(part.path))
            span = whole(video)
        found += [digest(frame)[1] for frame in decode(video, span)]
    return found


def settings_for(settings: EncodeSettings, info: VideoInfo) -> EncodeSettings:
    return replace(settings, pix_fmt=output_pix_fmt(settings, info)[0])


@pytest.mark.parametrize("target", [".mp4", ".mkv", ".ts"])
def test_h264_packets_stay_bit_for_bit(target: str, tmp_path: Path) -> None:
    source = long(tmp_path / "a.mp4") if target != ".ts" else transport(tmp_path / "a.ts")
    info = probe(source)
    parts = parted(info, tmp_path, X264, first=True)
    made = tmp_path / f"b{target}"
    mux(parts, source, info, made, settings=X264, metadata={})
    after = probe(made)

    def by_pts(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            found = {p.pts: bytes(p) for p in container.demux(video=0) if p.size}
        return [found[pts] for pts in sorted(found)]

    theirs, ours = by_pts(source), by_pts(made)
    for part in parts:
        if part.span.copied:
            for n, pts in enumerate(info.pts):
                if part.span.start <= pts < part.span.stop:
                    assert ours[n] == theirs[n]
    assert len(after.closed_gops) >= len(parts)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("make", "suffix", "settings"), [(long, ".mp4", X264), (hevc, ".mkv", X265)]
)
def test_every_join_can_be_sought(
    make: Callable[[Path], Path], suffix: str, settings: EncodeSettings, first: bool, tmp_path: Path
) -> None:
    """A player that begins at any keyframe shows what one that plays on shows."""
    source = make(tmp_path / f"a{suffix}")
    info = probe(source)
    made = tmp_path / f"b{suffix}"
    mux(parted(info, tmp_path, settings, first), source, info, made, settings=settings, metadata={})
    after = probe(made)
    on = dict(digest(frame) for frame in decode(after, whole(after)))
    for start in after.keyframe_pts:
        assert dict(digest(f) for f in decode(after, Span(0, start, after.pts[-1] + 1))) == {
            pts: pixels for pts, pixels in on.items() if pts >= start
        }


def test_a_video_in_which_nothing_changes_is_the_same_packets(tmp_path: Path) -> None:
    source = synthetic.two_audios(tmp_path / "a.mp4")
    info = probe(source)
    made = tmp_path / "b.mp4"
    part = Part(Span(0, info.pts[0], info.pts[-1] + 1, copied=True), "", len(info.pts), 0)
    mux([part], source, info, made, settings=X264, metadata={})
    with av.open(str(source)) as one, av.open(str(made)) as two:
        theirs = [(p.stream.index, p.pts, bytes(p)) for p in one.demux() if p.size]
        ours = [(p.stream.index, p.pts, bytes(p)) for p in two.demux() if p.size]
    assert sorted(ours) == sorted(theirs)


def test_groups_are_closed_ones_only(tmp_path: Path) -> None:
    """An open group's first pictures need the group before: neither can be moved alone."""
    for make, codec in ((synthetic.open_gop, "libx264"), (synthetic.open_gop, "libx265")):
        info = probe(make(tmp_path / f"{codec}.mkv", codec))
        assert len(info.keyframe_pts) > 3
        assert info.closed_gops == ((info.pts[0], info.pts[-1] + 1),)
    plain = probe(long(tmp_path / "c.mp4"))
    assert [start for start, _ in plain.closed_gops] == list(plain.keyframe_pts)


def test_pictures_that_an_edit_list_hides_are_not_moved(tmp_path: Path) -> None:
    info = probe(synthetic.negative_start(tmp_path / "a.mp4"))
    covered = [pts for pts in info.pts if any(a <= pts < b for a, b in info.closed_gops)]
    assert info.pts[0] not in covered or len(covered) == len(info.pts)


def test_the_obstacle_is_named(tmp_path: Path) -> None:
    info = probe(long(tmp_path / "a.mp4"))
    eight = EncodeSettings("libx264", pix_fmt="yuv420p")
    for settings, name, extent, why in (
        (EncodeSettings("libx264", scale=2, pix_fmt="yuv420p"), "b.mp4", "none", "enlarged"),
        (EncodeSettings("libx265", pix_fmt="yuv420p"), "b.mp4", "none", "h264 becomes hevc"),
        (EncodeSettings("libx264", pix_fmt="yuv444p"), "b.mp4", "none", "yuv420p becomes yuv444p"),
        (eight, "b.mkv", "parts", ""),
    ):
        found = smart_render_of(info, settings, tmp_path / name)
        assert (found.extent, why in found.why) == (extent, True)
    lossless = EncodeSettings("libx264", (("qp", "0"),), pix_fmt="yuv420p")
    assert smart_render_of(info, lossless, tmp_path / "b.mp4").extent == "whole"
    exact = probe(synthetic.video(tmp_path / "e.mp4", options={"qp": "0"}, frames=12))
    assert smart_render_of(exact, lossless, tmp_path / "b.mp4").extent == "parts"
    assert smart_render_of(exact, eight, tmp_path / "b.mp4").extent == "whole"
    modern = probe(hevc(tmp_path / "h.mp4"))
    settings = EncodeSettings("libx265", pix_fmt="yuv420p")
    assert smart_render_of(modern, settings, tmp_path / "b.mp4").extent == "whole"
    assert smart_render_of(modern, settings, tmp_path / "b.mkv").extent == "parts"


def test_a_source_that_shrank_meanwhile_is_an_error(tmp_path: Path) -> None:
    source = synthetic.video(
        tmp_path / "a.mp4", frames=40, container_options={"movflags": "faststart"}
    )
    info = probe(source)
    source.write_bytes(source.read_bytes()[:-4000])
    part = Part(Span(0, info.pts[0], info.pts[-1] + 1, copied=True), "", len(info.pts), 0)
    with pytest.raises(MediaError, match="no longer there"):
        mux([part], source, info, tmp_path / "b.mp4", settings=X264, metadata={})
    assert not (tmp_path / "b.mp4").exists()
