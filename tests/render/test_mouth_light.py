"""The mouth's light in dark, hard-lit and tinted photos, read off rendered frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT

from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.mesh import LIPS_INNER, LIPS_OUTER_LOWER, LIPS_OUTER_UPPER
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.motion.model import MotionModel
from portrait_anim.render.lab import to_lab
from portrait_anim.render.mouth import GREY
from portrait_anim.render.portrait import Portrait
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

SHARED = ROOT.parent / "shared"
PEOPLE = SHARED / "data" / "public_domain"
ASTRONAUT = EXAMPLES / "astronaut.jpg"
LISA, GOGOL = (EXAMPLES / "portraits" / name for name in ("leonardo_mona_lisa_1503.jpg", "moller_gogol_1841.jpg"))
LANDMARKER = FacemeshLandmarker()
Pixels = np.ndarray


def opened(amount: float) -> FaceState:
    """A state whose inner lips are ``amount`` IOD apart."""
    space = MotionModel.from_weights().space
    mouth = np.zeros(space.n_components, np.float32)
    mouth[0] = 1
    mouth[0] = amount / float(space.aperture(mouth))
    return replace(FaceState.rest(), displacement=space.decode(mouth))


def darkened(pixels: Pixels, share: float) -> Pixels:
    """The picture with ``share`` of its light."""
    value = pixels / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) * share
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )


def inside_and_skin(pixels: Pixels, face: Face, amount: float = 0.22) -> tuple[Pixels, Pixels]:
    """RGB of the inside of the opened mouth, (N, 3), and of the skin round it, (M, 3)."""
    portrait, state = Portrait(load_photo(pixels), face), opened(amount)
    frame, places, scale = portrait.render(state), portrait._head.place(state), portrait._pose.scale

    def filled(points: Pixels) -> Pixels:
        mask = np.zeros(pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
        return mask

    inner = cv2.erode(
        filled(places[list(LIPS_INNER)]), np.ones((3, 3), np.uint8), iterations=max(1, round(0.015 * scale))
    )
    lips = filled(np.concatenate([places[list(LIPS_OUTER_UPPER)], places[list(LIPS_OUTER_LOWER)][::-1]]))
    away = cv2.distanceTransform(1 - lips, cv2.DIST_L2, 3)
    ring = (away > 0.02 * scale) & (away < 0.22 * scale)
    assert inner.sum() > 30
    return frame[inner > 0].astype(float), frame[ring].astype(float)


def face_of(pixels: Pixels) -> Face:
    return LANDMARKER.detect(pixels)[0]


@pytest.mark.parametrize("share", [0.25, 0.08, 0.03, 0.012, 0.004])
@pytest.mark.parametrize("path", [ASTRONAUT, LISA, GOGOL], ids=lambda path: path.stem)
def test_in_the_dark_nothing_in_the_mouth_glows(path: Path, share: float) -> None:
    pixels = load_photo(path).pixels
    inside, skin = (values @ GREY for values in inside_and_skin(darkened(pixels, share), face_of(pixels)))
    assert np.median(inside) <= np.median(skin)
    assert np.percentile(inside, 98) <= np.percentile(skin, 95) + (2 if share < 0.1 else 20)


def test_a_photo_in_the_dark_shows_the_mouth_of_the_same_photo_in_the_light() -> None:
    pixels = load_photo(LISA).pixels
    face = face_of(pixels)
    bright = inside_and_skin(pixels, face)[0]
    dark = inside_and_skin(darkened(pixels, 0.05), face)[0]
    lit = darkened(bright, 0.05).astype(float)
    assert np.abs(dark.mean(axis=0) - lit.mean(axis=0)).max() < 5
    assert dark.mean() < 25


def tinted() -> list[Pixels]:
    grey = load_photo(GOGOL).pixels @ GREY
    return [np.clip(grey[..., None] * tint, 0, 255).astype(np.uint8) for tint in ([1.07, 0.94, 0.73], [0.93, 1, 1.08])]


@pytest.mark.parametrize("number", [0, 1], ids=["sepia", "blue"])
def test_a_tinted_print_has_no_red_tongue(number: int) -> None:
    pixels = tinted()[number]
    assert not load_photo(pixels).monochrome
    inside, skin = inside_and_skin(pixels, face_of(load_photo(GOGOL).pixels))

    def redness(values: Pixels) -> float:
        return float(((values[:, 0] - values[:, 1]) / np.maximum(values @ GREY, 1)).mean())

    assert abs(redness(inside) - redness(skin)) < 0.06


def hard_lit(shade: float) -> Pixels:
    """A grey Mona Lisa whose mouth lies in a shadow that keeps ``shade`` of the light."""
    pixels = np.repeat((load_photo(LISA).pixels @ GREY)[..., None], 3, axis=2)
    points = face_of(load_photo(LISA).pixels).landmarks[:, :2]
    centre, iod = points[[0, 17]].mean(axis=0), float(np.linalg.norm(points[33] - points[263]))
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    near = np.exp(-0.5 * ((np.hypot(x - centre[0], y - centre[1]) / (0.36 * iod)) ** 4))[..., None]
    return darkened(np.clip(1.5 * pixels, 0, 255), 1 - (1 - shade) * near)  # type: ignore[arg-type]


def test_teeth_lie_in_the_shade_that_lies_on_the_mouth() -> None:
    face = face_of(load_photo(LISA).pixels)
    for shade in (0.3, 0.12):
        inside, skin = (values @ GREY for values in inside_and_skin(hard_lit(shade), face))
        assert np.percentile(inside, 98) <= np.percentile(skin, 95)
        assert np.median(inside) < np.median(skin) + 5


MOUSTACHES = (
    "unknown_albert_einstein_1921.jpg",
    "warren_frederick_douglass_1879.jpg",
    "unknown_grigori_rasputin_1916.jpg",
)


@pytest.mark.skipif(not PEOPLE.is_dir(), reason="the shared pictures are not on this machine")
@pytest.mark.parametrize("name", MOUSTACHES)
def test_teeth_under_a_moustache_are_no_brighter_than_the_skins_lights(name: str) -> None:
    pixels = load_photo(PEOPLE / name).pixels
    for amount in (0.06, 0.14, 0.24):
        inside, skin = (values @ GREY for values in inside_and_skin(pixels, face_of(pixels), amount))
        assert np.percentile(inside, 99) < 0.95 * np.percentile(skin, 95)


@pytest.mark.skipif(not PEOPLE.is_dir(), reason="the shared pictures are not on this machine")
@pytest.mark.parametrize("amount", [0.06, 0.10, 0.14, 0.24])
def test_einsteins_teeth_are_told_apart(amount: float) -> None:
    """Where his front teeth meet, the frame is darker than on the teeth beside by an eighth on average."""
    pixels = load_photo(PEOPLE / MOUSTACHES[0]).pixels
    portrait, state = Portrait(load_photo(pixels), face_of(pixels)), opened(amount)
    frame, (axes,) = (portrait.render(state) @ GREY).astype(np.float32), portrait._mouth_axes(state, 0.0)
    u = np.linspace(-0.16, 0.16, 161)  # IOD, every .002
    rows = []
    for v in np.linspace(-0.02, 0.0, 5):
        x, y = (axes @ np.stack([u, np.full_like(u, v), np.ones_like(u)])).astype(np.float32)
        rows.append(cv2.remap(frame, x[None], y[None], cv2.INTER_LINEAR)[0])
    row = np.mean(rows, axis=0)
    dips = [1 - row[76:85].min() / min(row[88:108].max(), row[53:73].max())]  # between the two front teeth
    dips += [1 - side[120:134].min() / min(side[95:122].max(), side[134:150].max()) for side in (row, row[::-1])]
    assert np.mean(dips) > 0.125


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the shared cases are not on this machine")
def test_the_reported_dark_photo() -> None:
    pixels = load_photo(SHARED / "cases" / "dark18.png").pixels
    inside, skin = (values @ GREY for values in inside_and_skin(pixels, face_of(pixels)))
    assert np.median(inside) < np.median(skin)
    assert np.percentile(inside, 98) <= np.percentile(skin, 95) + 2


@pytest.mark.parametrize("name", ["unknown_grigori_rasputin_1916", "raphael_la_donna_velata_1516"])
def test_teeth_in_the_shade_of_a_face_lit_from_one_side_do_not_gleam(name: str) -> None:
    """Rasputin's were at lightness 77 in a beard of 41, la Velata's at 72 beside a cheek of 66 in the shade."""
    photo = load_photo(EXAMPLES / "portraits" / f"{name}.jpg", 640)
    teeth = Portrait(photo, face_of(photo.pixels))._mouth._look.teeth
    assert float(to_lab(teeth[None])[0, 0]) < 65
