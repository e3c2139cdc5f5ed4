"""How far a film follows the actor's video that drives it: both are tracked alike and compared.

    PYTHONPATH=. python benchmarks/actor.py --actors A.mp4 B.mp4 --photos X.jpg Y.jpg [--self A.mp4 ...] [--seconds 6]
        [--identity] [--held]

"cross": every actor drives every photo; the film's frames (before encoding) are tracked again and compared with the
actor: correlation r of the lips' opening, of the mouth's width (where the actor's has a standard deviation of .02 IOD
or more), of the brows' height (.008 IOD) and of each head angle (1.5 degrees; else the mean error in degrees), F1 of
the blinks, how often lips meet where the actor's do, and the distance of the film's neutral shape from the photo's over
that from the actor's (below 1: the face stays the photo's). Baselines: the photo standing still, and the film beside
another actor's clip. "self": a clip drives its own first frame; SSIM on the face beside the renderer's oracle and the
still photo. "still": one frame of a clip with fresh pixel noise in every frame, then growing by 15 %: what the head
does then. "speed": frames/s of `animate`, all included, beside a voice film and encoding alone. The first and last
.4 s, which ease from and to rest, are left out.
"--held": expressions that the actor holds all through the clip (smile, brows up, brows down): the blendshape net's
medians over the frames of the photo, the actor, the film with nothing but the changes, and the film; and which share of
the way from photo to actor the film goes.
"--identity" adds the cosine of SFace embeddings of every fifth frame to the photo's (mean; needs the package index),
beside the photo standing still after encoding, the actor's face and another photo's.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.transform import Rotation

from portrait_anim import Animator, animate
from portrait_anim.config import FPS
from portrait_anim.evaluation.render import SFACE, Identity, box_of, drawn, track
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT, MOUTH_CORNERS, OUTER_EYE_CORNERS
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.ends import REST_S
from portrait_anim.motion.held import EXPRESSIONS, expression_scores, sureness
from portrait_anim.motion.lids import closures, openings
from portrait_anim.motion.metrics import amplitude, correlation
from portrait_anim.motion.performance import analyse
from portrait_anim.motion.space import INNER_LIPS, neutral_face
from portrait_anim.training.convert.wheels import file_of
from portrait_anim.video.reader import read_frames
from portrait_anim.video.writer import Writer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ANGLES = ("pitch", "yaw", "roll")
MOVES_DEG = 1.5  # standard deviation of an angle from which on a correlation says something
WIDENS_IOD, RAISES_IOD = 0.02, 0.008  # the same for the mouth's width and the brows' height
SHUT = 0.5  # closure that makes a blink
NEAR = 3  # frames by which two blinks may be apart
MEETS_IOD = 0.012  # opening above the clip's closed lips at which lips meet
SIZE_PX = 512
NOISE_GREY = 2.0  # standard deviation of a camera's noise
EMBED_EVERY = 5  # frames
DIFFERS = 0.2  # least difference of a score between photo and actor of which a share is told

Pixels = npt.NDArray[np.uint8]
Curve = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Curves:
    """What a tracked face does: (T,) each, IOD; angles (T, 3) degrees; size (T,) px; shape (T, 478, 3) IOD."""

    opening: Curve
    width: Curve
    brows: Curve
    blink: Curve
    angles: Curve
    size: Curve
    shape: Curve

    @classmethod
    def of(cls, landmarks: npt.NDArray[np.float32]) -> Curves:
        """Measure (T, 478, 3) px."""
        points, poses = normalise_clip(landmarks)
        rotations = np.stack([pose.rotation for pose in poses])
        there = np.ones(len(points), bool)
        turned = Rotation.from_matrix(rotations)
        brows = points[:, list(BROW_LEFT + BROW_RIGHT), 1].mean(1) - points[:, list(OUTER_EYE_CORNERS), 1].mean(1)
        blink = closures(openings(points, rotations, there), rotations, there).mean(1)
        return cls(
            _apart(points, *INNER_LIPS), _apart(points, *MOUTH_CORNERS), brows, blink,
            np.rad2deg((turned.mean().inv() * turned).as_rotvec()), np.array([pose.scale for pose in poses]),
            points,
        )  # fmt: skip

    def inner(self) -> slice:
        """Frames that do not ease from or to rest."""
        edge = round(REST_S * FPS)
        return slice(edge, len(self.opening) - edge)


def _apart(points: npt.NDArray[np.float32], a: int, b: int) -> Curve:
    return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=-1))


def tracked(frames: Iterable[Pixels], seen: Faces | None = None) -> npt.NDArray[np.float32]:
    """Return (T, 478, 3) px of the largest face; where it is lost the last one is repeated."""
    landmarker, face, rows = shared_landmarker(), None, []
    for i, frame in enumerate(frames):
        face = landmarker.track(frame, face) or face
        if face is not None:
            rows.append(face.landmarks)
            if seen is not None and i % EMBED_EVERY == 0:
                seen.add(frame, face.landmarks)
    return np.stack(rows)


class Faces:
    """SFace embeddings of the frames of a film; of none without the net."""

    def __init__(self, net: Identity | None) -> None:
        self._net, self.found = net, []

    def add(self, frame: Pixels, landmarks: npt.NDArray[np.float32]) -> None:
        """Embed a frame's face."""
        if self._net is not None:
            self.found.append(self._net.embedding(frame, landmarks))

    def like(self, other: Faces) -> float:
        """Return the mean cosine to another's first; NaN without the net."""
        return float(np.mean(np.stack(self.found) @ other.found[0])) if self.found else float("nan")


