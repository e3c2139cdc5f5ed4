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
from portrait_anim.render.outline import PERSON, on_grid
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.straight import straight_edged
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

POSTER = ROOT.parent / "shared" / "cases" / "poster.jpg"
PEOPLE = [EXAMPLES / "astronaut.jpg", *sorted((EXAMPLES / "portraits").glob("*.jpg"))]
LISA, GOGOL, VELATA = (EXAMPLES / "portraits" / f"{name}.jpg" for name in (
    "leonardo_mona_lisa_1503", "moller_gogol_1841", "raphael_la_donna_velata_1516",
))  # fmt: skip
LANDMARKER = FacemeshLandmarker()
TURNS = [(0, 0.12, 0), (0, -0.12, 0), (0.1, 0, 0), (-0.1, 0, 0), (0, 0, 0.08), (0, 0, -0.08)]  # radians
Pixels = np.ndarray


def face_of(pixels: Pixels) -> Face:
    return LANDMARKER.detect(pixels)[0]


def iod_of(face: Face) -> float:
    return float(np.linalg.norm(np.subtract(*face.landmarks[[33, 263], :2])))


def turned() -> list[FaceState]:
    return [replace(FaceState.rest(), rotation=np.array(turn, np.float32)) for turn in TURNS]


def flows(portrait: Portrait) -> list[Pixels]:
    """For each turn, how far every pixel of the frame comes from its place, (H, W) px."""
    found = []
    for state in turned():
        moved = portrait._warp.map(portrait._head.place(state))
        assert moved is not None
        x0, y0, mapping = moved
        height, width = mapping.shape[:2]
        x, y = np.meshgrid(np.arange(x0, x0 + width), np.arange(y0, y0 + height))
        flow = np.zeros(portrait.photo.pixels.shape[:2])
        flow[y0 : y0 + height, x0 : x0 + width] = np.hypot(mapping[..., 0] - x, mapping[..., 1] - y)
        found.append(flow)
    return found


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
    x, y = face.landmarks[[1, 4, 13, 14, 33, 61, 263, 291], :2].astype(int).T  # nose, lips, eyes
    for state, still, moving in zip(turned(), flows(held), flows(free), strict=True):
        assert still[outline].max() < 1.0
        assert still[outline].mean() < 0.05
        np.testing.assert_allclose(still[y, x], moving[y, x], atol=0.02 * iod_of(face))  # the face moves as before
        change = np.abs(held.render(state).astype(int) - pixels)[outline]
        assert change.mean() < 0.3
    assert np.mean([flow[outline].max() for flow in flows(free)]) > 0.02 * iod_of(
        face
    )  # without holding it would swing


@pytest.mark.skipif(not POSTER.is_file(), reason="the shared cases are not on this machine")
def test_the_reported_poster_stays_and_hair_moves() -> None:
    photo = load_photo(POSTER)
    face = face_of(photo.pixels)
    portrait = Portrait(photo, face)
    outline = np.zeros(photo.pixels.shape[:2], np.uint8)
    cv2.rectangle(outline, (560, 600), (859, 899), 1, 3)
    hair = np.zeros_like(outline)
    hair[130:200, 350:550] = 1
    for flow in flows(portrait):
        assert flow[outline > 0].max() < 0.5  # up to 14.6 px without
        assert flow[hair > 0].mean() > 0.02 * iod_of(face)


def test_nothing_tears_before_a_card() -> None:
    plain = load_photo(LISA).pixels
    face = face_of(plain)
    pixels, outline = with_card(plain, face, cards()["white card"], 1)
    beside = cv2.dilate(outline.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0  # there the head goes behind it
    portrait = Portrait(load_photo(pixels), face)
    for state in turned():
        moved = portrait._warp.map(portrait._head.place(state))
        assert moved is not None
        x0, y0, mapping = moved
        clear = ~beside[y0 : y0 + mapping.shape[0], x0 : x0 + mapping.shape[1]]
        for axis in (0, 1):
            stretch = np.diff(mapping[..., 1 - axis], axis=axis)  # 1 where nothing is stretched
            stretch = stretch[clear[1:] if axis == 0 else clear[:, 1:]]
            assert np.percentile(stretch, 0.1) > 0  # nothing is seen twice
            assert stretch.max() < 4.5


def test_a_bar_across_the_picture_is_held() -> None:
    pixels = load_photo(LISA).pixels.copy()
    face = face_of(pixels)
    top = round(face.landmarks[152, 1] + 0.45 * iod_of(face))
    pixels[top : top + round(0.5 * iod_of(face))] = (225, 225, 240)  # a caption
    portrait = Portrait(load_photo(pixels), face)
    for flow in flows(portrait):
        assert flow[top : top + round(0.5 * iod_of(face))].max() < 1.0


@pytest.mark.parametrize("path", PEOPLE, ids=lambda path: path.stem)
def test_hair_and_clothes_are_no_cards(path: Path) -> None:
    pixels = load_photo(path).pixels
    face = face_of(pixels)
    matte, to_matte = person_matte(pixels, face)
    held = straight_edged(pixels, matte > PERSON, to_matte, face.landmarks, iod_of(face))
    assert not (held & (matte > PERSON)).any()


def test_a_picture_behind_the_hair_does_not_hold_the_hair() -> None:
    pixels = load_photo(LISA).pixels
    face = face_of(pixels)
    iod = iod_of(face)
    matte, to_matte = person_matte(pixels, face)
    height, width = pixels.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    person = on_grid(matte, to_matte, x, y)[..., None]
    eyes = face.landmarks[[33, 263], :2].mean(axis=0)
    behind = pixels.copy()
    left, top = round(eyes[0] + 0.6 * iod), round(eyes[1] - 0.9 * iod)
    cv2.rectangle(behind, (left, top), (left + round(1.6 * iod), top + round(1.4 * iod)), (230, 225, 215), -1)
    scene = np.rint(pixels * person + behind * (1 - person)).astype(np.uint8)
    assert np.abs(scene.astype(int) - pixels).max() > 50
    held = straight_edged(scene, matte > PERSON, to_matte, face.landmarks, iod)
    assert not (held & (matte > 0.9)).any()
