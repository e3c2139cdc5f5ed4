"""Several faces in one frame: the same pixels as whole pictures laid over each other, at the cost of their boxes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES
from PIL import Image

from portrait_anim import Animator
from portrait_anim.face.state import FaceState
from portrait_anim.motion.action_units import ActionUnits
from portrait_anim.motion.emotion import emotion_activations
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.space import Motion
from portrait_anim.render.group import Group

pytestmark = pytest.mark.media

SIZE = 200  # px, of a pasted face
PLACES = {
    "apart": ((460, 220), (0, 0), (300, 0)),  # picture, corners of the pasted faces
    "overlapping": ((300, 240), (0, 0), (100, 20)),
    "three in a row": ((420, 220), (0, 0), (100, 10), (210, 0)),
    "at the edge": ((420, 200), (-38, -20), (280, 12)),
}


def picture(place: str) -> npt.NDArray[np.uint8]:
    face = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").crop((140, 10, 310, 266)).resize((133, SIZE))
    size, *corners = PLACES[place]
    image = Image.new("RGB", size, (70, 80, 90))
    for corner in corners:
        image.paste(face, corner)
    return np.asarray(image)


@pytest.fixture(scope="module")
def states() -> list[FaceState]:
    """Speech, emotions, blinks and wide turns of the head."""
    model, rng = MotionModel.from_weights(), np.random.default_rng(0)
    motion = Motion.rest(12)
    motion.mouth[:] = 0.25 * rng.standard_normal(motion.mouth.shape)
    motion.rotation[:] = rng.uniform(-0.15, 0.15, (12, 3))
    motion.shift[:, :2] = rng.uniform(-0.06, 0.06, (12, 2))
    motion.gaze[:] = rng.uniform(-0.1, 0.1, (12, 2))
    out = [model.space.state(motion, i) for i in range(12)]
    fields = ActionUnits.from_weights().fields
    for i, label in enumerate(("surprised", "angry", "happy")):
        moved = np.tensordot(emotion_activations(label, 1.2), fields, 1).astype(np.float32)
        out[i] = replace(out[i], displacement=out[i].displacement + moved)
    for i in range(0, 12, 2):
        out[i] = replace(out[i], blink=np.array([i / 11, 1.0], np.float32))
    return [*out, FaceState.rest(), replace(FaceState.rest(), blink=np.ones(2, np.float32))]


def drawn(group: Group, states: list[FaceState]) -> npt.NDArray[np.uint8]:
    """The frame of a moment; nothing differs from the photo outside the box that is said to have changed."""
    frame = group.still.copy()
    x0, y0, x1, y1 = group.draw(states, 0.0, frame)
    inside = frame[y0:y1, x0:x1].copy()
    frame[y0:y1, x0:x1] = group.still[y0:y1, x0:x1]
    np.testing.assert_array_equal(frame, group.still)
    frame[y0:y1, x0:x1] = inside
    return frame


def laid_over(group: Group, states: list[FaceState]) -> npt.NDArray[np.uint8]:
    """Whole pictures over each other: each changes what differs from the photo."""
    frame = group.photo.pixels.copy()
    for portrait, seen, state in zip(group.portraits, group.seen, states, strict=True):
        moved = portrait.render(seen.shown(state))
        changed = (moved != group.photo.pixels).any(axis=2)
        frame[changed] = moved[changed]
    return frame


@pytest.mark.parametrize("place", PLACES)
def test_frames_are_whole_pictures_laid_over_each_other(place: str, states: list[FaceState]) -> None:
    animator = Animator(picture(place), face="all")
    assert len(animator.faces) == len(PLACES[place]) - 1
    group = Group(animator.photo, animator.faces)
    both = 0
    for i in range(len(states)):
        chosen = [states[(i + 5 * k) % len(states)] for k in range(len(animator.faces))]
        frame = drawn(group, chosen)
        np.testing.assert_array_equal(frame, laid_over(group, chosen))
        alone = [
            (portrait.render(seen.shown(state)) != group.photo.pixels).any(axis=2)
            for portrait, seen, state in zip(group.portraits, group.seen, chosen, strict=True)
        ]
        both += int((alone[0] & alone[1]).sum())
    assert (both > 0) == (place in ("overlapping", "three in a row"))


@pytest.mark.parametrize("place", PLACES)
def test_nothing_changes_outside_a_face_s_box(place: str, states: list[FaceState]) -> None:
    animator = Animator(picture(place), face="all")
    for portrait in Group(animator.photo, animator.faces).portraits:
        outside = np.ones(animator.photo.pixels.shape[:2], bool)
        x0, y0, x1, y1 = portrait.box
        outside[y0:y1, x0:x1] = False
        for state in states:
            np.testing.assert_array_equal(portrait.render(state)[outside], animator.photo.pixels[outside])


def test_a_further_face_costs_no_further_picture(states: list[FaceState]) -> None:
    large = np.full((1600, 2400, 3), 80, np.uint8)
    for i, small in enumerate((picture("overlapping"), picture("apart"))):
        large[: small.shape[0], 600 * i : 600 * i + small.shape[1]] = small
    animator = Animator(large, face="all")
    assert len(animator.faces) == 4
    group = Group(animator.photo, animator.faces)
    for chosen in ([FaceState.rest()] * 4, states[:4]):
        group.draw(chosen, 0.0, group.still.copy())  # compiles
        tracemalloc.start()
        group.draw(chosen, 0.0, group.still.copy())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.25 * large.nbytes  # the frame itself and boxes
