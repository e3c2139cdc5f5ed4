"""What an actor does in a tracked video: change against the actor's own neutral face, free of identity and pose.

The neutral of a shot is the mean of its most closed frames with eyes open and the head near its usual pose. Shape comes
from the per-frame similarity of :mod:`portrait_anim.face.normalise`, which takes the face's size in the picture out: an
actor who comes nearer is not a head that swells. All filters are zero-phase.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, gaussian_filter1d, maximum_filter1d, median_filter
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from portrait_anim.config import FPS
from portrait_anim.face.normalise import IMAGE_TO_FACE, Pose, normalise_clip
from portrait_anim.face.state import NECK
from portrait_anim.motion.irises import gaze_of, irises_aside
from portrait_anim.motion.lids import EYES, closures, openings
from portrait_anim.motion.space import CLOSED_SHARE, INNER_LIPS, lower_face_weight
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

BRIDGED = FPS // 2  # frames without a face over which motion is interpolated
FADE = round(0.4 * FPS)  # frames in which a face that stays lost eases to rest, and back
CUT_EASE = round(0.2 * FPS)  # frames to either side of a cut over which head and gaze go from one shot to the next
SHOT = 2 * FPS  # frames that a shot needs to have a neutral of its own
USUAL_SHARE = 0.7  # of a shot's frames, nearest to its mean pose, make its usual pose
NEAR_SHARE = 0.6  # of them are near it
OPEN_SHARE = 0.85  # of the eyes' usual opening that a neutral frame has at least
NEUTRAL_SPREAD = 2  # frames to either side of a neutral that was asked for
HEAD_FILTER, FACE_FILTER = (9, 2), (5, 2)  # Savitzky-Golay: frames, order
LIPS_MOVE, LIPS_MOVE_IOD = 5, 0.006  # frames looked at, IOD/frame: lips that move so fast are not filtered
STILL_S = 0.4  # Gaussian: what is faster counts as trembling
STILL = np.deg2rad([0.15, 0.45])  # where it is smaller than this; where it is larger it stays
SWAY_S = 2.0  # Gaussian: slower shifts of the head are where the actor stands, or the camera
SHAKE_S = 0.12  # Gaussian: faster ones are the camera's shaking, or the tracker's
MAX_SHIFT = 0.05  # IOD, of the head beyond its turning, softly
MAX_PLACE = 0.20  # IOD, the same where a neutral moment says where the head belongs


@dataclass(frozen=True)
class Performance:
    """An actor's motion, T frames at 25 fps, relative to the actor's neutral face and usual pose.

    Attributes:
        mesh: (T, 478, 3) IOD, displacement of every point.
        neutrals: (S, 478, 3) IOD, the face that it is relative to in each shot.
        shot: (T,) which of them.
        opening: (T,) of the inner lips above neutral, IOD.
        blink: (T, 2) lid closure 0..1, image-left eye first.
        gaze: (T, 2) radians (right+, up+).
        rotation: (T, 3) rotation vector, radians.
        shift: (T, 3) IOD beyond what turning about the neck does; without depth.
        weight: (T,) 0..1, how much of all this to show: 0 where the face was lost for long.
    """

    mesh: Array
    neutrals: Array
    shot: npt.NDArray[np.int64]
    opening: Array
    blink: Array
    gaze: Array
    rotation: Array
    shift: Array
    weight: Array

    def __len__(self) -> int:
        return len(self.mesh)

    def lasting(self, n_frames: int) -> Performance:
        """Return it cut to ``n_frames``, or followed by rest."""
        more = n_frames - len(self)
        if more <= 0:
            tracks = {name: track[:n_frames] for name, track in self._tracks().items()}
            return replace(self, **tracks)
        weight = np.concatenate([self.weight, np.zeros(more, np.float32)])
        fade = np.clip(1 - (np.arange(n_frames) - len(self) + 1) / FADE, 0, 1)
        weight[len(self) :] = eased(fade)[len(self) :] * self.weight[-1]
        held = {
            name: np.concatenate([track, np.repeat(track[-1:], more, axis=0)]) for name, track in self._tracks().items()
        }
        return replace(self, **{**held, "weight": weight})

    def _tracks(self) -> dict[str, npt.NDArray[Any]]:
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name != "neutrals"}


def analyse(
    landmarks: npt.NDArray[np.float32], cuts: Sequence[int] = (), neutral_frame: int | None = None
) -> Performance:
    """Measure a tracked video.

    Args:
        landmarks: (T, 478, 3) px at 25 fps, NaN where no face was found; at least one frame has one.
        cuts: frames that begin a new shot, ascending.
        neutral_frame: round which the actor is neutral; None: found.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    points, poses = normalise_clip(_filled(landmarks, seen))
    rotations = np.stack([pose.rotation for pose in poses])
    shots = _shots(len(points), cuts)
    opening = openings(points, rotations, seen)
    whole = Neutral.of(points, rotations, opening, seen, slice(0, len(points)), neutral_frame)
    neutrals = [
        Neutral.of(points, rotations, opening, seen, shot, None)
        if neutral_frame is None and seen[shot].sum() >= SHOT else whole
        for shot in shots
    ]  # fmt: skip
    turned, shift = _head(poses, shots, neutrals, seen, neutral_frame)
    mesh = np.concatenate([points[shot] - neutral.shape for shot, neutral in zip(shots, neutrals, strict=True)])
    mesh = _steady(on_eyes(mesh))
    blink = np.concatenate([closures(opening[shot], rotations[shot], seen[shot]) for shot in shots])
    gaze = np.concatenate([_gaze(points[shot], blink[shot], seen[shot]) for shot in shots])
    upper, lower = INNER_LIPS
    numbers = np.repeat(np.arange(len(shots)), [shot.stop - shot.start for shot in shots])
    return Performance(
        mesh, np.stack([neutral.shape for neutral in neutrals]), numbers,
        mesh[:, upper, 1] - mesh[:, lower, 1], blink, _over_cuts(gaze, cuts), _over_cuts(turned, cuts),
        _over_cuts(shift, cuts), _weight(seen),
    )  # fmt: skip


