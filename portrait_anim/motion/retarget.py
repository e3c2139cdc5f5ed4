"""Motion of one face brought to another: an actor's to a photo, a clip's own to its own first frame.

What comes over is the actor's change against the actor's own neutral face, in units of the distance between the eyes:
the photo keeps its own face. Lids and gaze are left to the renderer, which draws them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    MOUTH_CORNERS,
    topology,
)
from portrait_anim.face.normalise import IMAGE_TO_FACE, Pose, normalise_clip
from portrait_anim.face.state import NECK, FaceState, depth_of
from portrait_anim.face.types import Trial
from portrait_anim.motion.action_units import TRACKS, drawn_units
from portrait_anim.motion.blinks import BlinkPacer
from portrait_anim.motion.breath import breathing
from portrait_anim.motion.ends import ends_at_rest
from portrait_anim.motion.held import held
from portrait_anim.motion.limits import limited_turn
from portrait_anim.motion.performance import Performance
from portrait_anim.motion.space import Motion, neutral_face
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

WIDEST = 0.62  # IOD between the corners of the widest mouth
LEAST_ROOM = 0.03  # IOD by which every mouth may widen
MEET = (0.004, 0.016)  # IOD of the actor's opening above neutral: lips meet, and are free of it
SEAL_REACH, SEAL_FADE = 0.05, 0.10  # IOD: how far along and across the lips a seal reaches
SKIN_OF_LIDS = (  # rows of skin above the lids, and how much of the actor's motion they take; see render/head.py
    ((247, 30, 29, 27, 28, 56, 190, 467, 260, 259, 257, 258, 286, 414), 0.3),
    ((113, 225, 224, 223, 222, 221, 189, 342, 445, 444, 443, 442, 441, 413), 0.7),
    ((25, 110, 24, 23, 22, 26, 112, 255, 339, 254, 253, 252, 256, 341), 0.4),
)


def retargeted(
    actor: Performance, shape: npt.NDArray[np.floating], fields: npt.NDArray[np.floating] | None, n_components: int, *,
    head_motion: float = 1.0, blinks: float = 1.0, seed: int = 0, trial: Trial | None = None,
) -> Motion:  # fmt: skip
    """Bring an actor's performance to a photo.

    Args:
        actor: T frames at 25 fps.
        shape: (478, 3) IOD, the photo's face with its pose removed.
        fields: (A, 478, 3) IOD, the action units at activation 1, of which held expressions are made; None: nothing
            is held.
        n_components: coefficients of the mouth that the motion has; all 0, the whole face moves as a mesh.
        head_motion: 0 (still) to 2, times the actor's.
        blinks: 0 (none) to 3, times the actor's.
        seed: of which blinks go or come where ``blinks`` is neither 0 nor 1.
        trial: shows what a tracker sees of a held expression on the photo.

    Returns:
        T frames; the first and the last show the photo's own pose.
    """
    n_frames = len(actor)
    ease = (ends_at_rest(np.arange(n_frames), n_frames) * actor.weight).astype(np.float32)[:, None]
    expression = np.zeros((n_frames, len(TRACKS)), np.float32) if fields is None else held(actor, shape, fields, trial)
    mesh = brought(actor.mesh, actor.opening, shape)
    return replace(
        Motion.rest(n_frames, n_components),
        mesh=mesh * ease[..., None],
        blink=_paced(actor.blink, blinks, seed) * ease,
        gaze=actor.gaze * ease,
        rotation=limited_turn(actor.rotation * head_motion) * ease,
        shift=(actor.shift * head_motion * ease).astype(np.float32),
        breath=breathing(np.arange(n_frames), seed, head_motion)
        * ends_at_rest(np.arange(n_frames), n_frames).astype(np.float32),
        expression=expression * ease,
    )


def brought(mesh: Array, opening: npt.NDArray[np.floating], shape: npt.NDArray[np.floating]) -> Array:
    """Return what of (T, 478, 3) displacements a photo's mesh shows.

    Args:
        mesh: (T, 478, 3) IOD, relative to the actor's neutral face.
        opening: (T,) IOD of the actor's inner lips above neutral.
        shape: (478, 3) IOD, the photo's face with its pose removed.
    """
    return in_room(met(mesh * _kept()[:, None], opening), shape)


def met(mesh: npt.NDArray[np.floating], opening: npt.NDArray[np.floating]) -> Array:
    """Let lips meet where the actor's do: the opening that is left in (T, 478, 3) goes, both rows by half.

    Args:
        mesh: (T, 478, 3) IOD relative to a face with closed lips.
        opening: (T,) IOD of the actor's inner lips above neutral.
    """
    near, far = MEET
    share = np.clip((far - opening) / (far - near), 0, 1)
    share = eased(share)[:, None]
    gap = (mesh[:, list(LIPS_INNER_UPPER)] - mesh[:, list(LIPS_INNER_LOWER)])[..., 1] * share  # (T, 11)
    out = np.array(mesh, np.float32)
    out[..., 1] += gap @ _seal().T
    return out


def in_room(mesh: Array, shape: npt.NDArray[np.floating]) -> Array:
    """Bring the mouth's widening to the room that is left: the corners of a photo that smiles are already out."""
    left, right = MOUTH_CORNERS
    room = max(WIDEST - float(shape[right, 0] - shape[left, 0]), LEAST_ROOM)
    wider = mesh[:, right, 0] - mesh[:, left, 0]
    less = np.where(wider > 0, room * np.tanh(wider / room) - wider, 0.0)
    return np.asarray(mesh + less[:, None, None] * _widening(), np.float32)


