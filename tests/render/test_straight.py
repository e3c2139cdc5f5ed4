"""Straight edges beside the head stay where they are while face and hair move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT

from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.matte import person_matte
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.render.layers import PERSON, _in_front
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.straight import straight_edged
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

POSTER = ROOT.parent / "shared" / "cases" / "poster.jpg"
PEOPLE = [EXAMPLES / "astronaut.jpg", *sorted((EXAMPLES / "portraits").glob("*.jpg"))]
LISA, GOGOL, VELATA = (EXAMPLES / "portraits" / f"{name}.jpg" for name in (
    "leonardo_mona_lisa_1503", "moller_gogol_1841", "raphael_la_donna_velata_1516",
))  # fmt: skip
BOARDS = EXAMPLES / "portraits" / "isidora_master_isidora_100.jpg"  # painted beside the head
LANDMARKER = FacemeshLandmarker()
TURNS = [(0, 0.12, 0), (0, -0.12, 0), (0.1, 0, 0), (-0.1, 0, 0), (0, 0, 0.08), (0, 0, -0.08)]  # radians
Pixels = np.ndarray


def face_of(pixels: Pixels) -> Face:
    return LANDMARKER.detect(pixels)[0]


def iod_of(face: Face) -> float:
    return float(np.linalg.norm(np.subtract(*face.landmarks[[33, 263], :2])))


def turned() -> list[FaceState]:
    return [replace(FaceState.rest(), rotation=np.array(turn, np.float32)) for turn in TURNS]


def changes(portrait: Portrait) -> list[Pixels]:
    """For each turn, by how much every pixel of the frame differs from the photo, (H, W) grey levels."""
    photo = portrait.photo.pixels.astype(int)
    return [np.abs(portrait.render(state).astype(int) - photo).max(axis=2) for state in turned()]


def with_card(pixels: Pixels, face: Face, card: Pixels, side: int) -> tuple[Pixels, Pixels]:
    """The photo with a card of 1.3 IOD before the shoulder, .75 IOD beside the chin; the card's outline as a mask."""
    iod, chin = iod_of(face), face.landmarks[152, :2]
    size = round(1.3 * iod)
    x, y = round(chin[0] + (0.75 * iod if side > 0 else -0.75 * iod - size)), round(chin[1] + 0.1 * iod)
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + size), min(height, y + size)
    out = pixels.copy()
    out[y0:y1, x0:x1] = cv2.resize(card, (size, size), interpolation=cv2.INTER_AREA)[y0 - y : y1 - y, x0 - x : x1 - x]
    outline = np.zeros((height, width), np.uint8)
    cv2.rectangle(outline, (x0, y0), (x1 - 1, y1 - 1), 1, 3)
    return out, outline > 0


def cards() -> dict[str, Pixels]:
    book = np.full((200, 200, 3), (40, 70, 140), np.uint8)
    book[15:-15, 15:-15] = (60, 90, 160)
    portrait = np.ascontiguousarray(load_photo(EXAMPLES / "astronaut.jpg").pixels[:330, 80:410])
    return {"picture of a person": portrait, "white card": np.full((200, 200, 3), 235, np.uint8), "book": book}


@pytest.mark.parametrize(
    ("path", "side", "card"),
    [
        (LISA, 1, "picture of a person"),
        (LISA, 1, "white card"),
        (LISA, 1, "book"),
        (GOGOL, -1, "picture of a person"),
        (GOGOL, -1, "white card"),
        (GOGOL, -1, "book"),
        (VELATA, 1, "white card"),
        (VELATA, 1, "book"),
    ],
    ids=lambda value: getattr(value, "stem", str(value)),
)
def test_a_card_before_the_shoulder_stays(path: Path, side: int, card: str) -> None:
    plain = load_photo(path).pixels
    face = face_of(plain)
    pixels, outline = with_card(plain, face, cards()[card], side)
    matte, to_matte = person_matte(pixels, face)
    found = straight_edged(pixels, matte > PERSON, to_matte, face.landmarks, iod_of(face))
    rows, columns = (np.ptp(place) + 1 for place in np.nonzero(outline))
    of_person = (found & (matte > PERSON)).sum()
    assert of_person < 1.5 * rows * columns * to_matte[0, 0] ** 2  # the card and not much of the clothes
    held, free = Portrait(load_photo(pixels), face), Portrait(load_photo(plain), face)
    for still in changes(held):
        assert still[outline].mean() < 0.3
        assert (still[found_in(found, to_matte, pixels)] > 3).mean() < 0.01
    x, y = face.landmarks[[1, 4, 13, 14, 33, 61, 263, 291], :2].astype(int).T  # nose, lips, eyes
    for state in turned():  # the face moves as before
        assert np.abs(held.render(state).astype(int) - free.render(state))[y, x].mean() < 2.0
    assert np.mean([moving[outline].mean() for moving in changes(free)]) > 0.5  # without holding it would swing


