"""The table of emotions: what it measures, counted on made-up faces and found in a real film."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from portrait_anim.errors import DataError
from portrait_anim.evaluation.emotions import (
    FER_LABELS,
    MEASURES,
    PEOPLE,
    Seen,
    emotion_table,
    films,
    people,
    unclear,
)
from portrait_anim.face.mesh import topology
from portrait_anim.motion.action_units import drawn_units
from portrait_anim.motion.model import MotionModel

pytestmark = pytest.mark.media

PHOTO = ROOT / "examples" / "portraits" / "sargent_lady_agnew_1892.jpg"
LABELS = (*PEOPLE, "neutral", "static photo")


def nothing(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return np.full(len(FER_LABELS), 1 / len(FER_LABELS))


@pytest.mark.parametrize(
    ("unit", "measure", "sign"),
    [("AU1", "inner brow", 1), ("AU2", "outer brow", 1), ("AU4", "middle brow", -1), ("AU5", "eye opening", 1),
     ("AU7", "eye opening", -1), ("AU12", "corner height", 1), ("AU12", "mouth width", 1),
     ("AU15", "corner height", -1), ("AU20", "mouth width", 1), ("AU26", "lips apart", 1),
     ("AU10", "upper lip", 1), ("AU9", "nostrils", 1)],
)  # fmt: skip
def test_measures_see_the_units(unit: str, measure: str, sign: int) -> None:
    rest = topology().vertices.astype(np.float64)
    assert sign * (MEASURES[measure](rest + drawn_units()[unit]) - MEASURES[measure](rest)) > 0.01


def made(share: float, gain: float) -> dict[str, Seen]:
    """A face that shows every emotion by ``share`` of people's average and ``gain`` in the classifier."""
    out = {}
    for label in LABELS:
        geometry, labels = np.full(len(MEASURES), 0.3), np.full(len(FER_LABELS), 0.1)
        for name, value in PEOPLE.get(label, {}).items():
            geometry[list(MEASURES).index(name)] += share * value
        if label in PEOPLE:
            labels[FER_LABELS.index(label)] += gain
        out[label] = Seen(geometry, labels)
    return out


def test_the_table_counts() -> None:
    filmed = {"clear": made(0.8, 0.2), "weak": made(0.3, -0.05)}
    real = {
        label: [Seen(np.zeros(len(MEASURES)), np.eye(len(FER_LABELS))[FER_LABELS.index(label)])] for label in PEOPLE
    }
    real["neutral"] = [Seen(np.zeros(len(MEASURES)), np.eye(len(FER_LABELS))[-1])]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in emotion_table(filmed, real)][2:]
    assert [row[0] for row in rows] == list(PEOPLE)
    for row in rows:
        assert row[2:] == ["1/2", "+0.075", "1/2", "1/2", "+0.000", "+1.000", "1.00"]
        assert all(part.endswith(" 0.55") for part in row[1].split(", "))
    short = list(unclear(filmed))
    assert len(short) == len(PEOPLE)
    assert all(", weak: " in line for line in short)


def test_a_film_shows_more_than_the_photo() -> None:
    model = MotionModel.from_weights()
    seen = films(PHOTO, model, model.analyse(np.zeros(24_000, np.float32)), nothing)
    assert set(seen) == set(LABELS)
    width, apart = (list(MEASURES).index(name) for name in ("mouth width", "lips apart"))
    assert seen["happy"].geometry[width] > seen["neutral"].geometry[width] + 0.05
    assert seen["surprised"].geometry[apart] > seen["neutral"].geometry[apart] + 0.05
    np.testing.assert_allclose(seen["neutral"].geometry, seen["static photo"].geometry, atol=0.02)


def test_stills_need_their_index(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no index\.csv"):
        people(tmp_path, nothing)
    (tmp_path / "index.csv").write_text("file,emotion\n" + f"{PHOTO},neutral\n{PHOTO},contempt\n")
    found = people(tmp_path, nothing)
    assert {label: len(seen) for label, seen in found.items() if seen} == {"neutral": 1}
