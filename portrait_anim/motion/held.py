"""Expressions that an actor holds all through a shot: a smile, raised brows, lowered brows.

The change against the actor's neutral face cannot show them, for the neutral face has them too. MediaPipe's blendshape
net sees them in absolute terms. What the actor's neutral face shows more of than the photo, and more of than people
show at rest, is added to the photo as action units, as much of them as the net needs to see it there. Nothing is taken
away: the photo keeps its own face.

A tracker sees less of a motion in a film than there is of it, and nothing of brows behind the rims of glasses. So the
expression is tried on the photo and tracked there: amounts are corrected by what was seen, and what cannot be
seen is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from portrait_anim.config import FPS
from portrait_anim.face.blendshapes import SCORES, scores_of_shape
from portrait_anim.face.types import Trial
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.performance import Performance
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

CHANGE_S = 0.12  # Gaussian: how fast the expression changes where a cut leads to another one
PASSES, HALVINGS = 2, 6  # of the search for the activations
LEAST = 0.05  # of a score that the photo lacks


@dataclass(frozen=True)
class Expression:
    """What can be held, how the net calls it, and which action units show it.

    Attributes:
        score: the score's name without its side; both sides count alike.
        rest: the score up to which it is how a face looks at rest (three quarters of 147 neutral stills show less), and
            the score from which on it is an expression for sure (more than nine tenths show less).
        units: action unit -> activation at amount 1.
        most: greatest amount: with more of it, photos look grotesque.
        seen: share of the motion in a film that a tracker sees, where it was not tried.
    """

    score: str
    rest: tuple[float, float]
    units: dict[str, float]
    most: float
    seen: float


EXPRESSIONS = (
    Expression("browDown", (0.31, 0.60), {"AU4": 1.0, "AU7": 0.5, "AU9": 0.25}, 1.15, 0.5),
    Expression("browInnerUp", (0.10, 0.35), {"AU1": 1.0, "AU2": 0.3}, 1.1, 0.5),
    Expression("browOuterUp", (0.15, 0.40), {"AU2": 1.0, "AU1": 0.3}, 1.1, 0.5),
    Expression("mouthSmile", (0.05, 0.25), {"AU6": 0.65, "AU12": 1.0}, 1.1, 0.75),
)
MOST = 1.2  # activation of any unit
SEEN = np.array([expression.seen for expression in EXPRESSIONS])
HIDDEN = 0.2  # share seen below which the photo does not show it: rims, hats, fringes
SEEN_RANGE = (0.4, 1.0)  # limits of the share: a trial is a noisy measure
TRIALS = 2
SMILE_LOWERS = 0.8  # share of lowered brows that a sure smile accounts for: it narrows the eyes by itself


def held(
    actor: Performance, shape: npt.NDArray[np.floating], fields: npt.NDArray[np.floating], trial: Trial | None = None
) -> Array:
    """Return (T, A) activations of what the actor holds and the photo lacks; it changes with the shot.

    Args:
        actor: T frames.
        shape: (478, 3) IOD, the photo's face with its pose removed.
        fields: (A, 478, 3) IOD, the action units at activation 1.
        trial: shows what a tracker sees of it.
    """
    levels = np.stack([lacking(neutral, shape, fields, trial) for neutral in actor.neutrals])  # (S, A)
    return np.asarray(gaussian_filter1d(levels[actor.shot], CHANGE_S * FPS, axis=0, mode="nearest"), np.float32)


def lacking(
    neutral: npt.NDArray[np.floating], shape: npt.NDArray[np.floating], fields: npt.NDArray[np.floating],
    trial: Trial | None = None,
) -> Array:  # fmt: skip
    """Return (A,) activations after which the net sees on ``shape`` the expressions that ``neutral`` holds.

    Args:
        neutral: (478, 3) IOD, an actor's neutral face.
        shape: (478, 3) IOD, the photo's face.
        fields: (A, 478, 3) IOD, the action units at activation 1.
        trial: shows what a tracker sees of it.
    """
    base = None if trial is None else trial(np.zeros_like(fields[0]))
    base = shape if base is None else base
    theirs, own = expression_scores(neutral), expression_scores(base)
    wanted = own + sureness(theirs) * (theirs - own)
    seen = SEEN
    amounts = _searched(base, wanted, own, fields, seen)
    for _ in range(TRIALS):
        if trial is None or not amounts.any():
            break
        seen, hidden = _seen(trial, base, amounts, fields, seen)
        wanted = np.where(hidden, own, wanted)
        amounts = _searched(base, wanted, own, fields, seen)
    return _activations(amounts)


def _searched(
    shape: npt.NDArray[np.floating], wanted: Float, own: Float, fields: npt.NDArray[np.floating], seen: Float
) -> Float:
    """Return (E,) amounts of which the share ``seen`` brings the scores of ``shape`` from ``own`` to ``wanted``."""
    searched = [k for k in range(len(EXPRESSIONS)) if wanted[k] > own[k] + LEAST]
    amounts = np.zeros(len(EXPRESSIONS))
    for _ in range(PASSES if len(searched) > 1 else 1):
        for k in searched:  # the score rises with the amount
            low, high = 0.0, EXPRESSIONS[k].most
            for _ in range(HALVINGS):
                amounts[k] = (low + high) / 2
                moved = np.tensordot(_activations(amounts * seen), fields, axes=1)
                low, high = (amounts[k], high) if expression_scores(shape + moved)[k] < wanted[k] else (low, amounts[k])
    return amounts


def _seen(
    trial: Trial, base: npt.NDArray[np.floating], amounts: Float, fields: npt.NDArray[np.floating], seen: Float
) -> tuple[Float, npt.NDArray[np.bool_]]:
    """Return (E,) the share of each expression that a tracker sees on the photo, and (E,) what stays hidden from it.

    Args:
        trial: shows it.
        base: (478, 3) IOD, what a tracker sees of the photo at rest.
        amounts: (E,) that are tried.
        fields: (A, 478, 3) IOD.
        seen: (E,) the shares where nothing is tried.
    """
    parts = np.array([np.tensordot(_activations(row), fields, axes=1) for row in np.diag(amounts)])  # (E, 478, 3)
    after = trial(np.asarray(parts.sum(0), np.float32))
    tried = amounts > 0
    if after is None or not tried.any():
        return seen, np.zeros(len(amounts), bool)
    basis = parts[tried, :, :2].reshape(tried.sum(), -1).T  # (478 * 2, tried)
    moved = np.full(len(amounts), np.inf)
    moved[tried] = np.linalg.lstsq(basis, (after - base)[:, :2].ravel(), rcond=None)[0]
    own, shown = expression_scores(base), expression_scores(after)
    alike = _searched(base, np.where(tried, shown, own), own, fields, np.ones(len(amounts)))  # to the eye of the net
    shares = np.where(tried, alike / np.maximum(amounts, 1e-6), seen)
    return np.clip(shares, *SEEN_RANGE), np.minimum(shares, moved) < HIDDEN


def expression_scores(shape: npt.NDArray[np.floating]) -> Float:
    """Return (..., E) scores, 0..1, of :data:`EXPRESSIONS` in (..., 478, 3) faces without pose, IOD."""
    seen = scores_of_shape(shape)
    return np.stack([seen[..., _columns(expression.score)].mean(-1) for expression in EXPRESSIONS], axis=-1)


def sureness(scores: Float) -> Float:
    """Return (E,) 0..1: how surely such scores are expressions, and not how a face looks at rest."""
    low, high = np.array([expression.rest for expression in EXPRESSIONS]).T
    sure = eased(np.clip((scores - low) / (high - low), 0, 1))
    names = [expression.score for expression in EXPRESSIONS]
    sure[names.index("browDown")] *= 1 - SMILE_LOWERS * sure[names.index("mouthSmile")]
    return np.asarray(sure)


def _activations(amounts: Sequence[float] | Float) -> Array:
    """Turn (E,) amounts into (A,) activations, both sides alike."""
    units: dict[str, float] = {}
    for amount, expression in zip(amounts, EXPRESSIONS, strict=True):
        for unit, share in expression.units.items():
            units[unit] = units.get(unit, 0.0) + share * float(amount)
    return np.array([min(units.get(track.split("_")[0], 0.0), MOST) for track in TRACKS], np.float32)


def _columns(score: str) -> list[int]:
    return [SCORES.index(name) for name in SCORES if name in (score, f"{score}Left", f"{score}Right")]
