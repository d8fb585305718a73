"""Fidelity of an HDR10 video outside the boxes that facepipe changes.

    python benchmarks/quality/hdr.py CLIP.mp4 [--seconds 3] [--set output.crf=12]

Converts the clip to HDR10 (10-bit HEVC, PQ, mastering display, content light level), enhances it
without stream copy, and prints what was kept: side data, timestamps, and the mean absolute
difference of luma outside the changed boxes, in 10-bit code values.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type

from facepipe import enhance
from facepipe.configs.settings import load_settings
from facepipe.datatypes import Span
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video import decode, probe
from facepipe.video.pixel_formats import side_data

PARAMETERS = (
    "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
    "L(10000000,50):max-cll=1000,400"
)


def hdr10(clip: Path, target: Path, seconds: float) -> None:
    """The clip's first seconds as HDR10, at crf 14."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as made:
        stream = source.streams.video[0]
        options = {"crf": "14", "preset": "fast", "x265-params": PARAMETERS}
        video = made.add_stream(
            "libx265", rate=Fraction(stream.average_rate or 25), options=options
        )
        context = video.codec_context
        context.width, context.height = stream.width // 2 * 2, stream.height // 2 * 2
        context.pix_fmt, context.time_base = "yuv420p10le", stream.time_base
        context.color_range, context.colorspace = 1, 9
        context.color_primaries, context.color_trc = 9, 16
        stop = (stream.start_time or 0) + seconds / float(stream.time_base)
        for frame in source.decode(stream):
            if frame.pts is not None and frame.pts >= stop:
                break
            wide = frame.reformat(context.width, context.height, "yuv420p10le")
            wide.pts, wide.time_base, wide.pict_type = frame.pts, frame.time_base, 0
            made.mux(video.encode(wide))
        made.mux(video.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "hdr10.mp4", Path(folder) / "out.mp4"
        hdr10(options.clip, source, options.seconds)
        settings = load_settings(assignments=["output.copy_unchanged=false", *options.set])
        faces = enhance(source, target, settings).faces
        before, after = probe(source), probe(target)
        with av.open(str(source)) as one, av.open(str(target)) as two:
            source_frame, result_frame = (next(c.decode(video=0)) for c in (one, two))
        kinds = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
        kept = all(
            side_data(result_frame, kind) == side_data(source_frame, kind) != b"" for kind in kinds
        )
        outside = np.ones((before.height, before.width), bool)
        for track in json.loads(sidecar_path(target).read_text())["tracks"]:
            for knot in track["knots"]:
                if "changed" in knot:
                    x0, y0, x1, y1 = knot["changed"]
                    outside[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = False
        span = Span(0, before.pts[0], before.pts[-1] + 1)
        differences = [
            np.abs(one.planes[0].astype(int) - two.planes[0])[outside].mean()
            for one, two in zip(decode(before, span), decode(after, span), strict=True)
        ]
    light = "kept" if kept else "LOST"
    times = "kept" if before.pts == after.pts else "LOST"
    print(
        f"{options.clip.name}: {len(before.pts)} frames, {faces} faces; {after.codec} "
        f"{after.pix_fmt}, light levels {light}, times {times}; outside the boxes "
        f"({outside.mean():.0%}) luma differs by {np.mean(differences):.2f} of 1023"
    )


if __name__ == "__main__":
    main()
