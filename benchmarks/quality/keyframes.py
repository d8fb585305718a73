"""Size of a video by how often it has keyframes, at equal similarity to the source.

    python benchmarks/quality/keyframes.py CLIP --seconds 0.8 2 --codec libx264

The clip is encoded in spans, as the render pass does it, at three qualities: once with the
keyframes that the encoder places itself, and once with those that are asked for. The difference in
size is the mean over the range of SSIM (of luma) that both reach.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from encoders import similarity

from facepipe.datatypes import Span, VideoInfo
from facepipe.pipeline.spans import plan_spans
from facepipe.video import EncodeSettings, decode, encode, probe

QUALITIES = {"libsvtav1": ("15", "19", "24")}
USUAL_QUALITIES = ("16", "18", "21")


def main() -> None:
    """Print a row for each distance of keyframes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--seconds", nargs="+", type=float, default=(0.8, 1.0, 2.0))
    parser.add_argument("--spans", type=int, default=100, help="how many at most")
    chosen = parser.parse_args()
    info = probe(chosen.clip)
    spans = plan_spans(info, span_seconds=6.0)[: chosen.spans]
    alone = replace(info, keyframe_pts=info.pts[:1])  # the encoder's own keyframes are left
    before = measured(alone, spans, chosen.codec, None)
    print(f"{chosen.clip.name}: {info.width}x{info.height}, {chosen.codec}")
    print("| keyframes every | kB | size at equal SSIM |\n|---|---|---|")
    print(f"| as the encoder places them | {before[1][0] / 1000:.0f} | |")
    for seconds in chosen.seconds:
        after = measured(alone, spans, chosen.codec, seconds)
        more = at_equal_similarity(before, after)
        print(f"| {seconds:g} s | {after[1][0] / 1000:.0f} | {more:+.1%} |", flush=True)


def measured(
    info: VideoInfo, spans: tuple[Span, ...], codec: str, seconds: float | None
) -> list[tuple[float, float]]:
    """Bytes and SSIM at each quality."""
    found = []
    for crf in QUALITIES.get(codec, USUAL_QUALITIES):
        settings = EncodeSettings(codec, (("crf", crf),), keyframe_seconds=seconds)
        size, alike = 0, []
        with tempfile.TemporaryDirectory() as folder:
            for span in spans:
                part = Path(folder) / "part.nut"
                encode(decode(info, span), part, info=info, span=span, settings=settings)
                made = probe(part)
                whole = Span(0, made.pts[0], made.pts[-1] + 1)
                pairs = zip(decode(info, span), decode(made, whole), strict=True)
                alike += [similarity(one, other)[1] for one, other in pairs]
                size += part.stat().st_size
        found.append((float(size), float(np.mean(alike))))
    return found


def at_equal_similarity(
    before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> float:
    """By what share the second is larger, over the similarities that both have."""
    curves = []
    for points in (before, after):
        rising = sorted((-10 * np.log10(1 - alike), np.log(size)) for size, alike in points)
        curves.append(np.array(rising).T)
    (x, y), (u, v) = curves
    common = np.linspace(max(x[0], u[0]), min(x[-1], u[-1]), 50)
    return float(np.exp((np.interp(common, u, v) - np.interp(common, x, y)).mean()) - 1)


if __name__ == "__main__":
    main()
