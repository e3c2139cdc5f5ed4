"""Expressions that an actor holds all through a video: what is added to a photo, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim import Animator
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.action_units import TRACKS, ActionUnits, drawn_units
from portrait_anim.motion.held import EXPRESSIONS, HIDDEN, MOST, expression_scores, held, lacking
from portrait_anim.motion.performance import analyse

pytestmark = pytest.mark.media

PAINTING = EXAMPLES / "portraits" / "sargent_lady_agnew_1892.jpg"
NAMES = [expression.score for expression in EXPRESSIONS]


def shape_of(name: str) -> np.ndarray:
    face = shared_landmarker().detect(load_photo(EXAMPLES / name).pixels)[0]
    return normalise(face.landmarks)[0]


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    """A face that holds nothing."""
    return shape_of("portraits/sargent_lady_agnew_1892.jpg")


@pytest.fixture(scope="module", params=["default", "open"])
def fields(request: pytest.FixtureRequest) -> np.ndarray:
    return ActionUnits.from_weights(request.param).fields


def shown(shape: np.ndarray, fields: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a trial whose tracker sees all."""
    return lambda displacement: (shape + displacement).astype(np.float32)


def units(activations: np.ndarray) -> set[str]:
    np.testing.assert_array_equal(activations[..., ::2], activations[..., 1::2])  # both sides alike
    return {track.split("_")[0] for track, level in zip(TRACKS, activations, strict=True) if level > 0.02}


ACTED = {"mouthSmile": {"AU6": 0.7, "AU12": 1.2}, "browDown": {"AU4": 1.3}, "browInnerUp": {"AU1": 1.2, "AU2": 1.2}}


def acting(name: str) -> np.ndarray:
    """Return a neutral face that holds an expression: another person's."""
    person = shape_of("portraits/raphael_la_donna_velata_1516.jpg")
    return person + sum(level * drawn_units()[unit] for unit, level in ACTED[name].items())


@pytest.mark.parametrize(
    ("name", "by"), [("mouthSmile", {"AU12"}), ("browDown", {"AU4"}), ("browInnerUp", {"AU1", "AU2"})]
)
def test_what_is_held_comes_over_by_half_of_the_way_or_more(
    still: np.ndarray, fields: np.ndarray, name: str, by: set[str]
) -> None:
    actor = acting(name)
    level = lacking(actor, still, fields, shown(still, fields))
    assert by <= units(level)
    assert level.max() <= MOST
    k = NAMES.index(name)
    theirs, own = expression_scores(actor)[k], expression_scores(still)[k]
    film = expression_scores(still + np.tensordot(level, fields, axes=1))[k]
    assert theirs - own > 0.4
    assert 0.5 <= (film - own) / (theirs - own) <= 1.1


def test_a_face_at_rest_adds_nothing(still: np.ndarray, fields: np.ndarray) -> None:
    for name in ("raphael_la_donna_velata_1516", "moller_gogol_1841"):
        assert not units(lacking(shape_of(f"portraits/{name}.jpg"), still, fields))


def test_the_photo_keeps_what_it_shows(fields: np.ndarray) -> None:
    smiling = shape_of("astronaut.jpg")
    assert not units(lacking(smiling, smiling, fields))
    assert "AU12" not in units(lacking(acting("browDown"), smiling, fields))
    assert (lacking(acting("browDown"), smiling, fields) >= 0).all()  # its smile is not taken away
    less = lacking(acting("mouthSmile"), smiling, fields)[TRACKS.index("AU12_image_left")]
    assert less < 0.5 * lacking(acting("mouthSmile"), shape_of("portraits/moller_gogol_1841.jpg"), fields).max()


def test_more_is_shown_where_a_tracker_sees_less_and_nothing_where_it_sees_nothing(
    still: np.ndarray, fields: np.ndarray
) -> None:
    actor = shape_of("portraits/raphael_la_donna_velata_1516.jpg") + 0.5 * drawn_units()["AU12"]
    whole = lacking(actor, still, fields, lambda moved: still + moved)
    half = lacking(actor, still, fields, lambda moved: still + 0.6 * moved)
    assert 0 < 1.2 * whole.max() < half.max() <= MOST
    assert HIDDEN > 0.1
    assert not lacking(actor, still, fields, lambda moved: still + 0.1 * moved).any()
    lost = lacking(actor, still, fields, lambda _: None)
    np.testing.assert_array_equal(lost, lacking(actor, still, fields))


def test_speaking_is_no_held_expression(still: np.ndarray, fields: np.ndarray) -> None:
    person = shape_of("portraits/raphael_la_donna_velata_1516.jpg")
    talk = (1 - np.cos(np.arange(75) / 3)) / 2
    wide = np.clip(np.sin(np.arange(75) / 5), 0, 1)
    clip = (
        person
        + talk[:, None, None] * drawn_units()["AU26"]
        + 0.5 * (talk * wide)[:, None, None] * (drawn_units()["AU20"])
    )
    origin = np.array([128.0, 120.0, 0.0])
    performance = analyse(np.stack([Pose(np.eye(3), 90.0, origin).to_image(points) for points in clip]))
    assert np.abs(held(performance, still, fields)).max() < 0.02


def test_each_shot_holds_its_own(still: np.ndarray, fields: np.ndarray) -> None:
    rest = shape_of("portraits/raphael_la_donna_velata_1516.jpg")
    clip = np.concatenate([np.repeat(rest[None], 60, 0), np.repeat(acting("mouthSmile")[None], 60, 0)])
    pose = Pose(np.eye(3), 90.0, np.array([128.0, 120.0, 0.0]))
    performance = analyse(np.stack([pose.to_image(points) for points in clip]), cuts=[60])
    level = held(performance, still, fields)[:, TRACKS.index("AU12_image_left")]
    assert level[:50].max() < 0.05
    assert level[70:].min() > 0.5
    assert np.abs(np.diff(level)).max() < 0.25  # no jump
    assert len(performance.lasting(150).shot) == 150


def test_the_photo_itself_is_tried() -> None:
    animator = Animator(PAINTING, max_size=256)
    target = animator._targets[0]
    assert target.trial is not None
    before, after = (target.trial(level * drawn_units()["AU12"].astype(np.float32)) for level in (0.0, 1.0))
    corner = (61, 291)
    assert (after[corner, 1] - before[corner, 1]).min() > 0.03
    np.testing.assert_allclose(before, target.shape, atol=0.06)
