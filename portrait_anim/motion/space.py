"""Motion space: how face motion is stored, and the basis that turns it into mesh displacements.

The lower face is stored as coefficients of a PCA basis: each component is a typical displacement of the mesh from the
neutral face. Two, three and seven of them explain 90, 95 and 99 % of the variance; sixteen are kept, for the mouth's
width. Blinks, brows, gaze and head are a few plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS, N_LANDMARKS
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT, LIPS_INNER_UPPER, MOUTH_CORNERS, topology
from portrait_anim.face.state import FaceState
from portrait_anim.motion.action_units import ActionUnits
from portrait_anim.system.weights import load_array

Array = npt.NDArray[np.float32]
Expressions: TypeAlias = "npt.NDArray[np.floating] | Callable[[], npt.NDArray[np.floating]]"

N_COMPONENTS = 16
INNER_LIPS = (13, 14)  # upper and lower, in the middle
CLOSED_SHARE = 0.15  # share of a clip's frames, those with the most closed mouth, whose mean is its neutral face


@dataclass(frozen=True)
class Motion:
    """Face motion of T frames, free of identity and pose.

    Attributes:
        mouth: (T, K) coefficients in :class:`MotionSpace`'s basis, IOD units; 0 is the resting mouth.
        blink: (T, 2) lid closure 0..1, image-left eye first.
        brows: (T, 2) raise of the inner and the outer brow, IOD.
        gaze: (T, 2) radians, (right+, up+).
        rotation: (T, 3) rotation vector of the head, radians; axes as in :class:`FaceState`.
        shift: (T, 3) of the head, IOD.
        fps: frames/s.
        expression: (T, A) activations of the action units, see :mod:`action_units`; (T, 0) is a neutral face.
        mesh: (T, 478, 3) displacement of every point, IOD, added to all of the above, for motion that they cannot
            express, such as an actor's whole face; (T, 0, 3) for none.
    """

    mouth: Array
    blink: Array
    brows: Array
    gaze: Array
    rotation: Array
    shift: Array
    fps: float = FPS
    expression: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    mesh: Array = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))

    def __post_init__(self) -> None:
        if not self.expression.size:
            object.__setattr__(self, "expression", np.zeros((len(self.mouth), 0), np.float32))
        if not self.mesh.size:
            object.__setattr__(self, "mesh", np.zeros((len(self.mouth), 0, 3), np.float32))

    def __len__(self) -> int:
        return len(self.mouth)

    @classmethod
    def rest(cls, n_frames: int, n_components: int = N_COMPONENTS) -> Motion:
        """Return ``n_frames`` in which nothing moves."""
        shapes = {"mouth": n_components, "blink": 2, "brows": 2, "gaze": 2, "rotation": 3, "shift": 3}
        tracks = {name: np.zeros((n_frames, width), np.float32) for name, width in shapes.items()}
        return cls(**tracks, fps=FPS)

    def tracks(self) -> dict[str, Array]:
        """Return the (T, ...) arrays by name."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name != "fps"}

    def resampled(self, fps: float, n_frames: int | None = None) -> Motion:
        """Return this motion at another frame rate, interpolated linearly between the frames' middles.

        Args:
            fps: frames/s of the result.
            n_frames: frames of the result; default: as many as the duration holds.
        """
        if n_frames is None:
            n_frames = round(len(self) / self.fps * fps)
        if fps == self.fps and n_frames == len(self):
            return self
        at = (np.arange(n_frames) + 0.5) / fps * self.fps - 0.5  # in frames of self
        moved = {name: _interpolated(track, at) for name, track in self.tracks().items()}
        return replace(self, **moved, fps=fps)


def _interpolated(track: Array, at: npt.NDArray[np.floating]) -> Array:
    """Read (T, ...) at fractions of its frames (N,), linearly; beyond its ends its first and last frame."""
    steps, flat = np.arange(len(track)), track.reshape(len(track), -1)
    columns = [np.interp(at, steps, column) for column in flat.T]
    out = np.stack(columns, axis=1) if columns else np.zeros((len(at), 0))
    return np.asarray(out.reshape(len(at), *track.shape[1:]), np.float32)


