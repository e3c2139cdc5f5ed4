"""Contact sheet of film shapes, to be looked at: each photo at 9:16, 4:5, 1:1 and 16:9, the eyes' third as a line.

PYTHONPATH=. python benchmarks/formats.py OUT.jpg PHOTO [PHOTO ...] [--fill HOW] [--height 240] [--no-line]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from PIL import Image

from portrait_anim.errors import PortraitAnimError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.options import PhotoOptions
from portrait_anim.options.format import COMMON
from portrait_anim.render.choose import shown_photo


def cell(picture: Image.Image, height: int, *, line: bool) -> np.ndarray:
    out = np.asarray(picture.resize((round(picture.width * height / picture.height), height))).copy()
    if line:
        out[height // 3] = (255, 0, 0)
    return np.pad(out, ((2, 2), (2, 2), (0, 0)), constant_values=255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--fill")
    parser.add_argument("--face", default=None)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--no-line", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    finder = shared_landmarker()
    rows = []
    for path in args.photos:
        cells = []
        for aspect in (None, *COMMON):
            fill = args.fill if aspect else None
            try:
                photo, _ = shown_photo(path, finder, PhotoOptions(face=args.face, aspect=aspect, fill=fill))
            except PortraitAnimError as e:
                print(e)
                continue
            cells.append(cell(Image.fromarray(photo.pixels), args.height, line=bool(aspect) and not args.no_line))
        if cells:
            rows.append(np.hstack(cells))
    width = max(row.shape[1] for row in rows)
    sheet = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(sheet)).save(args.out, quality=90)
    print(args.out)


if __name__ == "__main__":
    main()
