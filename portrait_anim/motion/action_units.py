"""Action units: how the mesh moves when a muscle of the face pulls, and the basis that emotions are sums of.

Names and effects follow Ekman, Friesen and Hager 2002, "Facial Action Coding System" (FACS). A unit's field says how
each mesh point moves at activation 1. Every unit has a field drawn by hand (smooth bumps on the mesh, in the direction
of the muscle). With the ``default`` weights, units that the tracker can see use averages over more than a thousand
faces instead (training/action_units.py). Both kinds are scaled to the same reach, so an activation means the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    MOUTH_CORNERS,
    mirror,
    topology,
)
from portrait_anim.options import WEIGHT_SETS, check_choice
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Field = npt.NDArray[np.float64]
SIDES = ("image_left", "image_right")
SIDE_WIDTH = 0.10  # IOD, how softly a unit of one side ends at the midline


@dataclass(frozen=True)
class Reach:
    """How far a unit moves the face at activation 1 (FACS intensity D to E), and where that is measured.

    Attributes:
        points: image-left landmarks whose mean displacement counts; the mirrored ones move alike.
        axis: 0 for outwards from the midline, 1 for up.
        iod: that displacement in IOD; below 0 inwards or down.
        what: the same in words.
    """

    points: tuple[int, ...]
    axis: int
    iod: float
    what: str


REACH = {
    "AU1": Reach((55, 107), 1, 0.080, "inner brow raiser: inner brow up"),
    "AU2": Reach((46, 70), 1, 0.070, "outer brow raiser: outer brow up"),
    "AU4": Reach((55, 52, 107, 105), 1, -0.070, "brow lowerer: inner and middle brow down"),
    "AU5": Reach((158, 159, 160), 1, 0.040, "upper lid raiser: upper lid up"),
    "AU6": Reach((50,), 1, 0.045, "cheek raiser: cheek up"),
    "AU7": Reach((144, 145, 153), 1, 0.024, "lid tightener: lower lid up"),
    "AU9": Reach((64, 98), 1, 0.055, "nose wrinkler: nostril wing up"),
    "AU10": Reach((37, 39, 40), 1, 0.055, "upper lip raiser: upper lip's border up"),
    "AU12": Reach((61,), 1, 0.100, "lip corner puller: corner up"),
    "AU15": Reach((61,), 1, -0.080, "lip corner depressor: corner down"),
    "AU17": Reach((84, 181), 1, 0.050, "chin raiser: lower lip up"),
    "AU20": Reach((61,), 0, 0.085, "lip stretcher: corner out"),
    "AU23": Reach((84, 181), 1, 0.030, "lip tightener: lower lip's border up"),
    "AU26": Reach((14,), 1, -0.200, "jaw drop: lower lip down"),
    "AU41": Reach((158, 159, 160), 1, -0.035, "lid droop: upper lid down"),
}
"""Each unit and its measure. AU41 is the 1978 manual's name for what later ones score as AU43 of low intensity."""
UNITS = tuple(REACH)
JAW = "AU26"
TRACKS = tuple(f"{unit}_{side}" for unit in UNITS for side in SIDES)
"""Names of the activations' columns."""


class ActionUnits:
    """The basis: activations of every unit and side -> displacement of the mesh.

    Args:
        fields: (A, 478, 3) IOD at activation 1, in the order of :data:`TRACKS`.
    """

    def __init__(self, fields: npt.NDArray[np.floating]) -> None:
        if fields.shape != (len(TRACKS), N_LANDMARKS, 3):
            raise ValueError(f"fields have shape {fields.shape}, not {(len(TRACKS), N_LANDMARKS, 3)}")
        self.fields = np.asarray(fields, np.float32)

    @classmethod
    def from_weights(cls, name: str = "default") -> ActionUnits:
        """Load ``"default"`` (averages where there are any) or ``"open"`` (drawn only, no data).

        Raises:
            OptionError: another name.
            WeightsError: the file of averages is missing or damaged.
        """
        check_choice("weights", name, WEIGHT_SETS)
        units = drawn_units()
        if name == "default":
            from safetensors.numpy import load_file

            from portrait_anim.system.weights import weight_path

            averages = load_file(weight_path("action_units"))
            units = units | {unit: field.astype(np.float64) for unit, field in averages.items()}
        return cls(split_sides(np.stack([scaled(units[unit], unit) for unit in UNITS])))

    def displacement(self, activations: npt.NDArray[np.floating]) -> Array:
        """Turn (..., A) activations into (..., 478, 3) displacements, IOD."""
        return np.asarray(np.tensordot(activations, self.fields, axes=1), np.float32)


def mirrored(field: npt.NDArray[np.floating]) -> Field:
    """Return (..., 478, 3) displacements or points mirrored left to right, numbering included."""
    return np.asarray((field * np.array([-1.0, 1.0, 1.0]))[..., mirror(), :], np.float64)