@dataclass(frozen=True)
class Neutral:
    """A shot's neutral.

    Attributes:
        shape: (478, 3) IOD.
        rotation: (3, 3) of the head in its usual pose.
    """

    shape: Array
    rotation: Float

    @classmethod
    def of(
        cls, points: Array, rotations: Float, opening: Float, seen: npt.NDArray[np.bool_], shot: slice, at: int | None
    ) -> Neutral:
        """Find it in frames ``shot`` of a clip, see the module's text; ``at``: a frame round which it was asked for."""
        if at is not None:
            near = slice(max(0, at - NEUTRAL_SPREAD), at + NEUTRAL_SPREAD + 1)
            there = np.flatnonzero(seen[near]) + near.start
            return cls(points[there].mean(0), Rotation.from_matrix(rotations[there]).mean().as_matrix())
        frames = np.flatnonzero(seen[shot]) + shot.start
        if not len(frames):
            frames = np.flatnonzero(seen)
        turned = Rotation.from_matrix(rotations[frames])
        usual, away = turned.mean(), np.zeros(len(frames))
        for share in (USUAL_SHARE, USUAL_SHARE):
            away = (usual.inv() * turned).magnitude()
            usual = turned[away <= np.quantile(away, share)].mean()
        away = (usual.inv() * turned).magnitude()
        open_enough = opening[frames].mean(1) >= OPEN_SHARE * np.median(opening[frames].mean(1))
        fit = frames[(away <= np.quantile(away, NEAR_SHARE)) & open_enough]
        fit = fit if len(fit) else frames
        upper, lower = INNER_LIPS
        aperture = np.linalg.norm(points[fit, upper] - points[fit, lower], axis=-1)
        closed = fit[np.argsort(aperture, kind="stable")[: max(1, round(CLOSED_SHARE * len(frames)))]]
        return cls(points[closed].mean(0), usual.as_matrix())


