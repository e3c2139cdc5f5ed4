"""Heads turn as far as asked, and a face that is turned aside turns back less far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES
from scipy.spatial.transform import Rotation

from portrait_anim.face.choose import choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.render.group import Group
from portrait_anim.render.turning import PITCH, USUAL, YAW, Turning
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

PEOPLE = [EXAMPLES / "astronaut.jpg", *sorted((EXAMPLES / "portraits").glob("*.jpg"))]


def group_of(path: Path, *, measured: bool = True) -> Group:
    photo, landmarker = load_photo(path, 512), shared_landmarker()
    return Group(photo, choose_faces(photo, landmarker), landmarker if measured else None)


def seen(group: Group, axis: int, degrees: float) -> float | None:
    """By how many degrees the face that is found in the frame is turned against the photo's; None: none is found."""
    poses = []
    for angle in (0.0, degrees):
        out = group.still.copy()
        group.draw([replace(FaceState.rest(), rotation=np.deg2rad(np.eye(3)[axis] * angle).astype(np.float32))], 0, out)
        faces = shared_landmarker().detect(out)
        if not faces:
            return None
        poses.append(normalise(faces[0].landmarks)[1].rotation)
    return float(np.rad2deg(Rotation.from_matrix(poses[0].T @ poses[1]).as_rotvec()[axis]))


def test_heads_turn_as_far_as_asked() -> None:
    shares = {axis: [] for axis in (PITCH, YAW)}
    for path in PEOPLE:
        group = group_of(path)
        for axis, angle in ((PITCH, 12.0), (YAW, 18.0)):
            for sign in (-1, 1):
                if axis == PITCH or group.seen[0].turning.limits[int(sign > 0)] > np.deg2rad(30):
                    found = seen(group, axis, sign * angle)
                    shares[axis].append(np.nan if found is None else found / (sign * angle))
    for axis, least in ((PITCH, 0.85), (YAW, 0.9)):
        assert np.isnan(shares[axis]).sum() <= 1  # Rasputin, who is turned aside already
        assert least < np.nanmedian(shares[axis]) < 1.15
        assert np.nanmin(shares[axis]) > 0.55


def test_a_face_turned_aside_turns_back_less_far() -> None:
    aside = group_of(EXAMPLES / "portraits" / "raphael_la_donna_velata_1516.jpg")
    back, on = sorted(aside.seen[0].turning.limits)
    assert back < np.deg2rad(18) < on
    side = int(np.argmin(aside.seen[0].turning.limits))
    far = np.zeros(3, np.float32)
    far[YAW] = np.deg2rad(60) * (1 if side else -1)
    shown = aside.seen[0].turning.shown(replace(FaceState.rest(), rotation=far))
    assert abs(shown.rotation[YAW]) <= back * aside.seen[0].turning.gains[YAW, side] + 1e-6


def test_small_turns_are_only_multiplied_and_steps_stay_steady() -> None:
    turning = Turning(USUAL, np.deg2rad([10.0, 34.0]))
    angles = np.linspace(-0.8, 0.8, 321)
    made = [
        turning.shown(replace(FaceState.rest(), rotation=np.array([0, a, 0.1], np.float32))).rotation for a in angles
    ]
    yaw = np.array(made)[:, YAW]
    assert (np.diff(yaw) >= 0).all()
    small = np.abs(angles) < np.deg2rad(6)
    np.testing.assert_allclose(yaw[small], angles[small] * USUAL[YAW, 0], atol=1e-6)
    np.testing.assert_allclose(np.array(made)[:, 2], 0.1)


def test_without_a_landmarker_the_usual_is_added() -> None:
    group = group_of(PEOPLE[0], measured=False)
    np.testing.assert_array_equal(group.seen[0].turning.gains, USUAL)


def test_shoulders_breathe_and_the_wall_and_the_face_do_not() -> None:
    group = group_of(EXAMPLES / "portraits" / "moller_gogol_1841.jpg")
    portrait, out = group.portraits[0], group.still.copy()
    group.draw([replace(FaceState.rest(), breath=0.03)], 0.0, out)
    changed = (out != group.still).any(axis=2)
    oval = portrait.pose.to_image(portrait.rest)[list(FACE_OVAL), :2]
    face = np.zeros(changed.shape, np.uint8)
    cv2.fillPoly(face, [np.round(oval.mean(0) + 0.95 * (oval - oval.mean(0))).astype(np.int32)], 1)
    assert not changed[face > 0].any()
    assert changed[int(oval[:, 1].max()) :].any()
    x0, y0, x1, y1 = portrait.box
    wall = portrait._layers.person[..., 3] == 0
    assert changed[y0:y1, x0:x1][wall].mean() < 0.01  # where the shoulders rise over it
