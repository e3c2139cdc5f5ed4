"""The blendshape net: what it says of faces whose expression is known, and what does not matter to it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import EXAMPLES
from scipy.spatial.transform import Rotation

from portrait_anim.face.blendshapes import POINTS, SCORES, scores, scores_of_shape
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import topology
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.action_units import drawn_units

pytestmark = pytest.mark.media


def score(seen: np.ndarray, name: str) -> np.ndarray:
    return seen[..., [SCORES.index(each) for each in SCORES if each in (name, f"{name}Left", f"{name}Right")]].mean(-1)


def landmarks(name: str) -> np.ndarray:
    return shared_landmarker().detect(load_photo(EXAMPLES / name).pixels)[0].landmarks


def test_points_and_scores_are_the_nets() -> None:
    assert (len(POINTS), len(SCORES)) == (146, 52)
    assert list(POINTS) == sorted(set(POINTS))
    seen = scores(np.stack([landmarks("astronaut.jpg")] * 2))
    assert seen.shape == (2, 52)
    assert ((seen >= 0) & (seen <= 1)).all()


def test_a_smile_is_seen_and_a_still_face_is_not_taken_for_one() -> None:
    assert score(scores(landmarks("astronaut.jpg")), "mouthSmile") > 0.7
    assert score(scores(landmarks("portraits/sargent_lady_agnew_1892.jpg")), "mouthSmile") < 0.1


@pytest.mark.parametrize(
    ("unit", "name"), [("AU12", "mouthSmile"), ("AU4", "browDown"), ("AU1", "browInnerUp"), ("AU2", "browOuterUp")]
)
def test_each_unit_raises_its_score_on_its_own_side(unit: str, name: str) -> None:
    shape, _ = normalise(landmarks("portraits/sargent_lady_agnew_1892.jpg"))
    amounts = np.linspace(0, 1, 4)[:, None, None]
    seen = score(scores_of_shape(shape + amounts * drawn_units()[unit]), name)
    assert (np.diff(seen) > 0).all()
    assert seen[-1] > 0.5


def test_left_is_the_persons_left() -> None:
    wink = topology().vertices + drawn_units()["AU12"] * (topology().vertices[:, :1] > 0)  # in the picture on the right
    seen = scores_of_shape(wink)
    assert seen[SCORES.index("mouthSmileLeft")] > seen[SCORES.index("mouthSmileRight")] + 0.2


def test_place_size_and_turning_hardly_matter() -> None:
    face = landmarks("astronaut.jpg")
    shape, _ = normalise(face)
    seen = scores_of_shape(shape)
    np.testing.assert_allclose(scores(3 * face + 200), scores(face), atol=2e-3)
    np.testing.assert_allclose(scores(face), seen, atol=0.15)
    turned = Pose(Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix(), 80.0, np.zeros(3)).to_image(shape)
    np.testing.assert_allclose(scores(turned), seen, atol=0.2)