def found_in(found: Pixels, to_matte: Pixels, pixels: Pixels) -> Pixels:
    """A mask of the matte's size as one of the photo's, (H, W)."""
    size = pixels.shape[1::-1]
    return cv2.warpAffine(found.astype(np.uint8), to_matte, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0


@pytest.mark.skipif(not POSTER.is_file(), reason="the shared cases are not on this machine")
def test_the_reported_poster_stays_and_hair_moves() -> None:
    photo = load_photo(POSTER)
    face = face_of(photo.pixels)
    portrait = Portrait(photo, face)
    outline = np.zeros(photo.pixels.shape[:2], np.uint8)
    cv2.rectangle(outline, (560, 600), (859, 899), 1, 3)
    hair = np.zeros_like(outline)
    hair[130:200, 350:550] = 1
    for change in changes(portrait):
        assert (change[outline > 0] > 3).mean() < 0.01
        assert change[hair > 0].mean() > 2.0


@pytest.mark.parametrize("side", [1, -1])
def test_nothing_tears_before_a_card(side: int) -> None:
    """The clothes go on behind it: beside its edge neither a second edge nor the wall is seen."""
    plain = load_photo(GOGOL).pixels
    face = face_of(plain)
    pixels, outline = with_card(plain, face, cards()["white card"], side)
    around = cv2.dilate(outline.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    inside = np.zeros_like(outline)
    rows, columns = np.nonzero(outline)
    inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    beside = cv2.erode((around & ~inside).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    portrait = Portrait(load_photo(pixels), face)
    for state in turned():
        brighter = portrait.render(state).astype(int).max(axis=2) - pixels.max(axis=2)
        assert (brighter[beside] > 60).mean() < 0.01  # the card has 235, the clothes 15


def test_a_bar_across_the_picture_is_held() -> None:
    pixels = load_photo(LISA).pixels.copy()
    face = face_of(pixels)
    top = round(face.landmarks[152, 1] + 0.45 * iod_of(face))
    bar = slice(top, top + round(0.5 * iod_of(face)))
    pixels[bar] = (225, 225, 240)  # a caption
    portrait = Portrait(load_photo(pixels), face)
    for change in changes(portrait):
        assert (change[bar] > 3).mean() < 0.01


@pytest.mark.parametrize("path", [path for path in PEOPLE if path != BOARDS], ids=lambda path: path.stem)
def test_hair_and_clothes_are_no_cards(path: Path) -> None:
    pixels = load_photo(path).pixels
    face = face_of(pixels)
    matte, to_matte = person_matte(pixels, face)
    held = straight_edged(pixels, matte > PERSON, to_matte, face.landmarks, iod_of(face))
    assert not _in_front(held, matte > PERSON).any()


def test_boards_of_a_panel_are_held() -> None:
    """The matte takes two thirds of them for the person."""
    pixels = load_photo(BOARDS).pixels
    face = face_of(pixels)
    matte, to_matte = person_matte(pixels, face)
    held = straight_edged(pixels, matte > PERSON, to_matte, face.landmarks, iod_of(face))
    assert _in_front(held, matte > PERSON).sum() > 5000


def test_a_picture_behind_the_hair_does_not_hold_the_hair() -> None:
    pixels = load_photo(LISA).pixels
    face = face_of(pixels)
    iod = iod_of(face)
    matte, to_matte = person_matte(pixels, face)
    person = cv2.warpAffine(
        matte, to_matte, pixels.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )[..., None]  # fmt: skip
    eyes = face.landmarks[[33, 263], :2].mean(axis=0)
    behind = pixels.copy()
    left, top = round(eyes[0] + 0.6 * iod), round(eyes[1] - 0.9 * iod)
    cv2.rectangle(behind, (left, top), (left + round(1.6 * iod), top + round(1.4 * iod)), (230, 225, 215), -1)
    scene = np.rint(pixels * person + behind * (1 - person)).astype(np.uint8)
    assert np.abs(scene.astype(int) - pixels).max() > 50
    held = straight_edged(scene, matte > PERSON, to_matte, face.landmarks, iod)
    assert not (held & (matte > 0.9)).any()