def measure(field: npt.NDArray[np.floating], unit: str) -> float:
    """Return what :data:`REACH` measures of a unit, IOD, mean of both sides, for a (478, 3) displacement."""
    reach = REACH[unit]
    both = np.stack([field * np.array([-1, 1, 1]), mirrored(field) * [-1, 1, 1]])[:, list(reach.points)]  # (2, n, 3)
    return float(both[..., reach.axis].mean())


def scaled(field: Field, unit: str) -> Field:
    """Scale a unit's field (478, 3) to its reach."""
    return np.asarray(field * (REACH[unit].iod / measure(field, unit)))


def split_sides(fields: npt.NDArray[np.floating]) -> Array:
    """Split (U, 478, 3) two-sided fields into (2 U, 478, 3): left, right, left...; each pair sums to its field."""
    right = 1 / (1 + np.exp(-topology().vertices[:, 0] / (SIDE_WIDTH / 2)))
    sides = np.stack([1 - right, right])  # (2, 478)
    return np.asarray((fields[:, None] * sides[..., None]).reshape(-1, N_LANDMARKS, 3), np.float32)


def sealed(field: Field) -> Field:
    """Return a field (478, 3) changed so that it does not part the lips.

    Both rows of the inner lips move by the mean of both, and the rest of each lip follows its row. So an emotion never
    opens a mouth that the speech has closed; only the jaw drop (AU26), which is not changed, does.
    """
    vertices = topology().vertices[:, :2].astype(np.float64)
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    gap = field[upper] - field[lower]  # (11, 3)
    seam = (vertices[upper] + vertices[lower]) / 2
    above = vertices[:, 1] > np.interp(vertices[:, 0], seam[:, 0], seam[:, 1])
    out = field.copy()
    for row, side, share in ((upper, above, -0.5), (lower, ~above, 0.5)):
        away = np.linalg.norm(vertices[:, None] - vertices[row][None], axis=-1)  # (478, 11)
        near = np.exp(-0.5 * (away / 0.05) ** 2) + 1e-12
        move = share * (near @ gap) / near.sum(1, keepdims=True)  # (478, 3)
        fade = np.exp(-0.5 * (away.min(1) / 0.10) ** 2) * side
        out += move * fade[:, None]
    out[upper] = out[lower] = (field[upper] + field[lower]) / 2
    return out


def above_lids() -> tuple[Field, Field]:
    """Return two sets of (478,) weights for brow motion that leave the lids' edges in place: rising, falling.

    A rising brow moves as a whole and stretches the skin above the lid; a falling one comes down onto that skin.
    """
    height = topology().vertices[:, 1].astype(np.float64) - 0.04
    return np.clip(height / 0.08, 0, 1), np.clip(height / 0.15, 0, 1)


def _bump(centre: tuple[float, float], size: tuple[float, float]) -> Field:
    """Return (478,) a Gaussian in x, y round ``centre`` on the image-left side; ``size`` is its deviation in IOD."""
    away = (topology().vertices[:, :2] - np.array(centre)) / size
    return np.asarray(np.exp(-0.5 * (away**2).sum(1)), np.float64)


def _pull(*bumps: tuple[tuple[float, float], tuple[float, float], tuple[float, float, float]]) -> Field:
    """Return the sum of bumps (centre, size, displacement), drawn on the image-left side and mirrored."""
    one = sum(_bump(centre, size)[:, None] * np.array(vector) for centre, size, vector in bumps)
    one = np.asarray(one, np.float64)
    side = np.sign(topology().vertices[:, :1])
    return np.asarray((1 - side) / 2 * one + (1 + side) / 2 * mirrored(one))


def _lids(upper: float, lower: float) -> Field:
    """Return a field that raises the middle of the upper and lower lids by these IOD; the corners stay in place."""
    vertices = topology().vertices
    out = np.zeros((N_LANDMARKS, 3))
    for up, low in ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER)):
        ends = vertices[[up[0], up[-1]]].astype(np.float64)
        along = (vertices[:, 0] - ends[0, 0]) / (ends[1, 0] - ends[0, 0])
        arch = np.where((along > -0.1) & (along < 1.1), np.sin(np.pi * (np.clip(along, -0.1, 1.1) + 0.1) / 1.2), 0)
        for row, height, reach, side in ((up, upper, 0.055, 1), (low, lower, 0.06, -1)):
            edge = np.interp(vertices[:, 0], vertices[list(row), 0], vertices[list(row), 1])
            away = side * (vertices[:, 1] - edge)  # distance from the lid's edge, away from the eye
            follows = np.where(away > -0.03, np.exp(-0.5 * (np.maximum(away, 0) / reach) ** 2), 0)
            others = [i for i in range(N_LANDMARKS) if i in (low if side > 0 else up)[1:-1]]
            follows[others] = 0
            out[:, 1] += height * arch * follows
    out[list(IRIS_LEFT + IRIS_RIGHT)] = 0
    return out


