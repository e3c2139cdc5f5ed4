"""A photo that can be posed: mesh warp of its own pixels, drawn mouth interior, lids and a head that turns in 3-D."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.detect import Face
from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    FACE_OVAL,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    MOUTH_CORNERS,
    topology,
)
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import FaceState
from portrait_anim.opencv import cv2
from portrait_anim.render.mouth import MouthLook, draw_interior, lip_mask
from portrait_anim.render.rest import OPEN_APERTURE, aperture, closed_shape, seam_landmarks
from portrait_anim.render.warp import draw_map, identity_map, signed_area

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

NECK = np.array([0.0, -0.65, -0.80])  # IOD, what the head turns about
RINGS = (
    (1.10, 0.96, 0.80),
    (1.24, 0.84, 0.55),
    (1.42, 0.62, 0.30),
    (1.64, 0.34, 0.12),
    (1.90, 0.10, 0.03),
    (2.2, 0, 0),
)
"""Rings round the face: size over the face oval's, share of the head's motion, share of the jaw's."""
CHIN = 152
STILL_PX = 0.01  # vertices that move less count as still
EYEBALL = 0.13  # IOD, radius
LID_MEET = 0.80  # share of the way that the upper lid goes
# rows of skin above the lid that give way with it, and how much of it (from the lid's edge upwards), image-left first
LID_ROWS = (
    (((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414)), 0.62),
    (((113, 225, 224, 223, 222, 221, 189), (342, 445, 444, 443, 442, 441, 413)), 0.18),
)
LOWER_LID_MARGIN = 0.016  # IOD below the landmarks: the bright wet rim belongs to the eye, not to the lid's skin
LOWER_LID_ROWS = ((25, 110, 24, 23, 22, 26, 112), (255, 339, 254, 253, 252, 256, 341))
LOWER_LID_SHARE = 0.5


