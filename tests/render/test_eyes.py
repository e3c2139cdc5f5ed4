"""Eyes that turn as wholes: how far, which way, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.gaze import iris_angles
from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT
from portrait_anim.face.normalise import normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.render.portrait import Portrait
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

PAINTING = EXAMPLES / "portraits" / "moller_gogol_1841.jpg"  # closed lips: at rest the portrait is the photo


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    photo = load_photo(PAINTING)
    return Portrait(photo, shared_landmarker("facemesh").detect(photo.pixels)[0])


def looking(aside: float, up: float = 0.0, *, turned_eyes: bool = True) -> FaceState:
    return replace(FaceState.rest(), gaze=np.array([aside, up], np.float32), turned_eyes=turned_eyes)


def aside(frame: np.ndarray) -> float:
    """Return how far aside the irises of a frame are seen, in degrees."""
    return float(np.rad2deg(iris_angles(normalise(shared_landmarker("facemesh").detect(frame)[0].landmarks)[0])[0]))


def test_eyes_that_do_not_turn_are_the_photos(portrait: Portrait) -> None:
    np.testing.assert_array_equal(portrait.render(looking(0)), portrait.photo.pixels)


def test_irises_go_where_they_shall_and_further_than_the_mesh_alone_takes_them(portrait: Portrait) -> None:
    angles = (-0.25, -0.12, 0.12, 0.25)
    seen = [aside(portrait.render(looking(angle))) for angle in angles]
    assert seen == sorted(seen)
    bent = [aside(portrait.render(looking(angle, turned_eyes=False))) for angle in angles]
    reached = (seen[-1] - seen[0]) / np.rad2deg(angles[-1] - angles[0])
    assert reached > 0.5
    assert reached > 1.5 * (bent[-1] - bent[0]) / np.rad2deg(angles[-1] - angles[0])


def test_only_what_lies_within_the_lids_changes(portrait: Portrait) -> None:
    landmarks = shared_landmarker("facemesh").detect(portrait.photo.pixels)[0].landmarks
    inside = np.zeros(portrait.photo.pixels.shape[:2], np.uint8)
    for loop in (EYE_LEFT, EYE_RIGHT):
        cv2.fillPoly(inside, [np.round(landmarks[list(loop), :2]).astype(np.int32)], 1)
    near = cv2.dilate(inside, np.ones((5, 5), np.uint8)) > 0
    for state in (looking(0.3, 0.1), looking(-0.4, -0.1)):
        frame = portrait.render(state)
        np.testing.assert_array_equal(frame[~near], portrait.photo.pixels[~near])
        assert (frame[inside > 0] != portrait.photo.pixels[inside > 0]).any(axis=1).mean() > 0.5


def test_no_iris_goes_into_the_corner(portrait: Portrait) -> None:
    """Both eyes stop alike: what is asked beyond the room changes nothing any more."""
    far, further = (portrait.render(looking(angle)).astype(int) for angle in (1.0, 1.3))
    assert np.abs(far - further).mean(axis=2).max() < 40
    angles = [abs(aside(portrait.render(looking(angle))) - aside(portrait.photo.pixels)) for angle in (0.25, 1.3)]
    assert angles[1] < 40
    left, right = portrait._eyes._sides
    for shift in (np.array([100.0, 0]), np.array([-100.0, 0])):
        share = min(left.share(shift), right.share(shift))
        for eye in (left, right):
            middle = eye._u0 + share * float(eye._axes[0] @ shift)
            assert eye._radius < middle < eye.width - eye._radius


def test_a_shut_eye_does_not_turn(portrait: Portrait) -> None:
    landmarks = shared_landmarker("facemesh").detect(portrait.photo.pixels)[0].landmarks.copy()
    for upper, lower in (((159, 158, 160, 161, 157), (145, 153, 144, 163, 154)),
                         ((386, 385, 387, 388, 384), (374, 380, 373, 390, 381))):  # fmt: skip
        landmarks[list(upper), 1] = landmarks[list(lower), 1] - 0.5
    shut = type(portrait._eyes)(landmarks, portrait.pose, portrait.sight.eyes, portrait.box)
    x0, y0, x1, y1 = portrait.box
    pixels, frame = portrait.photo.pixels[y0:y1, x0:x1].copy(), portrait.photo.pixels.copy()
    np.testing.assert_array_equal(shut.turned(pixels, np.array([0.3, 0]), frame), pixels)


def test_an_iris_that_was_found_outside_its_eye_does_not_turn(portrait: Portrait) -> None:
    landmarks = shared_landmarker("facemesh").detect(portrait.photo.pixels)[0].landmarks.copy()
    landmarks[list(IRIS_LEFT), 0] -= 60
    lost = type(portrait._eyes)(landmarks, portrait.pose, portrait.sight.eyes, portrait.box)
    x0, y0, x1, y1 = portrait.box
    pixels, frame = portrait.photo.pixels[y0:y1, x0:x1].copy(), portrait.photo.pixels.copy()
    for gaze in ((0.3, 0.0), (-0.3, 0.0), (0.0, 0.1)):
        np.testing.assert_array_equal(lost.turned(pixels, np.array(gaze), frame), pixels)


def test_the_rest_of_the_face_moves_as_ever(portrait: Portrait) -> None:
    turned = replace(looking(0.2), rotation=np.array([0, 0.1, 0], np.float32))
    plain = replace(turned, gaze=np.zeros(2, np.float32), turned_eyes=False)
    changed = (portrait.render(turned) != portrait.render(plain)).any(axis=2)
    assert 0 < changed.sum() < 0.02 * changed.size
    assert aside(portrait.render(turned)) - aside(portrait.render(plain)) > 3
