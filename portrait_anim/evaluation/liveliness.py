"""How lively films are beside real people: five scores of THEval, and how far and how fast head, brows and lips go.

A film of each clip's voice is made from one of its own frames and tracked like the real one. THEval (CVPR 2026
Findings, arXiv 2511.04520) compares means over films: the score of a number is 1 - |films - people| / people. Five of
its eight numbers need no further nets and are taken here by their definitions, but for three things: landmarks are this
project's tracker's; the head's angles and place are the landmarks' (there: FaceXFormer and RetinaFace); where somebody
speaks is told by the voice gate (there: Silero). Shuffled sound scores like the right one: this is a measure of
liveliness, never of sync.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.face.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER, LIPS_OUTER, MOUTH_CORNERS
from portrait_anim.face.normalise import IMAGE_TO_FACE, normalise_clip
from portrait_anim.face.track import follow

Image = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]

THEVAL = ("lip dynamics", "head motion", "brow dynamics", "silent lips", "lip sync")
PUBLISHED = {  # mean of these five, THEval's own clips, from its table (its repository at cfe23fe)
    "LivePortrait (driven by video)": 0.935, "Hallo2": 0.799, "Echomimic": 0.760, "FLOAT": 0.706, "SadTalker": 0.677,
    "Wav2Lip": 0.540,
}  # fmt: skip
SQUARE = 256  # px a side to which THEval brings a frame for the lips
BROWS = (
    (276, 282, 283, 285, 293, 295, 296, 300, 334, 336), (46, 52, 53, 55, 63, 65, 66, 70, 105, 107),
)  # fmt: skip
EYES = (
    (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466),
    (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246),
)
LIPS = tuple(sorted({*LIPS_OUTER, *LIPS_INNER_UPPER, *LIPS_INNER_LOWER}))
SILENT_PAIRS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318))
LEAST_SILENCE_S, LEAST_SPEECH = 0.3, 0.1  # shorter rests do not count; share of the film that must be speech
LOUDNESS_S = 0.05  # frame and hop of THEval's loudness
BANDS_HZ = (0.0, 0.5, 1.0, 2.0, 4.0, 12.5)
FAST = 95  # percentile


@dataclass(frozen=True)
class Film:
    """A tracked film.

    Attributes:
        landmarks: (T, 478, 3) px, at 25 fps.
        size: width and height of the picture, px.
        speech: (T,) where somebody speaks.
        waveform: (N,) at 16 kHz.
    """

    landmarks: npt.NDArray[np.float32]
    size: tuple[int, int]
    speech: npt.NDArray[np.bool_]
    waveform: npt.NDArray[np.float32]


def tracked(frames: Iterable[Image], speech: npt.NDArray[np.bool_], waveform: npt.NDArray[np.float32]) -> Film | None:
    """Track a film up to where its face is lost; None without a second of face."""
    rows, size = [], (0, 0)
    for image, face in follow(islice(frames, len(speech))):
        if face is None:
            break
        rows.append(face.landmarks)
        size = (image.shape[1], image.shape[0])
    n_frames = len(rows)
    if n_frames < FPS:
        return None
    sound = waveform[: round(n_frames * SAMPLE_RATE / FPS)]
    return Film(np.stack(rows), size, speech[:n_frames], sound)


def theval(film: Film) -> dict[str, float]:
    """Return THEval's five numbers of a film, NaN where it has too little silence or speech."""
    points = film.landmarks.astype(np.float64)
    squared = points[:, :, :2] * (SQUARE / np.array(film.size))
    lips = squared[:, list(LIPS)]
    apart = np.linalg.norm(lips[:, :, None] - lips[:, None], axis=-1)  # (T, L, L)
    first, second = np.triu_indices(len(LIPS), 1)
    angles, _ = _poses(film.landmarks)
    low, high = points[:, :, :2].min(1), points[:, :, :2].max(1)
    centre = (low + high) / 2
    turned = angles.std(0).mean() * np.diff(angles, axis=0).var(0).mean()
    raised = np.mean([_brow(points, brow, eye) for brow, eye in zip(BROWS, EYES, strict=True)], axis=0)
    eyes = np.linalg.norm(points[:, list(EYES[0]), :2].mean(1) - points[:, list(EYES[1]), :2].mean(1), axis=-1)
    return {
        "lip dynamics": float(apart.std(0)[first, second].mean()),
        "head motion": float(np.sqrt(turned + centre.var(0).sum() / 2)),
        "brow dynamics": float(np.abs(np.diff(raised / eyes)).mean()),
        "silent lips": _silent(squared, film.speech),
        "lip sync": _sync(points[:, :, :2] / film.size, film),
    }


def _brow(points: Float, brow: Sequence[int], eye: Sequence[int]) -> Float:
    return np.asarray(np.linalg.norm(points[:, list(brow), :2].mean(1) - points[:, list(eye), :2].mean(1), axis=-1))