def blinks_f1(made: Curve, real: Curve) -> float:
    """Return F1 of blinks found within three frames; NaN where neither has any."""
    ours, theirs = (np.flatnonzero((c[1:] > SHUT) & (c[:-1] <= SHUT)) for c in (made, real))
    if not len(theirs) and not len(ours):
        return float("nan")
    hits = sum(bool(len(ours) and np.abs(ours - at).min() <= NEAR) for at in theirs)
    return 2 * hits / max(len(ours) + len(theirs), 1)


def meets(made: Curve, real: Curve) -> float:
    """Return in what share of the frames in which the actor's lips meet the film's do too; NaN where they never do."""
    ours, theirs = (c < np.percentile(c, 5) + MEETS_IOD for c in (made, real))
    return float(ours[theirs].mean()) if theirs.any() else float("nan")


def where_it_moves(made: Curve, real: Curve, least: float) -> float:
    """Return r where the actor's standard deviation is ``least`` or more, else NaN: noise does not correlate."""
    return correlation(made, real) if real.std() >= least else float("nan")


def nearer(made: Curves, photo: Curves, real: Curves) -> float:
    """Return the distance of the film's neutral shape from the photo's over that from the actor's."""
    ours, actors = (neutral_face(curves.shape) for curves in (made, real))
    return float(np.linalg.norm(ours - photo.shape[0]) / np.linalg.norm(ours - actors))


def compare(made: Curves, real: Curves) -> dict[str, float]:
    """Return the figures of one film."""
    cut = real.inner()
    row = {
        "opening r": correlation(made.opening[cut], real.opening[cut]),
        "amplitude": amplitude(made.opening[cut], real.opening[cut]),
        "width r": where_it_moves(made.width[cut], real.width[cut], WIDENS_IOD),
        "brows r": where_it_moves(made.brows[cut], real.brows[cut], RAISES_IOD),
        "lids r": correlation(made.blink[cut], real.blink[cut]),
        "blinks F1": blinks_f1(made.blink[cut], real.blink[cut]),
        "lips meet": meets(made.opening[cut], real.opening[cut]),
    }
    for k, name in enumerate(ANGLES):
        ours, theirs = made.angles[cut, k], real.angles[cut, k]
        moves = theirs.std() >= MOVES_DEG
        row[f"{name} r"] = correlation(ours, theirs) if moves else float("nan")
        error = np.abs((ours - ours.mean()) - (theirs - theirs.mean())).mean()
        row[f"{name} error"] = float("nan") if moves else float(error)
    return row


