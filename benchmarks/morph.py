"""Faces that change, measured: five photos in 20 s, in both styles, beside the same film without changes.

    python benchmarks/morph.py [--max-size 384] [--photo PHOTO] [--others PHOTO ...] [--sound SOUND]

Films are made by ``animate`` and read back: every frame is decoded and its face tracked again.

- edges: mean gradient of the luma inside the face, brought to one size, over the larger of the values just before and
  just after the change; the largest of a change's inner frames, mean and worst of all changes, and its middle. A
  second pair of eyes or lips would raise it. Beside it a plain cross-fade of the two ends, not brought to one shape.
- identity: cosine of SFace embeddings to the photo that the face becomes, along the change; falls: by how much it ever
  falls below its highest value so far (the baseline row: by how much it does so in as many frames without a change).
- lips: correlation of the tracked opening with the motion's, beside the film of the first photo without changes and
  beside films of each photo alone, cut in the middle of each change: what trackers see in each of the faces.
- marks: what ``verify`` finds. Cost: drawing alone, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from portrait_anim import Animator, animate, verify
from portrait_anim.errors import DataError
from portrait_anim.evaluation.render import SFACE, Identity
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import FACE_OVAL, OUTER_EYE_CORNERS
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.track import follow
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.space import INNER_LIPS
from portrait_anim.options.morph import STYLES
from portrait_anim.system.opencv import cv2
from portrait_anim.training.convert.wheels import file_of
from portrait_anim.video.reader import read_frames

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OTHERS = ("leonardo_mona_lisa_1503", "moller_gogol_1841", "raphael_la_donna_velata_1516", "sargent_lady_agnew_1892")
FILM_S, LENGTH_S = 20.0, 0.8
FACE_PX = 96  # IOD to which faces are brought for their edges
SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of a change

Image = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A film as it was tracked: frames, (T, 478, 3) px."""

    frames: list[Image]
    landmarks: npt.NDArray[np.float32]

    @classmethod
    def of(cls, film: Path) -> Seen:
        """Read a film; a frame in which no face is found has the last one's points."""
        frames, rows = [], []
        for image, face in follow(read_frames(film)):
            frames.append(image)
            rows.append(face.landmarks if face is not None else rows[-1])
        return cls(frames, np.stack(rows))

    def opening(self) -> Float:
        """Return the opening of the inner lips in IOD, (T,)."""
        shapes = [normalise(points)[0] for points in self.landmarks]
        return np.array([np.linalg.norm(np.subtract(*shape[list(INNER_LIPS)])) for shape in shapes])


def edges(image: Image, landmarks: npt.NDArray[np.float32]) -> float:
    """Return the mean gradient within a face, brought to FACE_PX an IOD."""
    left, right = landmarks[list(OUTER_EYE_CORNERS), :2]
    scale = FACE_PX / max(float(np.linalg.norm(right - left)), 1.0)
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    matrix = np.column_stack([np.eye(2) * scale, -scale * low])
    size = tuple(int(v) for v in np.ceil(scale * (high - low)))
    grey = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), matrix, size).astype(np.float32)
    oval = (landmarks[list(FACE_OVAL), :2] - low) * scale
    oval = oval.mean(0) + 0.85 * (oval - oval.mean(0))
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(oval).astype(np.int32)], 1)
    grey = cv2.GaussianBlur(grey, (0, 0), 2.0)
    return float(np.hypot(*np.gradient(grey))[inside > 0].mean())


def falls(values: Sequence[float]) -> float:
    """Return by how much values ever fall below their highest so far."""
    return float((np.maximum.accumulate(values) - np.asarray(values)).max())