class Portrait:
    """One face of one photo, ready to be rendered in any state; safe to share between threads.

    Args:
        photo: the picture.
        face: the face in it that moves.
    """

    def __init__(self, photo: Photo, face: Face) -> None:
        self.photo = photo
        shape, self._pose = normalise(face.landmarks)
        landmarks = face.landmarks
        self.mouth_open = aperture(shape) > OPEN_APERTURE
        if self.mouth_open:
            rest = closed_shape(shape)
        else:
            landmarks = seam_landmarks(photo.pixels, landmarks)
            shape = rest = self._pose.to_face(landmarks)
        self._rest = rest.astype(np.float64)
        lowered = [*EYE_LEFT_LOWER[1:-1], *EYE_RIGHT_LOWER[1:-1]]
        self._rest[lowered, 1] -= LOWER_LID_MARGIN
        below = shape.astype(np.float64)
        below[lowered, 1] -= LOWER_LID_MARGIN
        landmarks = landmarks.copy()
        landmarks[lowered] = self._pose.to_image(below[lowered])
        self._anchor_base, self._anchor_share, self._jaw_share = self._rings(shape)
        anchors = self._pose.to_image(self._anchor_base)[:, :2]
        self._source = np.concatenate([landmarks[:, :2], anchors, landmarks[:, :2]]).astype(np.float32)
        # vertices: 478 of the skin, the rings, 478 of what lies behind the lids
        self._n_anchors = len(anchors)
        self._ring_triangles = self._ring_mesh()
        self._skin = topology().triangles.astype(np.int32)
        self._eyes = self._eye_mesh() + 478 + self._n_anchors
        self._skin_sign = np.sign(np.median(signed_area(self._source, self._skin)))
        self._box = self._bounding_box(anchors)
        self._lids = self._lid_openings()
        self._look = self._measure_light(landmarks)
        self._identity = identity_map(*self._box)
        noise = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
        self._noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * 1.6

    # ------------------------------------------------------------------ set-up

    def _rings(self, shape: Array) -> tuple[npt.NDArray[np.float64], Array, Array]:
        """Anchors round the face in normalised space (36 a ring) with their shares of head and jaw motion."""
        oval = shape[list(FACE_OVAL)].astype(np.float64)
        centre = oval.mean(0)
        rings, head, jaw = [], [], []
        for k, (size, head_share, jaw_share) in enumerate(RINGS):
            ring = centre + (oval - centre) * size
            ring[:, 2] = oval[:, 2] - 0.06 * (k + 1)
            rings.append(ring)
            head.append(np.full(len(oval), head_share))
            jaw.append(np.full(len(oval), jaw_share))
        points, head_share_of = np.concatenate(rings), np.concatenate(head)
        height, width = self.photo.pixels.shape[:2]
        image = self._pose.to_image(points)
        border = np.minimum.reduce([image[:, 0], image[:, 1], width - 1 - image[:, 0], height - 1 - image[:, 1]])
        inside = np.clip(border / (0.35 * self._pose.scale), 0, 1)
        return points, (head_share_of * inside).astype(np.float32), np.concatenate(jaw).astype(np.float32)

    @staticmethod
    def _ring_mesh() -> npt.NDArray[np.int32]:
        """Triangles between the face oval and the rings, outermost first."""
        n = len(FACE_OVAL)
        rows = [np.array(FACE_OVAL)] + [478 + k * n + np.arange(n) for k in range(len(RINGS))]
        strips = []
        for inner, outer in zip(rows[-2::-1], rows[:0:-1], strict=True):
            i, o = inner, outer
            i1, o1 = np.roll(i, -1), np.roll(o, -1)
            strips.append(np.concatenate([np.stack([i, i1, o], 1), np.stack([i1, o1, o], 1)]))
        return np.concatenate(strips).astype(np.int32)

    @staticmethod
    def _eye_mesh() -> npt.NDArray[np.int32]:
        """Fans from the iris centres to the lids, for the eyes themselves."""
        fans = []
        for loop, iris in ((EYE_LEFT, IRIS_LEFT[0]), (EYE_RIGHT, IRIS_RIGHT[0])):
            edge = np.array(loop)
            fans.append(np.stack([np.full(len(edge), iris), edge, np.roll(edge, -1)], 1))
        return np.concatenate(fans).astype(np.int32)

    def _bounding_box(self, anchors: Array) -> tuple[int, int, int, int]:
        """Return x0, y0, x1, y1 (end exclusive) of everything that can move, inside the picture."""
        height, width = self.photo.pixels.shape[:2]
        low, high = np.floor(anchors.min(0)) - 2, np.ceil(anchors.max(0)) + 3
        x0, y0 = (int(max(0, value)) for value in low)
        return x0, y0, int(min(width, high[0])), int(min(height, high[1]))

    def _lid_openings(self) -> list[tuple[list[int], list[int], npt.NDArray[np.float64]]]:
        """For each eye: inner points of the upper and lower lid and the way from one to the other, (7, 3)."""
        eyes = []
        for upper, lower in ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER)):
            up, low = list(upper[1:-1]), list(lower[1:-1])
            eyes.append((up, low, self._rest[low] - self._rest[up]))
        return eyes

    def _measure_light(self, landmarks: Array) -> MouthLook:
        """Read exposure, tint, sharpness and grain of the skin round the mouth."""
        pixels = self.photo.pixels
        height, width = pixels.shape[:2]
        around = [205, 425, 187, 411, 206, 426, 50, 280, 18, 200]
        xy = np.clip(landmarks[around, :2].round().astype(int), 0, [width - 1, height - 1])
        radius = max(1, round(0.03 * self._pose.scale))
        patches = [
            pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].reshape(-1, 3)
            for x, y in xy
        ]
        skin = np.concatenate(patches).astype(np.float32)
        bright = np.percentile(skin, 75, axis=0)
        luminance = float(bright @ [0.299, 0.587, 0.114])
        white = np.percentile(pixels[::4, ::4].reshape(-1, 3).astype(np.float32), 97, axis=0)
        tint = white / max(float(white.mean()), 1.0)
        grain = float(np.median([np.std(p - p.mean(0), axis=0).mean() for p in patches])) * 0.35
        left, right = MOUTH_CORNERS
        row = self._rest[list(LIPS_INNER_UPPER), :2]
        return MouthLook(
            exposure=float(np.clip((luminance / 225) ** 0.8, 0.15, 1.05)),
            tint=np.clip(0.5 + 0.5 * tint, 0.8, 1.2).astype(np.float32),
            blur=float(np.clip(0.006 * self._pose.scale, 0.4, 3.0)),
            grain=min(grain, 4.0),
            monochrome=self.photo.monochrome,
            width=float(np.linalg.norm(self._rest[right, :2] - self._rest[left, :2]) / 2),
            seam=(row - row[len(row) // 2]).T.astype(np.float32),
        )

    # --------------------------------------------------------------- one frame

    def _place(self, state: FaceState) -> tuple[Array, npt.NDArray[np.float64]]:
        """Return all vertices' targets (N, 2) px, and the head's 3-D rotation (3, 3)."""
        rotation = Rotation.from_rotvec(state.rotation).as_matrix()

        def turned(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.asarray((points - NECK) @ rotation.T + NECK + state.shift)

        points = self._rest + state.displacement
        behind = points.copy()
        for eye, ((up, low, way), blink) in enumerate(zip(self._lids, state.blink, strict=True)):
            if blink <= 0:
                continue
            way_now = points[low] - points[up]
            points[up] += LID_MEET * float(blink) * way_now
            points[low] -= (1 - LID_MEET) * float(blink) * way_now
            for sides, share in LID_ROWS:
                points[list(sides[eye])] += LID_MEET * share * float(blink) * way
            points[list(LOWER_LID_ROWS[eye])] -= (1 - LID_MEET) * LOWER_LID_SHARE * float(blink) * way
        turn = np.sin(state.gaze) * EYEBALL
        for iris in (IRIS_LEFT, IRIS_RIGHT):
            behind[list(iris), :2] += turn
        head = turned(self._anchor_base) - self._anchor_base
        jaw = np.tile(state.displacement[list(FACE_OVAL)], (len(RINGS), 1))
        anchors = self._anchor_base + head * self._anchor_share[:, None]
        anchors = anchors + jaw * (self._jaw_share * (self._anchor_share > 0))[:, None]
        placed = np.concatenate([turned(points), anchors, turned(behind)])
        return self._pose.to_image(placed)[:, :2], rotation

    def render(self, state: FaceState) -> Image:
        """Return the frame (H, W, 3) uint8 for a state; outside the moving region it equals the photo."""
        target, rotation = self._place(state)
        frame = self.photo.pixels.copy()
        if not self.mouth_open and float(np.abs(target - self._source).max()) <= STILL_PX:
            return frame
        x0, y0, x1, y1 = self._box
        mapping = self._identity.copy()
        facing = np.sign(signed_area(target, self._skin)) == self._skin_sign
        order = np.concatenate([self._skin[~facing], self._ring_triangles, self._eyes, self._skin[facing]])
        moves = np.abs(target - self._source).max(axis=1) > STILL_PX
        draw_map(target, self._source, order[moves[order].any(axis=1)], x0, y0, mapping)
        warped = cv2.remap(self.photo.pixels, mapping, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        frame[y0:y1, x0:x1] = warped  # where the map is the identity, cubic sampling gives the photo's own values
        self._draw_mouth(frame, target, state, rotation)
        return frame

    def _draw_mouth(self, frame: Image, target: Array, state: FaceState, rotation: npt.NDArray[np.float64]) -> None:
        """Fill the opening between the inner lips, in place."""
        loop = target[list(LIPS_INNER)]
        scale = self._pose.scale
        middle = list(zip(LIPS_INNER_UPPER[2:-2], LIPS_INNER_LOWER[2:-2], strict=True))
        gaps = [float(np.linalg.norm(target[a] - target[b])) for a, b in middle]
        opening = max(gaps) / scale
        if max(gaps) < 0.35:  # px: lips touch
            return
        height, width = frame.shape[:2]
        x0, y0 = (int(max(0, v)) for v in np.floor(loop.min(0)) - 4)
        x1, y1 = int(min(width, loop[:, 0].max() + 5)), int(min(height, loop[:, 1].max() + 5))
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        seam = self._rest[list(LIPS_INNER_UPPER[4:7])].mean(0)
        axes = seam + np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]]) - [0, 0, 0.08]
        placed = self._pose.to_image((axes - NECK) @ rotation.T + NECK + state.shift)[:, :2].astype(np.float64)
        inverse = np.linalg.inv(np.stack([placed[1] - placed[0], placed[2] - placed[0]], axis=1))
        x, y = np.meshgrid(np.arange(x0, x1) - placed[0, 0], np.arange(y0, y1) - placed[0, 1])
        u = (inverse[0, 0] * x + inverse[0, 1] * y).astype(np.float32)
        v = (inverse[1, 0] * x + inverse[1, 1] * y).astype(np.float32)
        jaw = state.displacement[CHIN]
        look = self._look
        inside = draw_interior(u, v, 1 / scale, opening, (float(jaw[0]), float(jaw[1])), look)
        inside = cv2.GaussianBlur(inside, (0, 0), look.blur)
        mask = lip_mask(loop - np.array([x0, y0], np.float32), u.shape, 0.5 * look.blur)
        hollow = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.022 * scale))
        inside *= (0.72 + 0.28 * np.clip((hollow - 0.2) / 0.4, 0, 1))[..., None]  # lips throw shade on what is behind
        if look.grain > 0.3:
            rows, columns = np.arange(y0, y1) % 64, np.arange(x0, x1) % 64
            inside += look.grain * self._noise[np.ix_(rows, columns)][..., None] * (inside / 128)
        view = frame[y0:y1, x0:x1]
        mixed = view + (inside - view) * mask[..., None]
        view[...] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