def table(rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    """Return Markdown; empty cells where there is nothing to say."""
    names = list(rows[0][1])
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for label, row in rows:
        cells = ["" if not np.isfinite(row.get(name, np.nan)) else f"{row[name]:.2f}" for name in names]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of every column over rows that have it."""
    out = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        out[name] = float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")
    return out


def clip_of(video: Path, seconds: float, folder: Path) -> Path:
    """Write the first seconds of a video at 25 fps, without sound, losslessly enough."""
    frames = list(islice(read_frames(video, FPS), round(seconds * FPS)))
    return written(frames, folder / f"{video.stem}_{seconds:g}.mp4")


def written(frames: Sequence[Pixels], path: Path) -> Path:
    """Write frames at 25 fps."""
    with Writer(path, (frames[0].shape[1], frames[0].shape[0]), FPS, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def cross(actors: Sequence[Path], photos: Sequence[Path], seconds: float, folder: Path, net: Identity | None) -> str:
    """Drive every photo with every actor."""
    clips = [clip_of(video, seconds, folder) for video in actors]
    acting = [Faces(net) for _ in clips]
    real = [Curves.of(tracked(read_frames(clip, FPS), faces)) for clip, faces in zip(clips, acting, strict=True)]
    stills = []
    for photo in photos:
        animator, faces = Animator(photo, max_size=SIZE_PX), Faces(net)
        faces.add(animator.photo.pixels, animator.faces[0].landmarks)
        stills.append((animator, faces))
    lines, everything, still, other, strange = [], [], [], [], []
    for p, (photo, (animator, own_face)) in enumerate(zip(photos, stills, strict=True)):
        rows = []
        encoded = Faces(net)
        picture = animator.photo.pixels
        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        tracked(read_frames(written([even] * 6, folder / "encoded.mp4"), FPS), encoded)
        for i, clip in enumerate(clips):
            faces = Faces(net)
            made = Curves.of(tracked(animator.frames(actor=clip), faces))
            held = Curves.of(np.repeat(animator.faces[0].landmarks[None], len(made.opening), axis=0))
            row = compare(made, real[i]) | {"shape, photo : actor": nearer(made, held, real[i])}
            rows.append(row | {"SFace to the photo": faces.like(own_face)})
            another = real[(i + 1) % len(clips)]
            n = min(len(another.opening), len(made.opening))
            if len(clips) > 1:
                beside = compare(_first(made, n), _first(another, n))
                other.append(beside | {"SFace to the photo": acting[i].like(own_face)})
            if len(photos) > 1:
                strange.append(stills[(p + 1) % len(stills)][1].like(own_face))
            still.append(compare(held, real[i]) | {"SFace to the photo": encoded.like(own_face)})
            lines.append((f"{clip.stem} on {photo.stem}", rows[-1]))
        lines.append((f"**{photo.stem}, median**", medians(rows)))
        everything += rows
    lines.append(("**all, median**", medians(everything)))
    lines.append(("baseline: the photo, still", medians(still)))
    if other:
        lines.append(("baseline: beside another actor; SFace: the actor's own face", medians(other)))
    if strange:
        lines.append(("baseline: another photo", {"SFace to the photo": float(np.median(strange))}))
    shapes, cosines = (np.array([row[name] for row in everything]) for name in list(everything[0])[-2:])
    return (
        f"{table(lines)}\n\nSFace to the photo: mean {cosines.mean():.3f}, least {cosines.min():.3f}. "
        f"Shape, photo : actor: greatest {shapes.max():.2f}; below 1 in {(shapes < 1).sum()} of {len(shapes)} films."
    )


def held(actors: Sequence[Path], photos: Sequence[Path], seconds: float, folder: Path, weights: str) -> str:
    """Show how far held expressions come over: medians of the blendshape net's scores."""
    names = [expression.score for expression in EXPRESSIONS]
    lines = ["| actor on photo | score | photo | actor | changes alone | film | share of the way |", "|---" * 7 + "|"]
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    leaks: dict[str, list[float]] = {name: [] for name in names}

    def scored(landmarks: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        edge = round(REST_S * FPS)
        points, _ = normalise_clip(landmarks)
        return np.median(expression_scores(points[edge:-edge:2]), axis=0)

    for video in actors:
        clip = clip_of(video, seconds, folder)
        landmarks = tracked(read_frames(clip, FPS))
        theirs = scored(landmarks)
        holds = sureness(expression_scores(analyse(landmarks).neutrals[0])) > 0.5  # held: the neutral face has it, too
        for photo in photos:
            animator = Animator(photo, max_size=SIZE_PX, weights=weights)
            shape = animator._targets[0].shape
            own = expression_scores(shape)
            film = scored(tracked(animator.frames(actor=clip)))
            with patch("portrait_anim.motion.retarget.held", lambda actor, *_: np.zeros((len(actor), len(TRACKS)))):
                changes = scored(tracked(animator.frames(actor=clip)))
            for k, name in enumerate(names):
                row = [own[k], theirs[k], changes[k], film[k]]
                if holds[k] and theirs[k] - own[k] >= DIFFERS:
                    share = [(value - own[k]) / (theirs[k] - own[k]) for value in (changes[k], film[k])]
                    shares[name].append((share[0], share[1]))
                    cells = " | ".join(f"{value:.2f}" for value in [*row, share[1]])
                    lines.append(f"| {video.stem} on {photo.stem} | {name} | {cells} |")
                elif not holds[k]:
                    leaks[name].append(float(abs(film[k] - changes[k])))
    lines += ["", "| score | films | share, changes alone, median | share, median | least | greatest | films >= .5 | |"]
    lines[-1] = lines[-1].replace(" | |", " | where nobody holds it, changed by |")
    lines.append("|---" * 8 + "|")
    for name in names:
        leak = f"{np.mean(leaks[name]):.3f}" if leaks[name] else ""
        if shares[name]:
            alone, made = np.array(shares[name]).T
            lines.append(
                f"| {name} | {len(made)} | {np.median(alone):.2f} | {np.median(made):.2f} | {made.min():.2f} | "
                f"{made.max():.2f} | {(made >= 0.5).sum()} | {leak} |"
            )
        else:
            lines.append(f"| {name} | 0 | | | | | | {leak} |")
    return "\n".join(lines)


def _first(curves: Curves, n: int) -> Curves:
    return Curves(**{name: values[:n] for name, values in vars(curves).items()})


def own(videos: Sequence[Path], seconds: float, folder: Path) -> str:
    """Drive the first frame of a clip with the clip."""
    from skimage.metrics import structural_similarity

    rows = []
    for video in videos:
        clip = clip_of(video, seconds, folder)
        real = track(clip, round(seconds * FPS))
        first = real.frames[0]
        face = box_of(real.landmarks[0], first.shape)
        made = {
            "SSIM, actor": list(Animator(first).frames(actor=clip)),
            "SSIM, actor, neutral at 0 s": list(Animator(first).frames(actor=clip, actor_neutral=0.0)),
            "SSIM, oracle": drawn(real),
            "SSIM, still": [first] * len(real.frames),
        }
        row = {
            name: float(
                np.mean([
                    structural_similarity(a[face], b[face], channel_axis=2, data_range=255)
                    for a, b in zip(frames[1:], real.frames[1:], strict=False)
                ])
            )
            for name, frames in made.items()
        }  # fmt: skip
        follow = compare(Curves.of(tracked(made["SSIM, actor"])), Curves.of(real.landmarks))
        rows.append((clip.stem, row | follow))
    rows.append(("**median**", medians([row for _, row in rows])))
    return table(rows)


def still(video: Path, photo: Path, folder: Path, n_frames: int = 75) -> str:
    """Show what the film's head does while the actor's does nothing, and while it comes nearer."""
    rng = np.random.default_rng(0)
    picture = next(read_frames(video, FPS))
    height, width = picture.shape[:2]
    animator = Animator(photo, max_size=SIZE_PX)
    lines = ["| | head's spread, degrees | farthest, degrees | face size, spread % | from smallest to largest, % |"]
    lines.append("|---|---|---|---|---|")
    for name, growth in (("still, with camera noise", 1.0), ("coming 15 % nearer", 1.15)):
        frames = []
        for i in range(n_frames):
            scale = 1 + (growth - 1) * i / (n_frames - 1)
            box = [(1 - 1 / scale) / 2 * s for s in (width, height)]
            grown = Image.fromarray(picture).resize(
                (width, height), Image.Resampling.BICUBIC, (box[0], box[1], width - box[0], height - box[1])
            )
            noisy = np.asarray(grown, float) + rng.normal(0, NOISE_GREY, (height, width, 3))
            frames.append(noisy.clip(0, 255).astype(np.uint8))
        clip = written(frames, folder / "still.mp4")
        turned = np.rad2deg(animator.motions(actor=clip)[0].rotation)
        size = Curves.of(tracked(animator.frames(actor=clip))).size
        margin = round(REST_S * FPS) + 1  # the held expression comes and goes there
        size = size[margin:-margin] / size[margin:-margin].mean()
        lines.append(
            f"| {name} | {turned.std(0).max():.3f} | {np.abs(turned).max():.3f} | {100 * size.std():.2f} | "
            f"{100 * np.ptp(size):.2f} |"
        )
    return "\n".join(lines)


def speed(video: Path, photo: Path, seconds: float, folder: Path) -> str:
    """Time whole films after one that loads everything."""
    clip = clip_of(video, seconds, folder)
    out = folder / "speed.mp4"
    picture = load_photo(photo, SIZE_PX)
    frames = list(Animator(photo, max_size=SIZE_PX).frames(actor=clip))

    def film(**what: Path) -> int:
        return animate(photo, output=out, max_size=SIZE_PX, overwrite=True, **what).n_frames  # type: ignore[arg-type]

    def encoding() -> int:
        written(frames, out)
        return len(frames)

    def tracking() -> int:
        return len(tracked(read_frames(clip, FPS)))

    ways: dict[str, Callable[[], int]] = {
        "actor": lambda: film(actor=clip), "voice": lambda: film(audio=EXAMPLES / "speech.flac"),
        "encoding alone": encoding, "reading and tracking alone": tracking,
    }  # fmt: skip
    lines = ["| | frames/s |", "|---|---|"]
    for name, way in ways.items():
        way()  # loads and compiles
        start = time.perf_counter()
        n_frames = way()
        lines.append(f"| {name} ({n_frames} frames) | {n_frames / (time.perf_counter() - start):.1f} |")
    width, height = picture.size
    return "\n".join([f"{width}x{height}, {os.cpu_count()} cores\n", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", nargs="*", type=Path, default=[], help="videos that drive the photos")
    parser.add_argument("--photos", nargs="*", type=Path, default=[EXAMPLES / "astronaut.jpg"], help="driven pictures")
    parser.add_argument("--self", nargs="*", type=Path, default=[], dest="own", help="videos that drive themselves")
    parser.add_argument("--seconds", type=float, default=6.0, help="of every video")
    parser.add_argument("--still", action="store_true", help="a still actor, made of the first of --actors")
    parser.add_argument("--speed", action="store_true", help="with the first of --actors and the first of --photos")
    parser.add_argument("--held", action="store_true", help="held expressions: --actors on --photos")
    parser.add_argument("--weights", default="default", help="of --held: default or open")
    parser.add_argument("--identity", action="store_true", help="adds SFace's cosines; fetches the net")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.held:
            made = held(args.actors, args.photos, args.seconds, folder, args.weights)
            print(f"### Held expressions, {args.weights}\n\n{made}\n", flush=True)
        if args.actors and not (args.still or args.speed or args.held):
            net = Identity(file_of(*SFACE)) if args.identity else None
            print(f"### Others\n\n{cross(args.actors, args.photos, args.seconds, folder, net)}\n", flush=True)
        if args.own:
            print(f"### Oneself\n\n{own(args.own, args.seconds, folder)}\n", flush=True)
        if args.still:
            print(f"### A still actor\n\n{still(args.actors[0], args.photos[0], folder)}\n", flush=True)
        if args.speed:
            print(f"### Speed\n\n{speed(args.actors[0], args.photos[0], args.seconds, folder)}\n", flush=True)


if __name__ == "__main__":
    main()
