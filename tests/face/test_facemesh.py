"""The facemesh backend against MediaPipe's own output, and what it does with awkward pictures."""

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.mesh import OUTER_EYE_CORNERS, topology
from portrait_anim.face.normalise import normalise, normalise_clip

pytestmark = pytest.mark.media

GOLDEN = np.load(ROOT / "tests" / "golden" / "facemesh_mediapipe.npz")
PICTURES = {path.name: path for path in (ROOT / "examples").glob("**/*.jpg")}


@pytest.fixture(scope="module")
def landmarker() -> FacemeshLandmarker:
    made = make_landmarker("facemesh")
    assert isinstance(made, FacemeshLandmarker)
    return made


def pixels_of(name: str) -> np.ndarray:
    return np.asarray(Image.open(PICTURES[name]).convert("RGB"))


def iod_of(landmarks: np.ndarray) -> float:
    left, right = OUTER_EYE_CORNERS
    return float(np.linalg.norm(landmarks[left, :2] - landmarks[right, :2]))


@pytest.mark.parametrize("name", GOLDEN.files)
def test_matches_mediapipe(landmarker: FacemeshLandmarker, name: str) -> None:
    (face,) = landmarker.detect(pixels_of(name), refine=0)
    error = np.linalg.norm(face.landmarks[:, :2] - GOLDEN[name][:, :2], axis=1) / iod_of(GOLDEN[name])
    assert np.median(error) < 0.002
    assert error.max() < 0.006
    assert np.abs(face.landmarks[:, 2] - GOLDEN[name][:, 2]).max() / iod_of(GOLDEN[name]) < 0.02


def test_refined_points_are_a_fixed_point(landmarker: FacemeshLandmarker) -> None:
    """Photo and video share one framing: looking again where the face is changes next to nothing."""
    image = pixels_of("astronaut.jpg")
    (face,) = landmarker.detect(image)
    again = landmarker.track(image, face)
    assert again is not None
    error = np.linalg.norm(face.landmarks[:, :2] - again.landmarks[:, :2], axis=1) / iod_of(face.landmarks)
    assert np.median(error) < 0.002


def test_several_faces_largest_first(landmarker: FacemeshLandmarker) -> None:
    big, small = pixels_of("astronaut.jpg"), Image.fromarray(pixels_of("moller_gogol_1841.jpg")).resize((300, 300))
    canvas = np.full((512, 900, 3), 128, np.uint8)
    canvas[:, :512] = big
    canvas[100:400, 560:860] = small
    faces = landmarker.detect(canvas)
    assert len(faces) == 2
    assert faces[0].area > faces[1].area


def test_small_face_beside_a_large_one(landmarker: FacemeshLandmarker) -> None:
    big, small = pixels_of("astronaut.jpg"), Image.fromarray(pixels_of("moller_gogol_1841.jpg")).resize((130, 130))
    canvas = np.full((700, 1200, 3), 128, np.uint8)
    canvas[:512, :512] = big
    canvas[450:580, 1000:1130] = small
    large, found = landmarker.detect(canvas)
    assert large.bbox[2] < 512
    assert 1000 < found.bbox[0] < found.bbox[2] < 1130


def test_small_face_in_a_large_picture(landmarker: FacemeshLandmarker) -> None:
    face = Image.fromarray(pixels_of("astronaut.jpg")).resize((256, 256))
    canvas = np.full((2000, 1600, 3), 90, np.uint8)
    canvas[1500:1756, 200:456] = face
    (found,) = landmarker.detect(canvas)
    assert 200 < found.bbox[0] < found.bbox[2] < 456
    assert 1500 < found.bbox[1] < found.bbox[3] < 1756


def test_no_face(landmarker: FacemeshLandmarker) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    assert landmarker.detect(noise) == []
    assert landmarker.detect(np.zeros((64, 64, 3), np.uint8)) == []


def test_pose_round_trip_and_units(landmarker: FacemeshLandmarker) -> None:
    (face,) = landmarker.detect(pixels_of("raphael_la_donna_velata_1516.jpg"))
    shape, pose = normalise(face.landmarks)
    np.testing.assert_allclose(pose.to_image(shape), face.landmarks, atol=1e-2)
    left, right = shape[list(OUTER_EYE_CORNERS)]
    assert np.linalg.norm(right - left) == pytest.approx(1, abs=1e-4)
    assert shape[152, 1] < -0.9  # the chin is down: y points up
    assert shape[1, 2] > 0.2  # the nose points to the viewer: z does too


def test_normalise_clip_removes_a_known_motion() -> None:
    vertices = topology().vertices
    rng = np.random.default_rng(1)
    _, pose = normalise(vertices * [80, -80, -80] + [200, 150, 0])
    clip, angles = [], rng.uniform(-0.15, 0.15, (12, 3))
    for x, y, z in angles:
        rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
        ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        clip.append(pose.to_image(vertices @ (rz @ ry @ rx).T * rng.uniform(0.8, 1.2)))
    points, _ = normalise_clip(np.stack(clip))
    assert np.abs(points - points.mean(0)).max() < 1e-4