def _paced(blink: Array, blinks: float, seed: int) -> Array:
    if blinks in (0, 1):
        return blink * np.float32(blinks)
    lid = blink.mean(1)
    return np.asarray(np.clip(blink + (BlinkPacer(blinks, seed).film(lid) - lid)[:, None], 0, 1), np.float32)


@cache
def _kept() -> Array:
    """Return (478,) how much of a point's motion is taken from the mesh: lids and irises are drawn otherwise."""
    kept = np.ones(N_LANDMARKS, np.float32)
    for points, share in SKIN_OF_LIDS:
        kept[list(points)] = share
    kept[list(EYE_LEFT + EYE_RIGHT + IRIS_LEFT + IRIS_RIGHT)] = 0
    return kept


@cache
def _widening() -> Array:
    """Return (478, 3): how the face moves when the mouth's corners go apart by 1 IOD (AU20)."""
    field = drawn_units()["AU20"]
    left, right = MOUTH_CORNERS
    return np.asarray(field / (field[right, 0] - field[left, 0]), np.float32)


@cache
def _seal() -> Array:
    """Return (478, 11): how far points go up for each IOD of opening at the inner lips' pairs, so that it closes."""
    vertices = topology().vertices[:, :2].astype(np.float64)
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    seam = (vertices[upper] + vertices[lower]) / 2
    above = vertices[:, 1] > np.interp(vertices[:, 0], seam[:, 0], seam[:, 1])
    out = np.zeros((N_LANDMARKS, len(upper)))
    for row, side, share in ((upper, above, -0.5), (lower, ~above, 0.5)):
        away = np.linalg.norm(vertices[:, None] - vertices[row][None], axis=-1)  # (478, 11)
        near = np.exp(-0.5 * (away / SEAL_REACH) ** 2) + 1e-12
        fade = np.exp(-0.5 * (away.min(1) / SEAL_FADE) ** 2) * side
        out += share * near / near.sum(1, keepdims=True) * fade[:, None]
    out[upper] = out[lower] = 0
    ends = {upper[0], upper[-1]}
    for i, (a, b) in enumerate(zip(upper, lower, strict=True)):
        if a not in ends:
            out[a, i], out[b, i] = -0.5, 0.5
    return np.asarray(out, np.float32)


def oracle_states(landmarks: npt.NDArray[np.float32], rest: Array | None, first: int = 0) -> list[FaceState]:
    """Return the states that repeat a clip's motion on one of its own frames, for landmarks (T, 478, 3) px.

    Args:
        landmarks: of the clip.
        rest: (478, 3) IOD, what that frame's face differs by from the resting face that displacement 0 shows, where its
            mouth is open; None: it is closed, and displacement is taken from the clip's most closed frames.
        first: number of the frame.
    """
    points, poses = normalise_clip(landmarks)
    neutral = neutral_face(points) if rest is None else points[first] - rest
    return [_state(points[i] - neutral, poses[i], poses[first]) for i in range(len(poses))]


def _state(displacement: npt.NDArray[np.float32], pose: Pose, first: Pose) -> FaceState:
    """Return the state that takes a face from pose ``first`` to ``pose``, with this displacement (478, 3) IOD."""
    turn = first.rotation.T @ pose.rotation
    moved = (pose.origin - first.origin) * IMAGE_TO_FACE / first.scale
    larger = pose.scale / first.scale
    shift = first.rotation.T @ (larger * pose.rotation @ NECK + moved) - NECK
    shift[2] = depth_of(larger)
    rest = FaceState.rest()
    return FaceState(
        displacement, rest.blink, rest.gaze, Rotation.from_matrix(turn).as_rotvec().astype(np.float32),
        shift.astype(np.float32),
    )  # fmt: skip
