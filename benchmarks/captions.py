"""Contact sheet of captions in several scripts, to be looked at. Fonts are this machine's.

PYTHONPATH=. python benchmarks/captions.py OUT.jpg PHOTO [PHOTO ...] [--height 300] [--label]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from portrait_anim.captions.draw import CaptionPainter
from portrait_anim.captions.lines import Caption, words_of
from portrait_anim.errors import PortraitAnimError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.options import PhotoOptions
from portrait_anim.provenance.label import Label, Style
from portrait_anim.render.choose import shown_photo

TEXTS = (
    "He was not a man to be moved by such a thing, and he said so.",
    "مرحبا بالعالم، هذا نص عربي (رقم 25) مع كلمة English في الوسط.",
    "שלום עולם! זה משפט בעברית עם OpenCV ו-2024 באמצע.",
    "你好，世界！这是一个很长的中文字幕，用来测试自动换行的功能。",
    "これは日本語の字幕です。「顔」を隠さないように配置されます。",
    "Привет, мир! Это строка по-русски.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--height", type=int, default=300)
    parser.add_argument("--label", action="store_true")
    parser.add_argument("--aspect")
    args = parser.parse_args()
    rows = []
    for path in args.photos:
        photo, faces = shown_photo(path, shared_landmarker(), PhotoOptions(aspect=args.aspect))
        label = Label(Style.parse("auto"), photo.size, 25) if args.label else None
        cells = []
        for number, text in enumerate(TEXTS):
            line = [Caption(0, 10, words_of(text))]
            box = None if label is None else label.box
            frame = photo.pixels
            try:
                painter = CaptionPainter(line, photo.size, 25, faces, box, karaoke=bool(number % 2))
                frame = painter.draw(photo.pixels, 125)
                print(f"{path.name}: level {painter.level}, missing {painter.missing!r}")
            except PortraitAnimError as e:
                print(f"{path.name}: {e}")
            picture = Image.fromarray(frame if label is None else label.draw(frame, 0))
            size = (round(picture.width * args.height / picture.height), args.height)
            cells.append(np.asarray(picture.resize(size, Image.Resampling.LANCZOS)))
        rows.append(np.hstack(cells))
    width = max(row.shape[1] for row in rows)
    sheet = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(sheet)).save(args.out, quality=90)
    print(args.out)


if __name__ == "__main__":
    main()
