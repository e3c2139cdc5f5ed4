"""Where a photo looks: turned heads that look into the camera, irises that lie aside, irises that nobody found."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import EXAMPLES
from scipy.spatial.transform import Rotation

from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.face_alignment import MESH_OF_68, mesh_from_68
from portrait_anim.face.gaze import Sight, eyes_on_camera
from portrait_anim.face.mesh import IRIS_LEFT, IRIS_RIGHT
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import load_photo

pytestmark = pytest.mark.media

LOOKING = ("leonardo_mona_lisa_1503", "raphael_la_donna_velata_1516", "sargent_lady_agnew_1892")


def landmarks(name: str) -> np.ndarray:
    photo = load_photo(EXAMPLES / "portraits" / f"{name}.jpg")
    return shared_landmarker("facemesh").detect(photo.pixels)[0].landmarks


@pytest.mark.parametrize("name", LOOKING)
def test_portraits_that_look_at_the_viewer(name: str) -> None:
    """Two of the heads are turned by 17 and 22 degrees, so that eyes that look ahead would look past the viewer."""
    sight = Sight.of(landmarks(name))
    assert sight.found
    assert np.rad2deg(np.abs(sight.eyes - eyes_on_camera(sight.rotation))).max() < 1


@pytest.mark.parametrize("aside", [-0.2, 0.2])
def test_irises_that_lie_aside(aside: float) -> None:
    points = landmarks(LOOKING[0])
    shape, pose = normalise(points)
    shape[list(IRIS_LEFT + IRIS_RIGHT), 0] += 0.13 * np.sin(aside)
    sight = Sight.of(pose.to_image(shape))
    assert sight.eyes[0] - eyes_on_camera(sight.rotation)[0] == pytest.approx(aside, abs=0.04)


def test_the_camera_is_where_the_head_is_turned_from() -> None:
    shape, pose = normalise(landmarks(LOOKING[2]))
    turned = Pose(Rotation.from_rotvec([0, 0.2, 0]).as_matrix(), pose.scale, pose.origin)
    sight = Sight.of(turned.to_image(shape))  # to the picture's right: the camera is on the left
    assert eyes_on_camera(sight.rotation)[0] == pytest.approx(-0.2, abs=0.05)
    assert sight.eyes[0] > eyes_on_camera(sight.rotation)[0] + 0.1


def test_irises_that_were_put_there_are_not_found() -> None:
    points = landmarks(LOOKING[0])
    assert not Sight.of(mesh_from_68(points[list(MESH_OF_68), :2])).found
