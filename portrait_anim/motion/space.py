"""Motion space: how face motion is stored, and the basis that turns it into mesh displacements.

The lower face is stored as coefficients of a PCA basis: each component is a typical displacement of the mesh from the
neutral face. Two, three and seven of them explain 90, 95 and 99 % of the variance; sixteen are kept, for the mouth's
width. Blinks, brows, gaze and head are a few plain numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS, N_LANDMARKS
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT, LIPS_INNER_UPPER, MOUTH_CORNERS, topology
from portrait_anim.face.state import FaceState
from portrait_anim.motion import arkit
from portrait_anim.motion.action_units import ActionUnits
from portrait_anim.motion.arkit_shapes import SHAPES, shape_fields
from portrait_anim.system.easing import eased
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
        expression: (T, A) activations of the action units, see :mod:`action_units`; (T, A + S): then the values of
            the shapes of ARKit, see :mod:`arkit_shapes`; (T, 0) is a neutral face.
        mesh: (T, 478, 3) displacement of every point, IOD, added to all of the above, for motion that they cannot
            express, such as an actor's whole face; (T, 0, 3) for none.
        breath: (T,) IOD by which shoulders and chest have risen.
        turned_eyes: how the gaze is drawn, as in :class:`FaceState`.
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
    breath: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    turned_eyes: bool = False

    def __post_init__(self) -> None:
        if not self.expression.size:
            object.__setattr__(self, "expression", np.zeros((len(self.mouth), 0), np.float32))
        if not self.mesh.size:
            object.__setattr__(self, "mesh", np.zeros((len(self.mouth), 0, 3), np.float32))
        if not self.breath.size:
            object.__setattr__(self, "breath", np.zeros(len(self.mouth), np.float32))

    def __len__(self) -> int:
        return len(self.mouth)

    @classmethod
    def rest(cls, n_frames: int, n_components: int = N_COMPONENTS) -> Motion:
        """Return ``n_frames`` in which nothing moves."""
        shapes = {"mouth": n_components, "blink": 2, "brows": 2, "gaze": 2, "rotation": 3, "shift": 3}
        tracks: dict[str, Any] = {name: np.zeros((n_frames, width), np.float32) for name, width in shapes.items()}
        return cls(**tracks, fps=FPS)

    def tracks(self) -> dict[str, Array]:
        """Return the (T, ...) arrays by name."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name not in ("fps", "turned_eyes")}

    def to_arkit(self, space: MotionSpace) -> dict[str, npt.NDArray[np.float64]]:
        """Return this motion as ARKit's 61 values (T,) by name, see :mod:`portrait_anim.motion.arkit`.

        Lids, gaze and head are exact; the head's shift and breathing are left out; the rest is fitted, cheek puff and
        tongue are 0.

        Args:
            space: of the mouth's coefficients, for example ``MotionSpace.from_weights()``.
        """
        n_units = self.expression.shape[1] - len(SHAPES)
        others = (self.mouth, self.brows, self.mesh, self.expression[:, : max(n_units, 0)])
        if n_units >= 0 and not any(track.any() for track in others):  # nothing but shapes
            return arkit.values_of(self.expression[:, n_units:], self.blink, self.gaze, self.rotation)
        fit = arkit.ShapeFit(space.shapes)
        steps = range(0, len(self), arkit.FRAMES_AT_ONCE)
        fitted = [fit(space.displacement(self, slice(i, i + arkit.FRAMES_AT_ONCE))) for i in steps]
        weights = np.concatenate(fitted) if fitted else np.zeros((0, len(SHAPES)))
        return arkit.values_of(weights, self.blink, self.gaze, self.rotation)

    @classmethod
    def from_arkit(cls, values: Mapping[str, npt.NDArray[np.floating]], fps: float = FPS) -> Motion:
        """Return the motion that ARKit's values (T,) by name ask for; names that are missing count as 0.

        Args:
            values: of :data:`portrait_anim.motion.arkit.VALUES`; shapes 0..1, angles in radians.
            fps: frames/s.
        """
        tracks: dict[str, Any] = {**arkit.tracks_of(values)}
        return cls(mouth=np.zeros((len(tracks["blink"]), N_COMPONENTS), np.float32), fps=fps, **tracks)

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
        moved: dict[str, Any] = {name: _interpolated(track, at) for name, track in self.tracks().items()}
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

    @cached_property
    def digest(self) -> str:
        """What tells the mouth's basis from another one: the start of its SHA-256."""
        return hashlib.sha256(self.basis.tobytes()).hexdigest()[:16]

    @cached_property
    def shapes(self) -> Array:
        """(S, 478, 3) IOD at value 1, the shapes of ARKit."""
        return shape_fields(self.expressions)

    @cached_property
    def _all_expressions(self) -> Array:
        return np.concatenate([self.expressions, self.shapes])

    def displacement(self, motion: Motion, i: int | slice) -> Array:
        """Return what the mesh does in frame ``i``, (478, 3) IOD, or in several frames, (T, 478, 3)."""
        displacement = self.decode(motion.mouth[i]) + np.tensordot(motion.brows[i], self._brow_fields, axes=1)
        if width := motion.expression.shape[1]:
            fields = self.expressions if width == len(self.expressions) else self._all_expressions
            displacement = displacement + np.tensordot(motion.expression[i], fields, axes=1)
        if motion.mesh.shape[1]:
            displacement = displacement + motion.mesh[i]
        return np.asarray(displacement, np.float32)

    def displacement_at(self, motion: Motion, points: Sequence[int]) -> Array:
        """Return (T, n, 3) IOD, how these points of the mesh move in every frame."""
        at = list(points)
        moved = np.tensordot(motion.mouth, self.basis[:, at], axes=1)
        moved = moved + np.tensordot(motion.brows, self._brow_fields[:, at], axes=1)
        if width := motion.expression.shape[1]:
            moved = moved + np.tensordot(motion.expression, self._all_expressions[:width, at], axes=1)
        return np.asarray(moved + motion.mesh[:, at] if motion.mesh.shape[1] else moved, np.float32)

    def state(self, motion: Motion, i: int) -> FaceState:
        """Return frame ``i`` for the renderer."""
        return FaceState(
            displacement=self.displacement(motion, i),
            blink=motion.blink[i],
            gaze=motion.gaze[i],
            rotation=motion.rotation[i],
            shift=motion.shift[i],
            breath=float(motion.breath[i]),
            turned_eyes=motion.turned_eyes,
        )


def lower_face_weight() -> Array:
    """Return (478,) how much each point belongs to the lower face: 0 above the nostrils, 1 from the lips down."""
    height = topology().vertices[:, 1]
    ramp = np.clip((-0.30 - height) / 0.30, 0, 1)
    return np.asarray(eased(ramp), np.float32)


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