def _corners(vector: tuple[float, float, float], curve: float = 2.0) -> Field:
    """Return a field that moves the mouth's corners by ``vector`` (IOD, for the image-left one); the lips follow."""
    vertices = topology().vertices.astype(np.float64)
    along = np.clip(np.abs(vertices[:, 0]) / 0.276, 0, 1.6)
    height = np.exp(-0.5 * ((vertices[:, 1] + 0.788) / 0.17) ** 2)
    beyond = np.exp(-0.5 * (np.maximum(np.abs(vertices[:, 0]) - 0.276, 0) / 0.17) ** 2)
    out = np.zeros((N_LANDMARKS, 3))
    share = np.minimum(along, 1)
    out[:, 0] = -np.sign(vertices[:, 0]) * vector[0] * share
    out[:, 1] = vector[1] * share**curve
    out[:, 2] = vector[2] * share**curve
    return np.asarray(out * (height * beyond)[:, None])


@cache
def _jaw() -> Field:
    """Return the field of the jaw turned about the ears: all below the lips moves, the cheeks half as much."""
    vertices = topology().vertices.astype(np.float64)
    across = np.abs(vertices[:, 0])
    seam = np.interp(across, [0, 0.242, 0.5, 0.9], [-0.779, -0.781, -0.62, -0.45])
    soft = np.interp(across, [0, 0.20, 0.5], [0.04, 0.10, 0.20])  # lips part at once, cheeks stretch
    depth = np.clip((seam - vertices[:, 1]) / soft + np.interp(across, [0, 0.25, 0.5], [0, 0.3, 0.5]), 0, 1)
    share = eased(depth)
    ends = 0.35 * np.clip(across / 0.25, 0, 1) ** 3  # the mouth's corners follow
    drawn = ends * np.exp(-0.5 * ((vertices[:, 1] - seam) / 0.07) ** 2)
    share = np.where(across < 0.30, np.maximum(share, drawn), share)
    narrow = np.clip(1 - (across / 0.242) ** 2, 0, 1)
    share[list(LIPS_INNER_UPPER)] = ends[list(LIPS_INNER_UPPER)]
    share[list(LIPS_INNER_LOWER)] = (0.35 + 0.65 * narrow)[list(LIPS_INNER_LOWER)]
    share[list(MOUTH_CORNERS)] = 0.35
    out = np.zeros((N_LANDMARKS, 3))
    out[:, 1], out[:, 2] = -share, -0.25 * share
    return out


@cache
def drawn_units() -> dict[str, Field]:
    """Return every unit's field (478, 3) drawn from the mesh alone, scaled to its reach."""
    raised, lowered = (over[:, None] for over in above_lids())
    units = {
        "AU1": raised * _pull(((-0.14, 0.25), (0.19, 0.20), (0.0, 0.08, 0.0))),
        "AU2": raised * _pull(((-0.62, 0.18), (0.22, 0.20), (0, 0.07, 0)), ((-0.42, 0.25), (0.16, 0.20), (0, 0.05, 0))),
        "AU4": lowered * _pull(((-0.30, 0.20), (0.20, 0.13), (0.0, -0.06, 0.0)),
                             ((-0.13, 0.20), (0.10, 0.12), (0.03, -0.035, 0.01))),
        "AU5": _lids(0.04, -0.004),
        "AU6": _pull(((-0.46, -0.36), (0.20, 0.16), (0.008, 0.05, 0.015))) + _lids(0.0, 0.012),
        "AU7": _lids(-0.012, 0.024),
        "AU9": _pull(((-0.17, -0.45), (0.09, 0.12), (-0.008, 0.06, 0.0)), ((-0.10, -0.12), (0.07, 0.14), (0, 0.02, 0)),
                     ((-0.16, 0.20), (0.12, 0.10), (0.015, -0.035, 0.0)), ((-0.16, -0.64), (0.12, 0.10), (0, 0.02, 0)))
        + _lids(0.0, 0.010),
        "AU10": _pull(((-0.14, -0.66), (0.13, 0.09), (0, 0.055, 0.01)), ((-0.24, -0.52), (0.10, 0.10), (0, 0.025, 0))),
        "AU12": _corners((-0.075, 0.10, -0.07)) + _pull(((-0.46, -0.48), (0.16, 0.14), (0.0, 0.025, 0.015))),
        "AU15": _corners((-0.010, -0.08, -0.01), 2.5) + _pull(((-0.30, -0.95), (0.10, 0.12), (0.0, -0.02, 0.0))),
        "AU17": _pull(((0.0, -1.08), (0.14, 0.12), (0, 0.045, 0.01)), ((0.0, -0.86), (0.17, 0.09), (0, 0.05, 0.02))),
        "AU20": _corners((-0.085, -0.015, -0.03), 1.5),
        "AU23": _pull(((0.0, -0.93), (0.16, 0.05), (0, 0.03, -0.01)), ((0.0, -0.66), (0.16, 0.04), (0, -0.02, -0.01)))
        + _corners((0.012, 0.0, 0.0)),
        "AU26": _jaw(),
        "AU41": _lids(-0.035, 0.0),
    }  # fmt: skip
    return {unit: scaled(field if unit == JAW else sealed(field), unit) for unit, field in units.items()}
