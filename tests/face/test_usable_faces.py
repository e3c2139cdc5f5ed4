"""Pictures that have no face to animate, and faces that are turned, cut off, covered, small or behind glare."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from PIL import Image, ImageDraw

from portrait_anim.errors import NoFaceError
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.mesh import LIPS_OUTER
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.render.group import Group
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

Pixels = npt.NDArray[np.uint8]

CASES = ROOT.parent / "shared" / "cases"
FACES = sorted((ROOT / "examples").glob("**/*.jpg"))
ASTRONAUT = ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def landmarker() -> FacemeshLandmarker:
    return FacemeshLandmarker()


def pixels_of(path: Path, longer: int = 512) -> Pixels:
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((longer, longer))
    return np.asarray(picture)


def choose(landmarker: FacemeshLandmarker, pixels: Pixels) -> list[Face]:
    return choose_faces(load_photo(pixels), landmarker)


def case(name: str) -> Pixels:
    if not (CASES / name).is_file():
        pytest.skip(f"no {CASES / name}")
    return np.asarray(Image.open(CASES / name).convert("RGB"))


@pytest.mark.parametrize("path", FACES, ids=lambda path: path.stem)
def test_examples_are_found_without_a_word(
    landmarker: FacemeshLandmarker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert len(choose(landmarker, pixels_of(path))) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("degrees", [0, 60, 90, 120, 150, 180, 210, 270, 330])
@pytest.mark.parametrize("name", ["astronaut", "moller_gogol_1841", "sargent_lady_agnew_1892"])
def test_mouth_is_in_its_place_however_the_photo_is_turned(
    landmarker: FacemeshLandmarker, name: str, degrees: int
) -> None:
    (path,) = (path for path in FACES if path.stem == name)
    pixels = pixels_of(path, 400)
    height, width = pixels.shape[:2]
    side = int(np.hypot(height, width)) + 1
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), -degrees, 1)
    turn[:, 2] += [(side - width) / 2, (side - height) / 2]
    turned = cv2.warpAffine(pixels, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    upright = landmarker.detect(pixels)[0].landmarks[list(LIPS_OUTER), :2]
    (face,) = choose(landmarker, turned)
    expected = upright @ turn[:, :2].T + turn[:, 2]
    width_px = np.linalg.norm(expected[0] - expected[10])
    assert np.linalg.norm(face.landmarks[list(LIPS_OUTER), :2] - expected, axis=1).mean() < 0.2 * width_px


def test_upside_down_is_told(landmarker: FacemeshLandmarker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        choose(landmarker, np.ascontiguousarray(pixels_of(ASTRONAUT)[::-1, ::-1]))
    (message,) = caplog.messages
    assert "upside down: turn the photo by 180 degrees" in message


def test_no_face_in_cloth(landmarker: FacemeshLandmarker) -> None:
    """The astronaut's suit, from the example itself: a buckle was a face."""
    with pytest.raises(NoFaceError, match="no face found"):
        choose(landmarker, case("suit_no_face.png"))