def _silent(squared: Float, speech: npt.NDArray[np.bool_]) -> float:
    upper, lower = (squared[:, [pair[i] for pair in SILENT_PAIRS], 1] for i in (0, 1))
    wide = np.linalg.norm(squared[:, 33] - squared[:, 263], axis=-1)
    opening = np.abs(upper - lower).mean(1) / wide
    edges = np.flatnonzero(np.diff(np.concatenate([[True], speech, [True]]).astype(int)))
    silent = np.zeros(len(speech), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        silent[start:end] = end - start >= LEAST_SILENCE_S * FPS
    if silent.sum() < 2:
        return float("nan")
    kept = opening[silent]
    return float(np.median(np.abs(kept - kept.mean())))


def _sync(shares: Float, film: Film) -> float:
    speech = film.speech
    if speech.sum() < max(2, LEAST_SPEECH * len(speech)):
        return float("nan")
    upper, lower = (shares[:, [pair[i] for pair in SILENT_PAIRS], 1].mean(1) for i in (0, 1))
    wide = np.abs(shares[:, [362, 263], 0].mean(1) - shares[:, [33, 133], 0].mean(1))
    hop = round(LOUDNESS_S * SAMPLE_RATE)
    padded = np.pad(film.waveform, (hop // 2, hop))
    n_hops = len(film.waveform) // hop + 1
    rms = np.array([np.sqrt(np.mean(padded[i * hop : (i + 1) * hop] ** 2.0)) for i in range(n_hops)])
    loud = np.interp(np.arange(len(speech)) / FPS, np.arange(n_hops) * LOUDNESS_S, rms)
    opening, loud = np.abs(upper - lower)[speech] / wide[speech], loud[speech]
    return float(np.abs(_scaled(opening) - _scaled(loud)).mean())


def _scaled(values: Float) -> Float:
    return np.asarray((values - values.min()) / max(np.ptp(values), 1e-9))


def _poses(landmarks: npt.NDArray[np.float32]) -> tuple[Float, Float]:
    """Return pitch, yaw and roll (T, 3) in degrees and the eyes' middle (T, 2) in IOD, against their mean."""
    _, poses = normalise_clip(landmarks)
    matrices = np.stack([pose.rotation for pose in poses])
    middle = Rotation.from_matrix(matrices).mean().as_matrix()
    angles = np.rad2deg(Rotation.from_matrix(middle.T @ matrices).as_rotvec())
    size = np.median([pose.scale for pose in poses])
    place = np.stack([pose.origin for pose in poses])[:, :2] * IMAGE_TO_FACE[:2] / size
    return angles, place - place.mean(0)


def mouth_curves(points: npt.NDArray[np.floating]) -> tuple[Float, Float]:
    """Return the lips' opening and the mouth's width (T,) in IOD of normalised points (T, 478, 3)."""
    opening = np.mean([points[:, up, 1] - points[:, low, 1] for up, low in SILENT_PAIRS], axis=0)
    left, right = (points[:, i] for i in MOUTH_CORNERS)
    return np.asarray(opening, np.float64), np.asarray(np.linalg.norm(left - right, axis=-1), np.float64)


def liveliness(film: Film) -> dict[str, float]:
    """Return how far (standard deviation) and how fast (mean, a second) head, brows and lips of a film go."""
    angles, place = _poses(film.landmarks)
    points, poses = normalise_clip(film.landmarks)
    scale = np.array([pose.scale for pose in poses])
    brows = points[:, [i for brow in BROWS for i in brow], 1].mean(1)
    opening, width = mouth_curves(points)
    speed = np.abs(np.diff(opening)) * FPS
    out: dict[str, float] = {}
    for name, track in zip(("pitch, degrees", "yaw, degrees", "roll, degrees"), angles.T, strict=True):
        out |= _spread(name, track)
    for name, track in (("sideways, IOD", place[:, 0]), ("up, IOD", place[:, 1]), ("brows, IOD", brows)):
        out |= _spread(name, track)
    out |= _spread("lip opening, IOD", opening)
    out["lip opening, fast"] = float(np.percentile(speed, FAST))
    out["mouth width, IOD"] = float(width.std())
    out["size, %"] = float(100 * (scale / np.median(scale)).std())
    yaw = np.abs(np.diff(angles[:, 1])) * FPS
    out["yaw, fast over median"] = float(np.percentile(yaw, FAST) / max(float(np.median(yaw)), 1e-3))
    out["yaw from the first frame, degrees"] = float(np.abs(angles[:, 1] - angles[0, 1]).mean())
    for name, track in (("nods", angles[:, 0]), ("tilts", angles[:, 2])):
        out |= {f"{name}, {low:g} to {high:g} Hz": share for low, high, share in _bands(track)}
    return out


def _spread(name: str, track: Float) -> dict[str, float]:
    return {name: float(track.std()), f"{name} a second": float(np.abs(np.diff(track)).mean() * FPS)}


def _bands(track: Float) -> list[tuple[float, float, float]]:
    """Return the share of a track's velocity in each band, as (from, to, share)."""
    power = np.abs(np.fft.rfft(np.diff(track) * np.hanning(len(track) - 1))) ** 2
    at = np.fft.rfftfreq(len(track) - 1, 1 / FPS)
    total = max(float(power.sum()), 1e-12)
    return [(low, high, float(power[(at >= low) & (at < high)].sum()) / total) for low, high in pairwise(BANDS_HZ)]


Numbers = Callable[[Film], dict[str, float]]


def means(films: Sequence[Film], numbers: Numbers) -> dict[str, float]:
    """Return the mean over films of each number, without those that are not a number."""
    rows = [numbers(film) for film in films]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def scores(films: dict[str, float], people: dict[str, float]) -> dict[str, float]:
    """Return THEval's scores of mean numbers against real people's; 1 is best, below 0 is possible."""
    return {name: 1 - abs(films[name] - people[name]) / abs(people[name]) for name in THEVAL}
