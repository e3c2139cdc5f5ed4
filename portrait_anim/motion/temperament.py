"""How lively somebody is: one person's head hardly moves, another's turns by fifteen degrees.

A clip's temperament is how much more than an average clip its brows, gaze and head move, part by
part, as natural logarithms. The generator is told it and its output is multiplied by it; for a film one is drawn from
the distribution over the people trained on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

Array = npt.NDArray[np.float32]

PARTS: dict[str, slice] = {  # of the upper face's tracks, see motion/upper.py
    "brows": slice(1, 3),
    "gaze": slice(3, 5),
    "nod": slice(5, 6),
    "turn": slice(6, 7),
    "tilt": slice(7, 8),
    "shift": slice(8, 10),
    "size": slice(10, 11),
}
N_PARTS = len(PARTS)
RANGE = (0.2, 4.0)  # times an average clip; stiller heads are the tracker's trembling, livelier ones lost tracking
SLOW, SLOW_REACH = 5.0, 12  # frames, Gaussian deviation of what counts as slow, and where it ends
LIMIT = 1.4  # standard deviations; further out a person is not believed, or not wanted


def of_tracks(tracks: Array, typical: Array) -> Array:
    """Return (7,) log of how much more (T, 11) tracks move than ``typical`` (11,) standard deviations, part by part."""
    mine = np.log(np.clip(tracks.std(0) / typical, *RANGE))
    return np.array([mine[part].mean() for part in PARTS.values()], np.float32)


def gains(temperament: npt.NDArray[np.floating], n_tracks: int) -> Array:
    """Return (..., n_tracks) what the tracks of an average clip are multiplied by; 1 for the lids.

    Args:
        temperament: (..., 7) as :func:`of_tracks` gives it.
        n_tracks: eleven.
    """
    out = np.ones((*np.shape(temperament)[:-1], n_tracks), np.float32)
    for i, part in enumerate(PARTS.values()):
        out[..., part] = np.exp(temperament[..., i])[..., None]
    return out


def distribution(temperaments: dict[str, list[Array]]) -> tuple[Array, Array]:
    """Return mean (7,) and root (7, 7) of people's temperaments: ``mean + root @ z`` with a normal z draws one.

    Every person counts once, with all their clips.

    Args:
        temperaments: by person, of each of their clips.
    """
    weights = np.concatenate([np.full(len(clips), 1 / len(clips)) for clips in temperaments.values()])
    values = np.concatenate([np.stack(clips) for clips in temperaments.values()])
    mean = np.average(values, axis=0, weights=weights)
    apart = values - mean
    covariance = (apart * weights[:, None]).T @ apart / weights.sum()
    root = np.linalg.cholesky(covariance + 1e-4 * np.eye(N_PARTS))
    return mean.astype(np.float32), root.astype(np.float32)


def drawn(mean: Array, root: Array, seed: int, face: Array) -> Array:
    """Return (7,) the temperament of a face for a seed.

    At any one seed, temperaments differ between faces as between people; for any one face they differ between seeds.
    They change smoothly with the face, so that they do not hang on its last digits.

    Args:
        mean: see :func:`distribution`.
        root: see there.
        seed: of the film.
        face: (n,) coefficients of the face's shape, each with unit spread over people; all 0: its shape is not known.
    """
    rng = np.random.default_rng([seed, 37])
    if face.any():
        ways = rng.standard_normal((N_PARTS, len(face)))
        z = ways @ face / np.linalg.norm(ways, axis=1)
    else:
        z = rng.standard_normal(N_PARTS)
    return np.asarray(np.clip(mean + root @ np.clip(z, -LIMIT, LIMIT), *np.log(RANGE)), np.float32)


def with_slow(tracks: Array, slow: Array) -> Array:
    """Return (T, 11) tracks in which what is slow is shown (11,) times."""
    low = gaussian_filter1d(tracks, SLOW, axis=0, mode="nearest", radius=SLOW_REACH)
    return np.asarray(tracks + (slow - 1) * low, np.float32)
