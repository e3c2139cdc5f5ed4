"""How far heads turn and what that looks like: asked and seen angles, and a sheet of faces at seven poses.

    PYTHONPATH=. python benchmarks/turns.py PHOTO... [--sheet turns.png]

Each photo is drawn at the asked angles and its face is found again, in pictures of its own. The table gives the seen
angle over the asked one: the median over the photos, the lowest and the highest; with what is added for the photo
(``film``) and without (``mesh``); ``photo`` is the still photo.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from portrait_anim.errors import NoFaceError
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.render.group import Group

AXES = ("pitch", "yaw", "roll")
ASKED = ((-15, -8, 8, 15), (-25, -15, -8, 8, 15, 25), (-20, -10, 10, 20))  # degrees, by axis
POSES = ((0, 0, 0), (0, -25, 0), (0, 25, 0), (15, 0, 0), (-15, 0, 0), (0, 0, 20), (10, -18, -12))  # of the sheet
MAX_SIDE = 900  # px of a photo
TILE = 240  # px of the sheet
ROUND_FACE = 1.55  # IOD, half of what a tile shows


def state(degrees) -> FaceState:
    return replace(FaceState.rest(), rotation=np.deg2rad(degrees).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--sheet", type=Path, help="PNG or JPEG with every photo at seven poses")
    args = parser.parse_args()
    landmarker, seen, gains, rows = shared_landmarker(), {}, [], []
    for path in args.photos:
        photo = load_photo(path, MAX_SIDE)
        try:
            face = choose_faces(photo, landmarker)[0]
        except NoFaceError as error:
            print(error)
            continue
        group = Group(photo, [face], landmarker)
        pose = normalise(face.landmarks)[1]

        def film(posed: FaceState, group=group) -> np.ndarray:
            out = group.still.copy()
            group.draw([posed], 0.0, out)
            return out

        def found(picture: np.ndarray) -> np.ndarray | None:
            faces = landmarker.detect(picture)  # the largest first
            return normalise(faces[0].landmarks)[1].rotation if faces else None

        for kind, draw in (("film", film), ("mesh", group.portraits[0].render)):
            start = found(draw(state((0, 0, 0))))
            for axis, angles in enumerate(ASKED):
                for angle in angles:
                    end = found(draw(state(np.eye(3)[axis] * angle)))
                    if start is None or end is None:
                        print(f"{path.name}: face not found at {AXES[axis]} {angle}")
                        continue
                    turn = np.rad2deg(Rotation.from_matrix(start.T @ end).as_rotvec()[axis])
                    seen.setdefault((kind, axis, angle), []).append(turn / angle)
        gains.append(group.seen[0].turning.gains)
        low = np.maximum(face.landmarks[:, :2].mean(0) - ROUND_FACE * pose.scale, 0).astype(int)
        high = (face.landmarks[:, :2].mean(0) + ROUND_FACE * pose.scale).astype(int)
        if args.sheet:
            tiles = [film(state(degrees))[low[1] : high[1], low[0] : high[0]] for degrees in POSES]
            rows.append(np.hstack([cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in tiles]))
    print("seen over asked  | " + " | ".join(f"{AXES[axis]} {a:+d}" for axis, list_ in enumerate(ASKED) for a in list_))
    for kind in ("film", "mesh"):
        cells = [seen[kind, axis, angle] for axis, angles in enumerate(ASKED) for angle in angles]
        print(f"{kind}: median     | " + " | ".join(f"{np.median(cell):.2f}" for cell in cells))
        print(f"{kind}: low..high  | " + " | ".join(f"{min(cell):.2f}..{max(cell):.2f}" for cell in cells))
    print("photo            | " + " | ".join("0" for angles in ASKED for _ in angles))
    added = np.median(gains, axis=0)
    ways = (("up", "down"), ("left", "right"))
    print("rotation is multiplied by (median): " + ", ".join(
        f"{AXES[axis]} {way} {added[axis, k]:.2f}" for axis in (0, 1) for k, way in enumerate(ways[axis])
    ))  # fmt: skip
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.vstack(rows)[..., ::-1])
        print(args.sheet)


if __name__ == "__main__":
    main()