def on_eyes(mesh: Array) -> Array:
    """Let the upper face of (T, 478, 3) displacements move against the eyes' corners, which film and photo share.

    The pose is fitted to the forehead too: a raised brow takes it along, and eyes seem to sink.
    """
    sunk = mesh[:, [corner for _, _, corners in EYES for corner in corners]].mean(axis=1, keepdims=True)  # (T, 1, 3)
    return np.asarray(mesh - sunk * (1 - lower_face_weight())[:, None], np.float32)


def _steady(mesh: Array) -> Array:
    """Filter (T, 478, 3) displacements, but for the lower face where lips move: any filter takes of their speed."""
    upper, lower = INNER_LIPS
    speed = (
        np.abs(np.gradient(mesh[:, upper] - mesh[:, lower], axis=0)).sum(1) if len(mesh) > 1 else np.zeros(len(mesh))
    )
    speaks = np.clip(gaussian_filter1d(maximum_filter1d(speed, LIPS_MOVE), 1.0) / LIPS_MOVE_IOD - 0.5, 0, 1)
    raw = speaks[:, None] * lower_face_weight()  # (T, 478)
    return np.asarray(mesh * raw[..., None] + _smoothed(mesh, FACE_FILTER) * (1 - raw[..., None]), np.float32)


def _shots(n_frames: int, cuts: Sequence[int]) -> list[slice]:
    return [slice(a, b) for a, b in itertools.pairwise([0, *cuts, n_frames])]


def _filled(landmarks: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]) -> Array:
    """Interpolate (T, 478, 3) over frames without a face; before the first and after the last it stays."""
    if seen.all():
        return landmarks
    there = np.flatnonzero(seen)
    after = np.searchsorted(there, np.arange(len(seen))).clip(0, len(there) - 1)
    before = (after - (there[after] != np.arange(len(seen)))).clip(0)
    a, b = there[before], there[after]
    share = np.where(b > a, (np.arange(len(seen)) - a) / np.maximum(b - a, 1), 0.0).clip(0, 1)
    share[(b - a) > BRIDGED] = 0.0  # it eases to rest from where it was
    late = (b - a > BRIDGED) & (b - np.arange(len(seen)) <= 1)
    share[late] = 1.0
    return np.asarray(landmarks[a] + share[:, None, None].astype(np.float32) * (landmarks[b] - landmarks[a]))


def _weight(seen: npt.NDArray[np.bool_]) -> Array:
    """Return (T,) 1 where a face was seen or the gap is short; elsewhere it eases to 0."""
    weight = np.ones(len(seen))
    edges = np.flatnonzero(np.diff(np.concatenate([[True], seen, [True]]).astype(int)))
    for start, end in edges.reshape(-1, 2):
        inside = start > 0 and end < len(seen)
        if inside and end - start <= BRIDGED:
            continue
        at = np.arange(len(seen))
        down = 1 - (at - start + 1) / FADE if start else np.zeros(len(seen))
        up = (at - end + 1) / FADE if end < len(seen) else np.zeros(len(seen))
        gap = np.where(at < start, 1.0, np.maximum(np.clip(down, 0, 1) * (at < end), np.clip(up, 0, 1) * (at >= end)))
        weight = np.minimum(weight, gap)
    return np.asarray(eased(weight), np.float32)


