"""Folds of the skin: they follow the motion, ride on the photo's own creases, and are nothing at rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.mesh import topology
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.motion.action_units import TRACKS, ActionUnits
from portrait_anim.motion.emotion import emotion_activations
from portrait_anim.render.folds import FOLDS, activation, drive_weights
from portrait_anim.render.path import cheapest_path
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.skin import Skin
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

Array = npt.NDArray[np.float32]
IOD_PX, SIZE = 100, 320
SKIN_RGB = (205, 160, 140)
FOREHEAD, FOLD, CHEEK, CHIN = (0.0, 0.51), (-0.335, -0.575), (-0.54, -0.41), (0.0, -1.09)


def pixel(x: float, y: float) -> tuple[int, int]:
    """Row and column of a place of the mean face in the drawn pictures."""
    return round(SIZE / 2 - 20 - y * IOD_PX), round(SIZE / 2 + x * IOD_PX)


def landmarks() -> Array:
    points = topology().vertices * [IOD_PX, -IOD_PX, -IOD_PX] + [SIZE / 2, SIZE / 2 - 20, 0]
    return points.astype(np.float32)


def plain(colour: tuple[int, int, int] = SKIN_RGB) -> npt.NDArray[np.uint8]:
    return np.full((SIZE, SIZE, 3), colour, np.uint8)


def shown(emotion: str, strength: float = 1.0) -> Array:
    return ActionUnits.from_weights("open").displacement(emotion_activations(emotion, strength))


def change(pixels: npt.NDArray[np.uint8], displacement: Array) -> npt.NDArray[np.int64]:
    """(H, W, 3) grey levels by which the folds of a displacement change a picture of the mean face."""
    made = Skin(pixels, landmarks(), IOD_PX).shade(pixels, displacement)
    return made.astype(int) - pixels.astype(int)


def test_nothing_moved_leaves_the_picture_alone() -> None:
    pixels = plain()
    assert Skin(pixels, landmarks(), IOD_PX).shade(pixels, np.zeros((478, 3), np.float32)) is pixels


def test_a_smile_folds_and_lights_both_cheeks_and_nothing_but_the_face() -> None:
    diff = change(plain(), shown("happy")).mean(axis=2)
    assert diff[pixel(*FOLD)] < -6
    assert diff[pixel(*CHEEK)] > 3
    assert abs(diff[pixel(*FOREHEAD)]) < 1
    np.testing.assert_allclose(diff[:, 1:], diff[:, :0:-1], atol=3)  # both sides alike
    assert not diff[:5].any()
    assert not diff[:, :5].any()


@pytest.mark.parametrize(
    ("emotion", "place"),
    [("surprised", FOREHEAD), ("surprised", CHIN), ("angry", (-0.077, 0.22)), ("disgusted", (-0.31, -0.54))],
)
def test_every_emotion_has_its_folds(emotion: str, place: tuple[float, float]) -> None:
    assert change(plain(), shown(emotion)).mean(axis=2)[pixel(*place)] < -3


def test_shades_redden_on_skin_and_stay_grey_in_a_grey_photo() -> None:
    row, column = pixel(*FOLD)
    red, _, blue = change(plain(), shown("happy"))[row, column] / np.array(SKIN_RGB)
    assert blue < 1.25 * red < 0
    assert np.ptp(change(plain((150, 150, 150)), shown("happy")), axis=2).max() == 0


def with_crease(offset: float) -> npt.NDArray[np.uint8]:
    """A face that has a nasolabial fold on the image-left, ``offset`` IOD beside where it is drawn."""
    line = np.ones((SIZE, SIZE), np.uint8)
    curve = np.array([pixel(x + offset, y)[::-1] for x, y in FOLDS[0].curve], np.int32)
    cv2.polylines(line, [curve], isClosed=False, color=0)
    away = cv2.distanceTransform(line, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / IOD_PX
    return (plain() * (1 - 0.15 * np.exp(-0.5 * (away / 0.015) ** 2))[..., None]).round().astype(np.uint8)


def test_a_fold_deepens_the_photos_own_crease_beside_which_it_was_drawn() -> None:
    x, y = FOLD
    own, drawn, smooth = pixel(x - 0.035, y), pixel(x + 0.02, y), pixel(x, y)
    diff = change(with_crease(-0.035), shown("happy")).mean(axis=2)
    assert diff[own] < 1.3 * diff[drawn] < 0
    assert diff[own] < 1.3 * change(plain(), shown("happy")).mean(axis=2)[smooth]


def test_a_smile_that_ends_takes_its_crease_away() -> None:
    pixels = with_crease(0.0)
    row, column = pixel(*FOLD)
    diff = change(pixels, -shown("happy"))[row, column].mean()
    depth = np.mean(SKIN_RGB) - pixels[row, column].mean()
    assert 0.3 * depth < diff < depth
    assert abs(change(plain(), -shown("happy"))[row, column]).max() <= 1  # there is none to take away


def test_hair_over_the_forehead_gets_no_lines() -> None:
    pixels = plain()
    row, _ = pixel(0, 0.36)
    pixels[:row] = (60, 40, 30)
    assert abs(change(pixels, shown("surprised"))[: row - 12]).max() <= 1


def test_an_open_jaw_is_no_corner_pulled_down_and_speech_shows_little() -> None:
    level = np.array([0.5 if name.startswith("AU26") else 0 for name in TRACKS], np.float32)  # .1 IOD: a spoken vowel
    jaw = ActionUnits.from_weights("open").displacement(level)
    weights = np.stack([drive_weights(fold, 1) for fold in FOLDS])
    amounts = activation(weights @ jaw[:, :2].ravel())
    assert amounts.max() < 0.5
    assert change(plain(), jaw).min() > -14


def test_turned_small_and_cut_off_faces_are_shaded_without_a_word() -> None:
    points = landmarks()
    for size, shift in ((0.15, (20, 20, 0)), (1, (140, 100, 0)), (1, (-170, -200, 0)), ((0.2, 1, 1), (60, 0, 0))):
        moved = points * size + np.array(shift)
        skin = Skin(plain(), moved.astype(np.float32), 0.15 * IOD_PX if moved.max() < 100 else IOD_PX)
        assert skin.shade(plain(), shown("disgusted", 1.5)).shape == (SIZE, SIZE, 3)


def test_the_path_follows_a_valley_and_bends_only_for_a_gain() -> None:
    cost = np.ones((9, 30))
    row = np.round(4 + 3 * np.sin(np.linspace(0, 3, 30))).astype(int)
    cost[row, np.arange(30)] = 0
    np.testing.assert_array_equal(cheapest_path(cost, 0.25), row)
    assert np.ptp(cheapest_path(cost, 100.0)) == 0


def test_a_rendered_smile_has_folds(astronaut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = load_photo(astronaut)
    face = make_landmarker().detect(photo.pixels)[0]
    portrait = Portrait(photo, face)
    smile = replace(FaceState.rest(), displacement=shown("happy"))
    folded = portrait.render(smile).astype(int)
    at_rest = portrait.render(FaceState.rest())
    monkeypatch.setattr(Skin, "shade", lambda self, pixels, displacement: pixels)
    np.testing.assert_array_equal(at_rest, portrait.render(FaceState.rest()))
    diff = (folded - portrait.render(smile)).mean(axis=2)
    x, y = face.landmarks[[206, 426], :2].mean(0).round().astype(int)
    assert diff.min() < -10
    assert not diff[:, : x - 2 * (x - int(face.landmarks[234, 0]))].any()
    assert abs(diff[y - 3 : y + 4, x - 3 : x + 4]).max() < 8  # between the folds, under the nose
