"""One face of a photo, drawn in any state: the photo's pixels, warped by the mesh, with lids and the mouth's inside."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from portrait_anim.face.gaze import Sight
from portrait_anim.face.matte import person_matte
from portrait_anim.face.mesh import CHIN, LIPS_INNER, LIPS_INNER_UPPER
from portrait_anim.face.normalise import IMAGE_TO_FACE, normalise
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import NECK, FaceState
from portrait_anim.face.types import Face
from portrait_anim.render.eyes import EyeTurner
from portrait_anim.render.head import HeadMesh
from portrait_anim.render.layers import CutLayer, Layers, head_outline, taken_apart
from portrait_anim.render.lids import LidPainter, eyes_seen
from portrait_anim.render.light import mouth_look
from portrait_anim.render.mouth import PLANE, MouthPainter, own_opening
from portrait_anim.render.rest import OPEN_APERTURE, aperture, closed_shape, seam_landmarks
from portrait_anim.render.scene import Box
from portrait_anim.render.skin import Skin
from portrait_anim.render.warp import Warp, moving_box
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

GRID_STEP_PX = 2
LIDS_FINE_FROM = 0.1  # blink value 0..1 from which the lids are drawn on a finer grid
LID_FINE_IOD = 300  # px an IOD that the finer grid brings small faces to; large faces need none
LID_FINE_MOST = 3  # times finer at most
IOD_PER_STEP = 90  # px of a face's IOD for each px between the grid points of the warp
OPACITY_SEEN = 0.02  # opacity from which on a pixel inside the photo's open mouth is filled with lip
INPAINT_REACH = 0.02  # IOD, reach of that filling
SEAM = list(LIPS_INNER_UPPER[4:7])  # the middle of the line between the lips
OPAQUE = 255  # opacity of what is surely the person
JAW = np.array([1, 1, 0], np.float32)  # the axes in which what moves with the jaw follows the chin


class Portrait:
    """One face of one photo, ready to be rendered in any state; safe to share between threads.

    Args:
        photo: the picture.
        face: the face in it that moves.
        cut: (H, W, 4) uint8, the people of the picture cut out, see :class:`portrait_anim.face.cutout.Cutout`: they
            alone are drawn then, and how opaque they are. None: the picture as it is.

    Attributes:
        photo: the picture.
        still: (H, W, 3) uint8, what a frame shows before it is drawn into: the picture, or what is cut out of it.
        still_opacity: (H, W) uint8 of that; None: it is the picture.
        mouth_open: whether the picture shows an open mouth; its resting shape is then estimated.
        box: the part of the picture that can change.
        rest: (478, 3) IOD, the resting face that displacement 0 shows.
        pose: of the face in the picture.
        sight: how it looks at the viewer.
    """

    def __init__(self, photo: Photo, face: Face, cut: Image | None = None) -> None:
        self.photo = photo
        self.still = photo.pixels if cut is None else np.ascontiguousarray(cut[..., :3])
        self.still_opacity = None if cut is None else np.ascontiguousarray(cut[..., 3])
        pixels, landmarks = photo.pixels, face.landmarks
        height, width = pixels.shape[:2]
        # the face at rest, with closed lips
        shape, self._pose = normalise(landmarks)
        self.mouth_open = aperture(shape) > OPEN_APERTURE
        if self.mouth_open:
            rest = closed_shape(shape)
        else:
            landmarks = seam_landmarks(pixels, landmarks)
            rest = self._pose.to_face(landmarks)
        # mesh and warp, with the background held still
        self.rest, self.pose = rest, self._pose
        self.sight = Sight.of(face.landmarks)
        scale = self._pose.scale  # px an IOD
        matte, to_matte = person_matte(pixels, face)
        outline = head_outline(matte, to_matte, landmarks)
        self._head = HeadMesh(landmarks, rest, self._pose, (width, height), outline, grown_lips=self.mouth_open)
        step = max(GRID_STEP_PX, round(scale / IOD_PER_STEP))
        lid_fine = min(LID_FINE_MOST, int(LID_FINE_IOD / scale))
        head = self._head
        self.box: Box = moving_box(head.source, (width, height))
        x0, y0, x1, y1 = self.box
        self._layers: Layers | CutLayer = (
            taken_apart(pixels, self.box, matte, to_matte, face.landmarks, scale)
            if cut is None
            else CutLayer(cut[y0:y1, x0:x1])
        )
        self._warp = Warp(
            head.source, head.triangles, self.box, step, head.fine, head.lids, lid_fine, self._layers.person[..., 3] > 0
        )  # fmt: skip
        # what is drawn besides: lids, the inside of the mouth, folds of the skin
        self._lids = LidPainter(pixels, head.source[: len(landmarks)])
        self._blinks = eyes_seen(
            pixels, head.source[: len(landmarks)]
        )  # both eyes or none: one lid alone would be a wink
        look = mouth_look(
            pixels, landmarks, scale, rest, monochrome=photo.monochrome, mouth_open=self.mouth_open
        )  # fmt: skip
        self._mouth = MouthPainter(look, scale, self.mouth_open, zlib.crc32(np.round(shape, 2).tobytes()))
        self._skin = Skin(pixels, landmarks, scale, self.box[:2])
        self._seam = rest[SEAM].mean(0).astype(np.float64)
        # an open mouth's own teeth are kept for the frames in which it is open
        warped = pixels
        self._own: tuple[Image, Array, npt.NDArray[np.float64]] | None = None
        if self.mouth_open:
            rows, columns, opacity = own_opening(landmarks[list(LIPS_INNER), :2], (height, width), scale)
            if look.own_teeth:
                # (3, 3) px of the photo -> mouth-local
                inverse = np.linalg.inv(np.vstack([*self._mouth_axes(FaceState.rest(), 0.0), [0, 0, 1]]))
                offset = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1]], np.float64)
                self._own = np.ascontiguousarray(pixels[rows, columns]), opacity, inverse @ offset
            # when the lips close no teeth may be seen between them: the opening is filled with the lips' colours
            warped = pixels.copy()
            hollow = np.ascontiguousarray(pixels[rows, columns])
            hidden = cv2.dilate((opacity > OPACITY_SEEN).astype(np.uint8), np.ones((3, 3), np.uint8))
            warped[rows, columns] = cv2.inpaint(hollow, hidden, INPAINT_REACH * scale + 1, cv2.INPAINT_TELEA)
        self._person = self._layers.person  # what is warped
        if self.mouth_open:
            self._person[..., :3] = np.where(
                self._person[..., 3:] == OPAQUE, warped[y0:y1, x0:x1], self._person[..., :3]
            )
        self._eyes = EyeTurner(face.landmarks, self._pose, self.sight.eyes, self.box)

    def render(self, state: FaceState) -> Image:
        """Return the frame (H, W, 3) uint8 for a state; outside the moving region it equals the photo.

        People who were cut out are shown before grey.
        """
        frame, opacity = self.still.copy(), None if self.still_opacity is None else self.still_opacity.copy()
        self.draw(frame, state, opacity=opacity)
        return frame if opacity is None else cv2.add(frame, ((255 - opacity) // 2)[..., None].repeat(3, axis=2))

    def draw(self, frame: Image, state: FaceState, other: Array | None = None, opacity: Image | None = None) -> None:
        """Draw a state into (H, W, 3) ``frame``, in place; inside ``box`` the frame has to show ``still``.

        Args:
            frame: (H, W, 3) uint8.
            state: of the face.
            other: (478, 3) IOD, another resting face less this one's, for a face that takes on another's shape; the
                skin does not fold by it.
            opacity: (H, W) uint8, of people who are cut out; changed too, shows ``still_opacity`` when it comes in.
        """
        if not self._blinks:
            state = replace(state, blink=np.zeros(2, np.float32))
        if not self._layers.apart:
            state = replace(state, breath=0.0)  # the wall would breathe with the shoulders
        eyes = self._person
        if state.turned_eyes:
            if self._blinks:
                eyes = self._eyes.turned(self._person, state.gaze, frame)
            state = replace(state, gaze=np.zeros(2, np.float32))
        given = state.displacement
        if other is not None:
            state = replace(state, displacement=given + other)
        target = self._head.place(state)
        flow = self._warp.flow(target)
        if flow is not None:
            x0, y0, x1, y1 = self.box
            part = slice(y0, y1), slice(x0, x1)
            self._warp.paint(
                self._skin.shade(eyes, given), self._layers.stack, target, flow, frame[part],
                None if opacity is None else opacity[part], lids=state.blink.max() > LIDS_FINE_FROM,
            )  # fmt: skip
        if state.blink.max() > 0:
            opened = self._head.place(replace(state, blink=np.zeros(2, np.float32)))
            self._lids.paint(frame, opened, target, state.blink)
        loop = target[list(LIPS_INNER)]
        lips = 0.0 if other is None else other[SEAM].mean(0)
        skull, jaw = self._mouth_axes(state, lips, lips + given[CHIN] * JAW)
        own = None if self._own is None else (self._own[0], self._own[1], skull @ self._own[2])
        self._mouth.paint(frame, loop, skull, jaw, own)

    def _mouth_axes(self, state: FaceState, *moved: Array | float) -> list[npt.NDArray[np.float64]]:
        """Return (2, 3) matrices from mouth-local (u, v, 1), in IOD, to (x, y) px of the frame.

        Args:
            state: of the face.
            moved: (3,) IOD, how far from its place on the skull the mouth is: 0 for the upper teeth, with the chin for
                what moves with the jaw (lower teeth, tongue). One matrix for each.
        """
        turn, shift = self._head.motion(state)
        axes = self._pose.scale * (self._pose.rotation @ turn)[:2, :2] * IMAGE_TO_FACE[:2, None]
        seams = self._seam - [0, 0, PLANE] + np.stack([np.zeros(3) + way for way in moved])
        placed = self._pose.to_image((seams - NECK) @ turn.T + NECK + shift)[:, :2]
        return [np.column_stack([axes, place]) for place in placed]
