"""Recall and precision of face detection on boxed photographs, by face size.

    python benchmarks/detection.py PHOTOGRAPHS.zip BOXES.csv [--enlarge 1 2 3] [--json OUT]

The CSV has the columns image,label,xmin,ymin,xmax,ymax in pixels. A face counts as found by a
box that overlaps it by half (IoU .5). In the rows "faces from N px", smaller ones, and whatever
finds one, count for nothing. The boxes of a real set are never complete: a face that nobody
boxed counts as a false one, so precision is a lower bound.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import zipfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors import create_detector
from facepipe.models.detectors.boxes import iou, sizes

EDGES = (0.0, 8.0, 12.0, 16.0, 24.0, 48.0, float("inf"))
FLOOR = 0.3


def read_photographs(
    archive: Path, table: Path
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.float32]]]:
    """BGR pictures and their (N, 4) xyxy boxes, by name."""
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            boxes[row["image"]].append([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")])
    with zipfile.ZipFile(archive) as photographs:
        pictures = {
            name: cv2.imdecode(np.frombuffer(photographs.read(name), np.uint8), cv2.IMREAD_COLOR)
            for name in boxes
        }
    unread = [name for name, picture in pictures.items() if picture is None]
    if unread:
        raise SystemExit(f"{archive}: cannot read {unread[0]}")
    return (
        {name: np.asarray(picture, np.uint8) for name, picture in pictures.items()},
        {name: np.array(rows, np.float32) for name, rows in boxes.items()},
    )


def match(
    found: dict[str, Faces], truth: dict[str, NDArray[np.float32]], overlap: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(D,) scores and (D,) sizes of the true face each detection finds, 0 where it finds none.

    Best score first; a face is found once.
    """
    rows = sorted(
        (-float(score), name, number)
        for name, faces in found.items()
        for number, score in enumerate(faces.scores)
    )
    left = {name: np.ones(len(boxes), bool) for name, boxes in truth.items()}
    side = np.zeros(len(rows), np.float32)
    for place, (_, name, number) in enumerate(rows):
        share = iou(found[name].boxes[number][None], truth[name])[0] * left[name]
        best = int(np.argmax(share))
        if share[best] >= overlap:
            left[name][best] = False
            side[place] = sizes(truth[name][best][None])[0]
    return np.array([-score for score, _, _ in rows], np.float32), side


def measures(
    scores: NDArray[np.float32], side: NDArray[np.float32], truth: NDArray[np.float32], low: float
) -> dict[str, object]:
    """AP, and score and recall at 90 and 95 % precision, over faces of `low` px and more.

    `side` (D,) is as `match` gives it, `truth` (T,) the sizes of all true faces.
    """
    counted = (side == 0) | (side >= low)
    scores, hits = scores[counted], side[counted] > 0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    recall = np.cumsum(hits) / max(int((truth >= low).sum()), 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    result: dict[str, object] = {
        "average_precision": round(float(np.sum(np.diff(recall, prepend=0) * envelope)), 4)
    }
    for wanted in (0.90, 0.95):
        (good,) = np.nonzero(precision >= wanted)
        at = int(good[-1]) if len(good) else 0
        result[f"at_{wanted:.0%}"] = {
            "score": round(float(scores[at]), 4),
            "recall": round(float(recall[at]), 4),
        }
    return result


def main() -> None:
    """Print the table and, if asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("archive", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--enlarge", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--detector", choices=("yunet", "scrfd"), default="yunet")
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--overlap", type=float, default=0.5, help="IoU at which a face is found")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    pictures, truth = read_photographs(options.archive, options.table)
    detector = create_detector(options.detector, pack=options.pack, threads=options.threads)
    every = np.concatenate([sizes(boxes) for boxes in truth.values()])
    print(
        f"{len(pictures)} photographs, {len(every)} faces, {(every >= 12).sum()} of 12 px and more"
    )
    report: list[dict[str, object]] = []
    for enlarge in options.enlarge:
        begun = time.perf_counter()
        found = {
            name: find_faces(picture, detector, score=FLOOR, min_face=0, enlarge=enlarge)
            for name, picture in pictures.items()
        }
        spent = (time.perf_counter() - begun) / len(pictures) * 1000
        scores, side = match(found, truth, options.overlap)
        row: dict[str, object] = {"enlarge": enlarge, "milliseconds": spent}
        print(f"\nenlarge {enlarge}: {spent:.1f} ms per picture")
        for low in (0, 8, 12):
            row[f"from_{low}_px"] = found_all = measures(scores, side, every, low)
            print(f"  faces from {low:2d} px: {json.dumps(found_all)}")
        for wanted in ("at_90%", "at_95%"):
            overall = measures(scores, side, every, 12)[wanted]
            assert isinstance(overall, dict)
            sure = side[scores >= overall["score"] - 1e-4]
            shares = {
                f"{low:g}-{high:g}": round(
                    float(((sure >= max(low, 1e-6)) & (sure < high)).sum())
                    / max(int(((every >= low) & (every < high)).sum()), 1),
                    3,
                )
                for low, high in pairwise(EDGES)
            }
            row[f"recall_by_size_{wanted}"] = shares
            print(f"  recall by size {wanted[3:]} (score {overall['score']:.3f}): {shares}")
        report.append(row)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