def report(style: str, seen: Seen, plain: Seen, starts: Sequence[float], photos: Sequence[Path], net: Identity | None,
           driven: Float, cut: Float) -> None:  # fmt: skip
    """Print one style's rows."""
    ratios, middles, crossed, along, drops, still = [], [], [], [], [], []
    for start, photo in zip(starts, photos, strict=True):
        first, last = round(start * 25), round((start + LENGTH_S) * 25)
        inside = range(first, last + 1)
        ends = [edges(seen.frames[i], seen.landmarks[i]) for i in (first - 1, first, last, last + 1)]
        within = [edges(seen.frames[i], seen.landmarks[i]) / max(ends) for i in inside[2:-2]]
        ratios.append(max(within))
        middles.append(within[len(within) // 2])
        middle = cv2.addWeighted(seen.frames[first], 0.5, seen.frames[last], 0.5, 0)
        crossed.append(edges(middle, seen.landmarks[first]) / max(ends))
        if net is not None:
            picture = load_photo(photo)
            face = shared_landmarker("facemesh").detect(picture.pixels)[0]
            wanted = net.embedding(picture.pixels, face.landmarks)
            cosines = [float(net.embedding(seen.frames[i], seen.landmarks[i]) @ wanted) for i in inside]
            drops.append(falls(cosines))
            along.append([cosines[round(share * (len(cosines) - 1))] for share in SHOWN])
            still.append(falls([float(net.embedding(plain.frames[i], plain.landmarks[i]) @ wanted) for i in inside]))
    print(f"| {style}: edges in a change, over the stronger end | {np.mean(ratios):.3f}, worst {max(ratios):.3f} |")
    print(f"| {style}: the same in its middle | {np.mean(middles):.3f}, least {min(middles):.3f} |")
    print(f"| the same, plain cross-fade of the ends | {np.mean(crossed):.3f}, worst {max(crossed):.3f} |")
    if net is not None:
        shares = ", ".join(f"{value:.3f}" for value in np.mean(along, axis=0))
        print(f"| {style}: identity to the next photo at {', '.join(map(str, SHOWN))} of a change | {shares} |")
        print(f"| {style}: falls of it | {np.mean(drops):.3f}, worst {max(drops):.3f} |")
        print(f"| the same in as many frames without a change | {np.mean(still):.3f}, worst {max(still):.3f} |")
    near = np.zeros(len(driven), bool)
    for start in starts:
        near[round(start * 25) : round((start + LENGTH_S) * 25) + 1] = True
    openings = {style: seen.opening(), "the same without changes": plain.opening(), "cut from films of each": cut}
    for name, opening in openings.items():
        r, within = (float(np.corrcoef(opening[part], driven[part])[0, 1]) for part in (slice(None), near))
        print(f"| {name}: lip opening r, in the changes alone | {r:.3f}, {within:.3f} |")


def cost(animator: Animator, sound: Path, times: Sequence[float]) -> float:
    """Return ms a frame that drawing takes at some times, in one thread."""
    scene, space = animator._scene, animator._nets.space
    motion = animator.motions(sound)[0]
    took = []
    for repeat in range(2):
        for time_s in times:
            state, out = space.state(motion, round(time_s * 25)), scene.still.copy()
            before = time.perf_counter()
            scene.draw([state], time_s, out)
            if repeat:
                took.append(time.perf_counter() - before)
    return 1e3 * float(np.median(took))


def main() -> None:
    """Make the films and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=EXAMPLES / "astronaut.jpg")
    parser.add_argument("--others", type=Path, nargs="+", default=[EXAMPLES / f"portraits/{n}.jpg" for n in OTHERS])
    parser.add_argument("--sound", type=Path, default=EXAMPLES / "song.flac")
    parser.add_argument("--max-size", type=int, default=384)
    args = parser.parse_args()
    starts = [FILM_S * (k + 1) / (len(args.others) + 1) for k in range(len(args.others))]
    morph = [(photo, start, LENGTH_S) for photo, start in zip(args.others, starts, strict=True)]
    try:
        net = Identity(file_of(*SFACE))
    except DataError as e:
        net = None
        print(f"no identity: {e}")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        samples, rate = soundfile.read(args.sound)
        soundfile.write(sound, np.resize(samples, (round(FILM_S * rate), *samples.shape[1:])), rate)
        film = animate(args.photo, sound, Path(folder) / "plain.mp4", max_size=args.max_size)
        plain, space = Seen.of(film.path), MotionModel.from_weights().space
        driven = np.maximum(space.aperture(film.motion.mouth), 0).astype(np.float64)
        print(f"{len(args.others) + 1} photos, {FILM_S:g} s, {film.size[0]}x{film.size[1]}\n\n| | |\n|---|---|")
        cut = plain.opening()
        for number, (photo, start) in enumerate(zip(args.others, starts, strict=True)):
            alone = animate(photo, sound, Path(folder) / f"{number}.mp4", max_size=args.max_size)
            first = round((start + LENGTH_S / 2) * 25)
            cut[first:] = Seen.of(alone.path).opening()[first:]
        for style in STYLES:
            out = animate(args.photo, sound, Path(folder) / f"{style}.mp4", max_size=args.max_size, morph=morph,
                          morph_style=style)  # fmt: skip
            report(style, Seen.of(out.path), plain, starts, args.others, net, driven, cut)
            found = verify(out.path)
            print(f"| {style}: mark found, manifest valid | {found.mark.found}, {found.manifest.error is None} |")
            animator = Animator(args.photo, max_size=args.max_size, morph=morph, morph_style=style)
            within = [start + LENGTH_S * k / 8 for start in starts for k in range(1, 8)]
            outside = [start + LENGTH_S + 0.3 + 0.2 * k for start in starts for k in range(6)]
            before = [0.5 + 0.2 * k for k in range(12)]
            costs = " / ".join(f"{cost(animator, sound, times):.1f}" for times in (before, outside, within))
            print(f"| {style}: ms a frame before the first change / between changes / within | {costs} |")


if __name__ == "__main__":
    main()
