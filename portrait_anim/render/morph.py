"""One photo's face becomes others' at given times: two portraits that take on the same shape, and a blend of them.

During a change the resting shape and the pose go from one face's to the other's, and each of the two portraits is drawn
in that shape and pose: eyes, lips and jaw fall on each other, so a plain blend shows one face. The motion runs through.
Outside changes one portrait is drawn, as in a film of one photo.

Style ``face``: every portrait is the first photo with another face laid in (:mod:`portrait_anim.render.swap`). Style
``photo``: each is a photo of its own, brought to the first one's size and place; hair and background change faster than
the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face import matte, mesh
from portrait_anim.face.gaze import Sights
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import ACROSS, NECK, FaceState
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.options.morph import MorphChange
from portrait_anim.render.portrait import OPAQUE, Portrait
from portrait_anim.render.scene import Box, Image
from portrait_anim.render.seen import Seen
from portrait_anim.render.swap import Guest, in_frame, laid_in
from portrait_anim.system.easing import eased, softened
from portrait_anim.system.facts import Facts
from portrait_anim.system.opencv import cv2
from portrait_anim.system.weights import digests

Array = npt.NDArray[np.float32]

FACE_BLEND = (0.1, 0.85)  # of a change, when the face is blended
ROOM_BLEND = (0.33, 0.43)  # the same for hair and background: when that begins beside the face and in the far corner
ROOM_LENGTH = 0.3  # of a change, how long each place there takes: short ghosts
OVAL_SOFT_IOD = 0.25  # beyond the oval, over which the one goes over into the other
FRAMING = (0.0, 0.6)  # of a change, when a smaller face is enlarged to the size and place of a larger one
SAME_SIZE, SAME_PLACE_PX = 1e-3, 0.02  # less is no other size and place
MAX_TURN = 0.21  # radians by which a face is turned to fit a head


@dataclass(frozen=True)
class _Change:
    """One change.

    Attributes:
        start_s, length_s: its times.
        before, after: numbers of the portraits.
        when: (H, W, 2), when each place begins and ends to change, in shares of the change; None: all at once.
    """

    start_s: float
    length_s: float
    before: int
    after: int
    when: Array | None


class Morph:
    """A face that becomes others. Safe to share between threads.

    Args:
        photo: the first picture; the film has its size.
        face: the face in it.
        changes: when the face becomes whose.
        guests: the photos and faces of ``changes``.
        style: ``"face"`` or ``"photo"``.
        landmarker: what found the faces; None: nothing did, and how far they turn is not measured.
        cut: (H, W, 4) uint8, the people of the first photo cut out, see
            :class:`portrait_anim.render.portrait.Portrait`; of style ``face`` only.

    Attributes:
        portraits: the different faces, ready to be drawn; the first photo's comes first.
        size, still, facts, sights: see :class:`portrait_anim.render.scene.Scene`.
    """

    def __init__(
        self, photo: Photo, face: Face, changes: Sequence[MorphChange], guests: Sequence[Guest], style: str = "face",
        landmarker: Landmarker | None = None, cut: Image | None = None,
    ) -> None:  # fmt: skip
        self.size = photo.size
        origins = tuple(guest.photo.origin for guest in guests)
        models = {} if landmarker is None else landmarker.models()
        weights = digests(mesh.WEIGHTS, matte.WEIGHTS)
        self.facts = Facts((photo.origin,), {**models, **weights}, {"morph": origins})
        self.portraits = [Portrait(photo, face, cut)]
        self.still, self.still_opacity = self.portraits[0].still, self.portraits[0].still_opacity
        self._host = self.portraits[0] if cut is None else Portrait(photo, face)  # other faces are laid into it
        self._seen = Seen.of(self.portraits[0], face, landmarker)  # the same for all: they follow one another
        self._whole = style == "photo"
        known = {_key(Guest(photo, face)): 0}
        self._changes: list[_Change] = []
        now = 0
        for change, guest in zip(changes, guests, strict=True):
            key = _key(guest)
            if key not in known:
                known[key] = len(self.portraits)
                self.portraits.append(self._portrait(guest))
            after = known[key]
            if after != now:
                self._changes.append(_Change(change.start_s, change.length_s, now, after, self._when(now, after)))
            now = after
        shown = [(0.0, self.portraits[0].sight)]
        for each in self._changes:
            shown.append((each.start_s, self.portraits[each.before].sight))
            shown.append((each.start_s + each.length_s, self.portraits[each.after].sight))
        self.sights: Sequence[Sights] = [shown]
        boxes = np.array([portrait.box for portrait in self.portraits])
        self._box: Box = (*map(int, boxes[:, :2].min(0)), *map(int, boxes[:, 2:].max(0)))  # type: ignore[assignment]
        if self._whole and len(self.portraits) > 1:
            self._box = (0, 0, *self.size)

    def draw(self, states: Sequence[FaceState], time_s: float, out: Image, opacity: Image | None = None) -> Box:
        """Draw the face that is shown at a time, or a change; see :class:`portrait_anim.render.scene.Scene`."""
        state = self._seen.shown(*states)
        now, change = 0, None
        for each in self._changes:
            if time_s >= each.start_s + each.length_s:
                now = each.after
            elif time_s > each.start_s:
                change = each
        if change is None:
            self._draw(out, opacity, now, state)
        else:
            self._draw_change(out, opacity, change, (time_s - change.start_s) / change.length_s, state)
        return self.portraits[0].box if change is None and now == 0 else self._box

    def _draw(
        self, out: Image, opacity: Image | None, number: int, state: FaceState, other: Array | None = None
    ) -> None:
        portrait = self.portraits[number]
        if number:
            x0, y0, x1, y1 = self._box
            out[y0:y1, x0:x1] = portrait.still[y0:y1, x0:x1]
            if opacity is not None and portrait.still_opacity is not None:
                opacity[y0:y1, x0:x1] = portrait.still_opacity[y0:y1, x0:x1]
        portrait.draw(out, state, other, opacity)

    def _draw_change(self, out: Image, opacity: Image | None, change: _Change, done: float, state: FaceState) -> None:
        a, b = self.portraits[change.before], self.portraits[change.after]
        share, pose = _ramp(done, 0, 1), between(a.pose, b.pose, done)
        second = self.still.copy()
        beside = None if self.still_opacity is None else self.still_opacity.copy()
        self._draw(out, opacity, change.before, turned(state, a.pose, pose), share * (b.rest - a.rest))
        self._draw(second, beside, change.after, turned(state, b.pose, pose), (1 - share) * (a.rest - b.rest))
        if self._whole:
            out[...], second = moved(out, a.pose, pose), moved(second, b.pose, pose)
        x0, y0, x1, y1 = self._box
        view, over = out[y0:y1, x0:x1], second[y0:y1, x0:x1]
        if change.when is None:
            face = _ramp(done, *FACE_BLEND)
            cv2.addWeighted(view, 1 - face, over, face, 0, dst=view)
            if opacity is not None and beside is not None:
                alpha = opacity[y0:y1, x0:x1]
                cv2.addWeighted(alpha, 1 - face, beside[y0:y1, x0:x1], face, 0, dst=alpha)
        else:
            _blend(view, over, change.when[y0:y1, x0:x1], float(done))

    def _portrait(self, guest: Guest) -> Portrait:
        first = self.portraits[0]
        if self._whole:
            return Portrait(*in_frame(guest, self.size, first.pose))
        shape, own = normalise(guest.face.landmarks)
        pose = fitting(own, first.pose)
        host, state = first.photo.pixels.copy(), turned(FaceState.rest(), first.pose, pose)
        self._host.draw(host, state, shape - first.rest)
        pixels, face = laid_in(host, guest, pose, monochrome=first.photo.monochrome)
        cut = None
        if first.still_opacity is not None:  # what is cut out, turned as the host is, with the guest's face
            person, opacity = first.still.copy(), first.still_opacity.copy()
            first.draw(person, state, shape - first.rest, opacity)
            person = np.where((opacity == OPAQUE)[..., None], pixels, person)
            cut = np.dstack([person, opacity])
        return Portrait(replace(first.photo, pixels=pixels), face, cut)

    def _when(self, before: int, after: int) -> Array | None:
        """Return when each place of the picture changes: the face slowly, then hair and room, outwards from it."""
        if not self._whole:
            return None
        inside = np.zeros(self.size[::-1], np.uint8)
        poses = [self.portraits[number].pose for number in (before, after)]
        larger = max(poses, key=lambda pose: pose.scale)
        for number, own in zip((before, after), poses, strict=True):
            points = Pose(own.rotation, larger.scale, larger.origin).to_image(self.portraits[number].rest)
            inside |= matte.face_mask(points, inside.shape)
        away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        face = 1 - softened(away / (OVAL_SOFT_IOD * larger.scale))
        begin = ROOM_BLEND[0] + (ROOM_BLEND[1] - ROOM_BLEND[0]) * away / max(float(away.max()), 1.0)
        room = np.stack([begin, begin + ROOM_LENGTH], axis=-1)
        return np.asarray(room + face[..., None] * (np.array(FACE_BLEND) - room), np.float32)


def _key(guest: Guest) -> tuple[bytes, bytes]:
    """Return what tells one face of one picture from all others."""
    return guest.photo.pixels.tobytes(), guest.face.landmarks.tobytes()


def _ramp(x: float, low: float, high: float) -> float:
    x = min(max((x - low) / (high - low), 0.0), 1.0)
    return eased(x)


def between(a: Pose, b: Pose, done: float) -> Pose:
    """Return the pose at ``done``, 0..1, of a change from one pose to another.

    Whichever face is smaller is enlarged to the other's size and place by the time that the two are blended, so that no
    picture has to be shown smaller than the frame.
    """
    turn = Rotation.from_matrix(a.rotation.T @ b.rotation).as_rotvec()
    rotation = a.rotation @ Rotation.from_rotvec(_ramp(done, 0, 1) * turn).as_matrix()
    share = _ramp(done, *(FRAMING if b.scale >= a.scale else (1 - FRAMING[1], 1 - FRAMING[0])))
    return Pose(rotation, a.scale + share * (b.scale - a.scale), a.origin + share * (b.origin - a.origin))


def fitting(own: Pose, head: Pose) -> Pose:
    """Return the pose in which a face goes on a head: the head's, or as near as it can be turned to it.

    The face's own tilt in the picture is not kept. What is left beyond ``MAX_TURN`` the head gives way, half of it at
    most.

    Args:
        own: the face's pose in its own picture.
        head: of the face that was there.
    """
    turn = Rotation.from_matrix(head.rotation.T @ own.rotation).as_rotvec()
    turn[2] = 0.0
    angle = float(np.linalg.norm(turn))
    share = min(max(angle - MAX_TURN, 0.0) / max(angle, 1e-6), 0.5)
    return Pose(head.rotation @ Rotation.from_rotvec(share * turn).as_matrix(), head.scale, head.origin)


def turned(state: FaceState, own: Pose, pose: Pose) -> FaceState:
    """Return the state in which a face of one pose is seen turned as in another pose in ``state``, in its own place."""
    if pose is own:
        return state
    turn = own.rotation.T @ pose.rotation
    rotation = Rotation.from_matrix(turn @ Rotation.from_rotvec(state.rotation).as_matrix()).as_rotvec()
    shift = turn @ (NECK + state.shift * ACROSS) - NECK
    shift[2] = state.shift[2]  # as large as before
    return replace(state, rotation=rotation.astype(np.float32), shift=shift.astype(np.float32))


def moved(frame: Image, own: Pose, pose: Pose) -> Image:
    """Return a frame (H, W, 3) in which the face of one pose is as large as in another and in its place."""
    larger = pose.scale / own.scale
    shift = pose.origin[:2] - larger * own.origin[:2]
    if abs(larger - 1) < SAME_SIZE and np.abs(shift).max() < SAME_PLACE_PX:
        return frame
    matrix = np.column_stack([np.eye(2) * larger, shift])
    size = (frame.shape[1], frame.shape[0])
    kind = cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(frame, matrix, size, flags=kind, borderMode=cv2.BORDER_REFLECT_101))


@numba.njit(cache=True, nogil=True)
def _blend(view: Image, over: Image, when: Array, done: float) -> None:
    """Blend (h, w, 3) ``over`` into ``view``, in place, as far as each place (h, w, 2) is at ``done``, 0..1."""
    for row in range(view.shape[0]):
        for column in range(view.shape[1]):
            begin, end = when[row, column, 0], when[row, column, 1]
            share = min(max((done - begin) / (end - begin), np.float32(0)), np.float32(1))
            share = share * share * (np.float32(3) - np.float32(2) * share)
            for k in range(3):
                value = view[row, column, k] + share * (np.float32(over[row, column, k]) - view[row, column, k])
                view[row, column, k] = np.uint8(value + np.float32(0.5))
