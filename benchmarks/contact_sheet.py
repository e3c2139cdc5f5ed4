r"""Contact sheets of rendered faces, to be looked at.

    python benchmarks/contact_sheet.py OUT.png PHOTO [PHOTO ...] [--zoom face|mouth|eyes] [--cell 200]
    python benchmarks/contact_sheet.py docs/images/film.png PHOTO --film SOUND
    python benchmarks/contact_sheet.py docs/images/heart.jpg examples/astronaut.jpg --film examples/song.flac \
        --morph examples/heart.lrc --cell 150
    python benchmarks/contact_sheet.py docs/images/address.jpg PHOTO [PHOTO ...] --actor examples/address.mp4 --every 20
    python benchmarks/contact_sheet.py docs/images/emotions.jpg PHOTO [PHOTO ...] --emotions [STRENGTH]

Columns: the photo, lips apart, open, wide, round, blink, head turned left and right with gaze. With ``--film``:
frames of a film made from SOUND, every fifth (``--every``); with ``--actor``: the actor's frames, and the same of each
photo's film below; with ``--morph`` too, for each style: the photo, then two frames in
each change and one after it. With ``--emotions``: neutral, happy, sad, angry, surprised, fearful, disgusted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from portrait_anim import Animator
from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.motion.action_units import ActionUnits
from portrait_anim.motion.emotion import emotion_activations, photo_smile
from portrait_anim.motion.model import MotionModel
from portrait_anim.options import EMOTIONS
from portrait_anim.options.morph import STYLES, parse_morph
from portrait_anim.render.portrait import Portrait
from portrait_anim.video.reader import read_frames

Frame = npt.NDArray[np.uint8]
ZOOMS = {"face": ((33, 263, 152, 10), 1.45), "mouth": ((13, 14), 0.5), "eyes": ((33, 263), 0.75)}
MORPH_REACH = {"face": 2.0, "photo": 3.2}  # of a cell of --morph, IOD
MORPH_COLUMNS = 8
MORPH_SHARES = (0.35, 0.6)  # of a change that it shows


def states() -> list[FaceState]:
    """The columns: poses from the shipped model's own motion space."""
    space = MotionModel.from_weights().space
    unit = np.eye(space.n_components, dtype=np.float32)
    opening, width = space.aperture(unit), space.width(unit)
    jaw = unit[int(np.abs(opening).argmax())] * np.sign(opening[int(np.abs(opening).argmax())])
    jaw = jaw / space.aperture(jaw)
    rounding = -width[:, None] * unit
    pucker = rounding.sum(0) / max(float((width**2).sum()), 1e-6)

    def mouth(aperture: float, narrow: float = 0.0) -> FaceState:
        return replace(FaceState.rest(), displacement=space.decode(jaw * aperture + pucker * narrow))

    def posed(state: FaceState, blink: float, rotation: tuple[float, ...], gaze: tuple[float, float]) -> FaceState:
        return replace(
            state,
            blink=np.full(2, blink, np.float32),
            rotation=np.array(rotation, np.float32),
            gaze=np.array(gaze, np.float32),
        )

    return [
        FaceState.rest(),
        mouth(0.06),
        mouth(0.14),
        mouth(0.24),
        mouth(0.08, 0.09),
        posed(FaceState.rest(), 1.0, (0, 0, 0), (0, 0)),
        posed(mouth(0.1), 0.0, (0, -0.12, 0), (0, 0)),
        posed(mouth(0.03), 0.0, (0.06, 0.12, 0.05), (0.08, 0)),
    ]


def emotions(face: Face, strength: float) -> list[FaceState]:
    """The columns of ``--emotions`` for one face, held still."""
    units = ActionUnits.from_weights()
    smile = photo_smile(normalise(face.landmarks)[0])
    shown = [emotion_activations(label, strength, smile) for label in EMOTIONS]
    return [replace(FaceState.rest(), displacement=units.displacement(activation)) for activation in shown]


def crop(frame: Frame, centre: npt.NDArray[np.floating], reach: float, cell: int) -> Frame:
    """Cut a square of side 2 ``reach`` px round ``centre`` and bring it to ``cell`` px."""
    x, y = centre
    box = (round(x - reach), round(y - reach), round(x + reach), round(y + reach))
    return np.asarray(Image.fromarray(frame).crop(box).resize((cell, cell), Image.Resampling.LANCZOS))


def morph_rows(path: Path, sound: Path, morph: str, cell: int) -> list[Frame]:
    """The rows of ``--morph``, style by style."""
    changes = parse_morph(morph)
    times = [each.start_s + share * each.length_s for each in changes for share in (*MORPH_SHARES, 2.0)]
    rows = []
    for style in STYLES:
        animator = Animator(path, morph=morph, morph_style=style)
        wanted = {round(time_s * 25) for time_s in [changes[0].start_s / 2, *times]}
        frames = [frame for i, frame in enumerate(animator.frames(sound)) if i in wanted]
        _, pose = normalise(animator.faces[0].landmarks)
        centre = pose.origin[:2] + np.array([0, 0.3 * pose.scale])
        reach = min(MORPH_REACH[style] * pose.scale, min(animator.size) / 2)
        centre = np.clip(centre, reach, np.array(animator.size) - reach)
        cells = [crop(frame, centre, reach, cell) for frame in frames]
        cells += [np.full_like(cells[0], 255)] * (-len(cells) % MORPH_COLUMNS)
        rows += [np.hstack(cells[i : i + MORPH_COLUMNS]) for i in range(0, len(cells), MORPH_COLUMNS)]
    return rows


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--zoom", choices=tuple(ZOOMS), default="face")
    parser.add_argument("--cell", type=int, default=200)
    parser.add_argument("--film", type=Path, help="sound to make the frames from")
    parser.add_argument("--actor", type=Path, help="a video to make the frames from")
    parser.add_argument("--every", type=int, default=5, help="frames from one column to the next")
    parser.add_argument("--morph", metavar="M", help="with --film: as of animate")
    parser.add_argument("--emotions", type=float, nargs="?", const=1.0, metavar="STRENGTH")
    parser.add_argument("--skip", type=int, default=20, help="frames left out at the start of a film")
    args = parser.parse_args()
    rows = []
    if args.actor:
        frames = list(islice(read_frames(args.actor), args.skip, args.skip + 8 * args.every, args.every))
        centre = np.array(frames[0].shape[1::-1]) / 2
        rows.append(np.hstack([crop(frame, centre, float(centre.min()), args.cell) for frame in frames]))
    for path in args.photos:
        if args.film and args.morph:
            rows += morph_rows(path, args.film, args.morph, args.cell)
            continue
        photo = load_photo(path)
        face = make_landmarker().detect(photo.pixels)[0]
        _, pose = normalise(face.landmarks)
        points, size = ZOOMS[args.zoom]
        centre = face.landmarks[list(points), :2].mean(0)
        if args.film or args.actor:
            taken = Animator(path).frames(args.film) if args.film else Animator(path).frames(actor=args.actor)
            frames = list(islice(taken, args.skip, args.skip + 8 * args.every, args.every))
        else:
            portrait = Portrait(photo, face)
            columns = states() if args.emotions is None else emotions(face, args.emotions)
            frames = [portrait.render(state) for state in columns]
        rows.append(np.hstack([crop(frame, centre, size * pose.scale, args.cell) for frame in frames]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