class MotionSpace:
    """The basis of the lower face, the fields of the brows and those of the expression.

    Args:
        basis: (K, 478, 3), orthonormal as (K, 1434), normalised face space.
        expressions: (A, 478, 3) IOD at activation 1, what :attr:`Motion.expression` weighs, or what loads them when
            they are first asked for; None: no expressions.
    """

    def __init__(self, basis: npt.NDArray[np.floating], expressions: Expressions | None = None) -> None:
        if basis.ndim != 3 or basis.shape[1:] != (N_LANDMARKS, 3):
            raise ValueError(f"basis has shape {basis.shape}, not (K, {N_LANDMARKS}, 3)")
        self.basis = np.asarray(basis, np.float32)
        self._given = expressions
        self._brow_fields = brow_fields()

    @cached_property
    def expressions(self) -> Array:
        """(A, 478, 3) IOD at activation 1; A is 0 without expressions."""
        if self._given is None:
            return np.zeros((0, N_LANDMARKS, 3), np.float32)
        return np.asarray(self._given() if callable(self._given) else self._given, np.float32)

    @classmethod
    def from_weights(cls, name: str = "default") -> MotionSpace:
        """Load the space of one of the two shipped sets; no net is loaded.

        Raises:
            WeightsError: a file is missing or damaged.
        """
        return cls(load_array(f"motion_{name}", "basis"), lambda: ActionUnits.from_weights(name).fields)

    @property
    def n_components(self) -> int:
        """K, the number of coefficients of the mouth."""
        return len(self.basis)

    def encode(self, displacement: npt.NDArray[np.floating]) -> Array:
        """Project (..., 478, 3) displacements (IOD) on the basis: (..., K)."""
        flat = self.basis.reshape(self.n_components, -1)  # (K, 1434)
        weighted = displacement * lower_face_weight()[:, None]
        return np.asarray(weighted.reshape(*displacement.shape[:-2], -1) @ flat.T, np.float32)

    def decode(self, mouth: npt.NDArray[np.floating]) -> Array:
        """Turn (..., K) coefficients into (..., 478, 3) displacements (IOD)."""
        return np.asarray(np.tensordot(mouth, self.basis, axes=1), np.float32)

    def aperture(self, mouth: npt.NDArray[np.floating]) -> Array:
        """Opening of the inner lips above rest, (..., K) -> (...) IOD."""
        upper, lower = INNER_LIPS
        return np.asarray(mouth @ (self.basis[:, upper, 1] - self.basis[:, lower, 1]), np.float32)

    def width(self, mouth: npt.NDArray[np.floating]) -> Array:
        """Distance of the mouth corners above rest, (..., K) -> (...) IOD."""
        left, right = MOUTH_CORNERS
        return np.asarray(mouth @ (self.basis[:, right, 0] - self.basis[:, left, 0]), np.float32)

    def aspect(self, mouth: npt.NDArray[np.floating]) -> Array:
        """Opening over width of the inner lips, (..., K) -> (...), for the mean face; 0 where the lips are closed."""
        left, right = LIPS_INNER_UPPER[0], LIPS_INNER_UPPER[-1]
        vertices = topology().vertices
        rest = float(np.linalg.norm(vertices[right] - vertices[left]))
        wide = rest + mouth @ (self.basis[:, right, 0] - self.basis[:, left, 0])
        return np.asarray(np.maximum(self.aperture(mouth), 0) / np.maximum(wide, 0.1), np.float32)

    def state(self, motion: Motion, i: int) -> FaceState:
        """Return frame ``i`` for the renderer."""
        displacement = self.decode(motion.mouth[i]) + np.tensordot(motion.brows[i], self._brow_fields, axes=1)
        if motion.expression.shape[1]:
            displacement = displacement + np.tensordot(motion.expression[i], self.expressions, axes=1)
        if motion.mesh.shape[1]:
            displacement = displacement + motion.mesh[i]
        return FaceState(
            displacement=displacement.astype(np.float32),
            blink=motion.blink[i],
            gaze=motion.gaze[i],
            rotation=motion.rotation[i],
            shift=motion.shift[i],
        )


def lower_face_weight() -> Array:
    """Return (478,) how much each point belongs to the lower face: 0 above the nostrils, 1 from the lips down."""
    height = topology().vertices[:, 1]
    ramp = np.clip((-0.30 - height) / 0.30, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def brow_fields() -> Array:
    """Return (2, 478, 3): displacement of the face when the inner, the outer brow rises by 1 IOD (AU1 and AU2 of FACS).

    Smooth bumps round the brows; the forehead above follows and fades, the eyes below stay.
    """
    vertices = topology().vertices
    out = np.zeros((2, N_LANDMARKS, 3), np.float32)
    for brow in (BROW_LEFT, BROW_RIGHT):
        ends = vertices[list(brow)]
        inner, outer = ends[[4, 9]].mean(0), ends[[0, 5]].mean(0)
        for which, centre in ((0, inner), (1, outer)):
            away = (vertices[:, :2] - centre[:2]) / (0.16, 0.20)
            bump = np.exp(-0.5 * (away**2).sum(1))
            bump *= np.clip((vertices[:, 1] - 0.09) / 0.08, 0, 1)  # the lids stay
            out[which, :, 1] = np.maximum(out[which, :, 1], bump)
    return np.asarray(out / out[:, :, 1].max(axis=1)[:, None, None], np.float32)


def neutral_face(points: npt.NDArray[np.floating]) -> Array:
    """Return the clip's neutral: the mean of its most closed frames.

    Args:
        points: (T, 478, 3) normalised face space.
    """
    upper, lower = INNER_LIPS
    aperture = np.linalg.norm(points[:, upper] - points[:, lower], axis=-1)
    closed = np.argsort(aperture)[: max(1, round(CLOSED_SHARE * len(points)))]
    return np.asarray(points[closed].mean(0), np.float32)