@pytest.mark.parametrize(
    "name", ["coins", "gravel", "cell", "motorcycle_left", "chelsea", "coffee", "hubble_deep_field"]
)
def test_no_face_in_pictures_without_people(landmarker: FacemeshLandmarker, name: str) -> None:
    data = pytest.importorskip("skimage.data")
    (path,) = Path(data.__file__).parent.glob(f"{name}.*")
    pixels = pixels_of(path, 600)
    height, width = pixels.shape[:2]
    assert landmarker.detect(pixels) == []
    half = Image.fromarray(pixels[: height // 2, : width // 2])
    assert landmarker.detect(np.asarray(half.resize((half.width * 2, half.height * 2)))) == []


def test_profile_is_refused(landmarker: FacemeshLandmarker) -> None:
    data = pytest.importorskip("skimage.data")
    with pytest.raises(NoFaceError, match=r"turns both eyes|both eyes to the camera"):
        choose(landmarker, np.dstack([data.camera()] * 3))


@pytest.mark.parametrize("path", FACES, ids=lambda path: path.stem)
def test_cut_off_above_the_mouth_is_refused_and_below_it_is_told(
    landmarker: FacemeshLandmarker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = pixels_of(path)
    xy = landmarker.detect(pixels)[0].landmarks[:, :2]
    with pytest.raises(NoFaceError, match=r"no face found|cut off at the mouth"):
        choose(landmarker, np.ascontiguousarray(pixels[: int(xy[0, 1]) - 2]))
    through = int(xy[61, 0] + 0.5 * (xy[291, 0] - xy[61, 0]))
    with pytest.raises(NoFaceError, match=r"no face found|cut off at the mouth"):
        choose(landmarker, np.ascontiguousarray(pixels[:, :through]))
    with caplog.at_level(logging.INFO):
        choose(landmarker, np.ascontiguousarray(pixels[: int((xy[17, 1] + 2 * xy[152, 1]) / 3)]))
    assert any("is cut off at the" in message for message in caplog.messages)


def over_the_mouth(pixels: Pixels, face: Face, kind: str) -> Pixels:
    """Draw a mask, a microphone or a scarf in units of the distance between the eyes."""
    xy = face.landmarks[:, :2]
    x, y = (xy[13] + xy[14]) / 2
    iod = float(np.linalg.norm(xy[263] - xy[33]))
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    if kind == "mask":
        shape = [(-0.75, -0.3), (0, -0.48), (0.75, -0.3), (0.72, 0.25), (0.4, 0.72), (-0.4, 0.72), (-0.72, 0.25)]
        draw.polygon([(x + iod * u, y + iod * v) for u, v in shape], fill=(170, 205, 225))
    elif kind == "microphone":
        draw.ellipse([x - 0.33 * iod, y - 0.28 * iod, x + 0.33 * iod, y + 0.38 * iod], fill=(40, 40, 44))
        draw.polygon([(x - 0.08 * iod, y), (x + 0.08 * iod, y), (x + 0.15 * iod, y + 1.5 * iod)], fill=(30, 30, 32))
    else:
        draw.rectangle([x - iod, y - 0.3 * iod, x + iod, y + 1.2 * iod], fill=(120, 40, 50))
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)


MISSED = ("liliuokalani", "einstein", "rasputin")
"""A microphone before a moustache, before a beard and in the grain of a printed picture is taken for a mouth: about a
third of such covers is missed (docs/troubleshooting.md)."""
COVERED = [
    pytest.param(path, kind, id=f"{path.stem}-{kind}")
    for path in FACES
    for kind in ("mask", "microphone", "scarf")
    if kind != "microphone" or not any(name in path.stem for name in MISSED)
]


@pytest.mark.parametrize(("path", "kind"), COVERED)
def test_covered_mouth_is_refused(landmarker: FacemeshLandmarker, path: Path, kind: str) -> None:
    pixels = pixels_of(path)
    covered = over_the_mouth(pixels, landmarker.detect(pixels)[0], kind)
    with pytest.raises(NoFaceError, match=r"no face found|shows no lips"):
        choose(landmarker, covered)


@pytest.mark.parametrize("name", ["mic.png", "mask.png"])
def test_reported_covered_mouths_are_refused(landmarker: FacemeshLandmarker, name: str) -> None:
    with pytest.raises(NoFaceError, match="shows no lips"):
        choose(landmarker, case(name))


@pytest.mark.parametrize("size", [(512, 512), (1920, 1080), (3840, 2160)])
@pytest.mark.parametrize("px", [40, 64, 86])
def test_small_faces_are_found_whatever_the_pictures_size(
    landmarker: FacemeshLandmarker, size: tuple[int, int], px: int, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = pixels_of(ASTRONAUT)
    box = landmarker.detect(pixels)[0].bbox
    scale = px / float((box[2:] - box[:2]).max())
    around = Image.fromarray(pixels).crop((80, 20, 420, 420))
    small = around.resize((round(340 * scale), round(400 * scale)), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", size, (110, 140, 120))
    at = round(0.6 * (size[0] - small.width)), round(0.3 * (size[1] - small.height))
    canvas.paste(small, at)
    with caplog.at_level(logging.INFO):
        (face,) = choose(landmarker, np.asarray(canvas))
    middle = (box[:2] + box[2:]) / 2
    expected = np.array(at) + (middle - [80, 20]) * scale
    np.testing.assert_allclose((face.bbox[:2] + face.bbox[2:]) / 2, expected, atol=0.15 * px)
    if px == 40:
        assert any("is small" in message and f"{size[0]}x{size[1]}" in message for message in caplog.messages)


def blinked(pixels: Pixels, face: Face) -> bool:
    """Whether anything changes when the lids shut, drawn as a film draws it."""
    photo = load_photo(pixels)
    group = Group(photo, [face])
    frames = [photo.pixels.copy(), photo.pixels.copy()]
    shut = replace(FaceState.rest(), blink=np.ones(2, np.float32))
    for state, frame in zip((FaceState.rest(), shut), frames, strict=True):
        group.draw([state], 0.0, frame)
    return bool((frames[0] != frames[1]).any())


def test_no_lids_on_glass_that_mirrors_and_lids_behind_clear_glass(landmarker: FacemeshLandmarker) -> None:
    pixels = pixels_of(ASTRONAUT)
    (face,) = landmarker.detect(pixels)
    xy = face.landmarks[:, :2]
    for fill in (None, (232, 236, 240)):
        picture = Image.fromarray(pixels)
        draw = ImageDraw.Draw(picture)
        for corners in ((33, 133), (362, 263)):
            x, y = xy[list(corners)].mean(0)
            reach = 0.95 * float(np.linalg.norm(xy[corners[1]] - xy[corners[0]]))
            draw.ellipse(
                [x - reach, y - 0.8 * reach, x + reach, y + 0.8 * reach], fill=fill, outline=(20, 20, 20), width=4
            )
        glasses = np.asarray(picture)
        (face,) = choose(landmarker, glasses)
        assert blinked(glasses, face) == (fill is None)


def test_reported_glare_is_not_painted(landmarker: FacemeshLandmarker) -> None:
    pixels = case("glare.png")
    (face,) = choose(landmarker, pixels)
    assert not blinked(pixels, face)


def test_real_faces_are_still_found(landmarker: FacemeshLandmarker, shared_data: Path) -> None:
    """Portraits, paintings, drawings and old photographs; not the dog, and two that were never found."""
    never = {"s30", "s36", "s39"}
    stills = [path for path in sorted((shared_data / "stills").glob("*.jpg")) if path.stem not in never]
    public = sorted((shared_data / "public_domain").glob("*.jpg"))
    assert len(stills) + len(public) >= 30
    for path in stills + public:
        assert len(choose(landmarker, pixels_of(path, 900))) == 1, path.name
