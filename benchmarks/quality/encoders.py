"""Size, PSNR, SSIM and speed of each encoder at each named quality, on frames of a real clip.

    python benchmarks/quality/encoders.py CLIP --frames 120

Every frame is encoded as the render pass does it, twice, and read back. PSNR and SSIM are of luma
against the decoded source, the mean over frames; speed is one process with its two encoder
threads. `same` says whether both times gave the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from facepipe.configs.settings import load_settings
from facepipe.datatypes import Frame, Plane, Span, VideoInfo
from facepipe.errors import UsageError
from facepipe.pipeline.encoding import ENCODER_THREADS
from facepipe.video import EncodeSettings, check_encoder, decode, encode, probe
from facepipe.video.encoders.quality import encoder_options_of

ENCODERS = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks")
QUALITIES = ("small", "visually-lossless", "archive")
SPEEDS = ("fast", "balanced", "slow")


def main() -> None:
    """Print a row for each encoder, quality and speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_argument("--qualities", nargs="+", default=QUALITIES, choices=QUALITIES)
    parser.add_argument("--speeds", nargs="+", default=("balanced",), choices=SPEEDS)
    parser.add_argument("--crf", type=float)
    chosen = parser.parse_args()
    info = probe(chosen.clip)
    span = Span(0, info.pts[0], info.pts[min(chosen.frames, len(info.pts)) - 1] + 1)
    frames = list(decode(info, span))
    raw = sum(plane.nbytes for plane in frames[0].planes)
    print(f"{chosen.clip.name}: {len(frames)} frames of {info.width}x{info.height} {info.pix_fmt}")
    print("| encoder | quality | speed | kB a frame | of raw | PSNR | SSIM | frames/s | same |")
    print("|---|---|---|---|---|---|---|---|---|")
    for codec in chosen.encoders:
        for quality in chosen.qualities:
            for speed in chosen.speeds:
                wanted = {"quality": quality, "speed": speed, "crf": chosen.crf}
                row = measured(codec, wanted, info, span, frames)
                if row is not None:
                    size, psnr, ssim, rate, same = row
                    print(
                        f"| {codec} | {quality} | {speed} | {size / 1000:.2f} | "
                        f"{size / raw:.1%} | {psnr:.1f} | {ssim:.4f} | {rate:.0f} | {same} |",
                        flush=True,
                    )


def measured(
    codec: str, wanted: dict[str, object], info: VideoInfo, span: Span, frames: list[Frame]
) -> tuple[float, float, float, float, str] | None:
    """Bytes a frame, PSNR, SSIM, frames a second, and whether two times gave the same bytes."""
    output = load_settings(overrides={f"output.{k}": v for k, v in wanted.items()}).output
    try:
        options, _ = encoder_options_of(output, codec, (), named=True)
        settings = EncodeSettings(codec, options, threads=ENCODER_THREADS)
        check_encoder(settings, info)
    except UsageError as error:
        print(f"| {codec} | {wanted['quality']} | {error} |")
        return None
    sums, took = set(), float("inf")
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.nut"
        for _ in range(2):
            began = time.monotonic()
            encode(iter(frames), part, info=info, span=span, settings=settings)
            took = min(took, time.monotonic() - began)
            sums.add(hashlib.sha256(part.read_bytes()).hexdigest())
        found = probe(part)
        whole = Span(0, found.pts[0], found.pts[-1] + 1)
        pairs = [
            similarity(one, other)
            for one, other in zip(frames, islice(decode(found, whole), len(frames)), strict=True)
        ]
        size = part.stat().st_size / len(frames)
    psnr, ssim = np.mean(pairs, axis=0)
    same = "yes" if len(sums) == 1 else "NO"
    return size, float(psnr), float(ssim), len(frames) / took, same


def similarity(one: Frame, other: Frame) -> tuple[float, float]:
    """PSNR in dB, at most 100, and SSIM of two frames' luma."""
    a, b = _normalised(one.luma, one.format.bits), _normalised(other.luma, other.format.bits)
    error = float(np.mean((a - b) ** 2))
    return min(100.0, -10 * np.log10(error)) if error else 100.0, _ssim(a, b)


def _normalised(plane: Plane, bits: int) -> np.ndarray:
    return plane.astype(np.float32) / (2**bits - 2 ** (bits - 8))  # 255 is 1020 in ten bits


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    one, two = 0.01**2, 0.03**2
    ma, mb = mean(a), mean(b)
    va, vb, vab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    top = (2 * ma * mb + one) * (2 * vab + two)
    return float(np.mean(top / ((ma * ma + mb * mb + one) * (va + vb + two))))


if __name__ == "__main__":
    main()