def _head(
    poses: Sequence[Pose], shots: Sequence[slice], neutrals: Sequence[Neutral], seen: npt.NDArray[np.bool_],
    neutral_frame: int | None,
) -> tuple[Array, Array]:  # fmt: skip
    """Return rotation vectors (T, 3) relative to each shot's neutral, and shifts (T, 3) IOD.

    A neutral moment that was asked for says where the head belongs, too; without one nobody knows where that is, and
    only swaying is shown.
    """
    turns, shifts = [], []
    for shot, neutral in zip(shots, neutrals, strict=True):
        mine = poses[shot]
        turned = Rotation.from_matrix(neutral.rotation.T @ np.stack([pose.rotation for pose in mine])).as_rotvec()
        turned = _stilled(_smoothed(turned, HEAD_FILTER))
        there = seen[shot] if seen[shot].any() else np.ones(len(mine), bool)
        scale = float(np.median([pose.scale for pose in mine]))
        moved = np.stack([pose.origin for pose in mine]) * IMAGE_TO_FACE / scale
        moved = (moved - np.median(moved[there], axis=0)) @ neutral.rotation
        shift = moved + Rotation.from_rotvec(turned).apply(NECK) - NECK
        if neutral_frame is None:
            shift = shift - gaussian_filter1d(shift, SWAY_S * FPS, axis=0, mode="nearest")
        elif shot.start <= neutral_frame < shot.stop:
            shift = shift - shift[neutral_frame - shot.start]
        shift = gaussian_filter1d(shift, SHAKE_S * FPS, axis=0, mode="nearest")
        turns.append(turned)
        most = MAX_SHIFT if neutral_frame is None else MAX_PLACE
        shifts.append(most * np.tanh(shift / most) * [1, 1, 0])
    return np.concatenate(turns).astype(np.float32), np.concatenate(shifts).astype(np.float32)


def _stilled(turned: npt.NDArray[np.floating]) -> Float:
    """Take the tracker's trembling out of (T, 3) radians: what is fast and smaller than a head's own motion."""
    slow = gaussian_filter1d(turned, STILL_S * FPS, axis=0, mode="nearest")
    fast = turned - slow
    size = gaussian_filter1d(maximum_filter1d(np.abs(fast).max(1), HEAD_FILTER[0]), HEAD_FILTER[0] / 4, mode="nearest")
    low, high = STILL
    return np.asarray(slow + fast * np.clip((size - low) / (high - low), 0, 1)[:, None])


def _gaze(points: Array, blink: Array, seen: npt.NDArray[np.bool_]) -> Array:
    """Return (T, 2) radians relative to where the eyes look mostly; through blinks it is interpolated."""
    away = irises_aside(points)
    hidden = binary_dilation(blink.max(1) > 0.3, iterations=2) | ~seen
    if hidden.all():
        return np.zeros((len(points), 2), np.float32)
    away -= np.median(away[~hidden], axis=0)
    at = np.arange(len(points))
    for column in away.T:
        column[hidden] = np.interp(at[hidden], at[~hidden], column[~hidden])
    away = _smoothed(median_filter(away, (3, 1), mode="nearest"), FACE_FILTER)
    return gaze_of(away)


def _smoothed(track: npt.NDArray[np.floating], window: tuple[int, int]) -> npt.NDArray[np.floating]:
    """Filter (T, ...) over time without lag; clips shorter than the window stay as they are."""
    length, order = window
    if len(track) < length:
        return track
    return np.asarray(savgol_filter(track, length, order, axis=0, mode="interp"))


def _over_cuts(track: Array, cuts: Sequence[int]) -> Array:
    """Let (T, ...) go from one shot to the next within some frames instead of jumping."""
    out = track.copy()
    for cut in cuts:
        a, b = max(0, cut - CUT_EASE), min(len(track), cut + CUT_EASE)
        share = (np.arange(a, b) - a + 1) / (b - a + 1)
        share = eased(share)[:, None]
        before, after = track[max(a, cut - 1)], track[min(cut, b - 1)]
        mine = np.arange(a, b)[:, None] < cut
        first = np.where(mine, track[a:b], before)
        second = np.where(mine, after, track[a:b])
        out[a:b] = (1 - share) * first + share * second
    return out
