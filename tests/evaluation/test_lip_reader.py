"""The lip-reader: GRID's grammar, learning to read made-up mouths, what is kept, the table and the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch import nn

from portrait_anim.config import FEATURES_PER_FRAME, N_LANDMARKS, SAMPLES_PER_FRAME
from portrait_anim.evaluation import lip_reader
from portrait_anim.evaluation.lip_reader import (
    N_FRAMES,
    SLOTS,
    LipReader,
    ReaderConfig,
    augment,
    cached_reader,
    sentence_of,
    train_reader,
    words_of,
)  # fmt: skip
from portrait_anim.evaluation.reading import CONDITIONS, Reading, format_readings, grid_clips, others, read_clips
from portrait_anim.motion.space import MotionSpace, lower_face_weight
from portrait_anim.training.data.layouts import ClipInfo
from portrait_anim.training.data.prepare import Clip

pytestmark = pytest.mark.training

N_COMPONENTS = 4
N_TRAIN = 192
CONFIG = ReaderConfig(N_COMPONENTS, width=32, dropout=0.1, epochs=12, batch_size=16, learning_rate=6e-3)


def names(count: int, seed: int = 0) -> list[str]:
    """Different clips, of few letters so that little data is enough."""
    rng = np.random.default_rng(seed)
    keys = [list(words)[:4] for words in SLOTS.values()]
    drawn = {"".join(rng.choice(slot) for slot in keys): None for _ in range(2 * count)}
    return [f"grid_s1__{name}" for name in list(drawn)[:count]]


def mouth_of(name: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A mouth whose 300 ms a word are the word's own, at times that vary a little."""
    sentence = sentence_of(name)
    assert sentence is not None
    out = 0.02 * rng.standard_normal((N_FRAMES, N_COMPONENTS))
    for slot, word in enumerate(sentence):
        shape = np.random.default_rng((slot, word)).standard_normal((9, N_COMPONENTS))
        start = 8 + 10 * slot + int(rng.integers(-1, 2))
        out[start : start + 9] += shape
    return (0.1 * gaussian_filter1d(out, 1, axis=0)).astype(np.float32)


@pytest.fixture(scope="module")
def mouths() -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return {name: mouth_of(name, rng) for name in names(N_TRAIN + 40)}


@pytest.fixture(scope="module")
def reader(mouths: dict[str, npt.NDArray[np.float32]]) -> LipReader:
    known = dict(list(mouths.items())[:N_TRAIN])
    epochs: list[int] = []
    sentences = [sentence_of(name) or () for name in known]
    net = train_reader(CONFIG, list(known.values()), sentences, lambda done, total, loss: epochs.append(done))
    assert epochs == list(range(1, CONFIG.epochs + 1))
    return net


def test_sentences_are_in_the_names() -> None:
    assert words_of(sentence_of("grid_s1__swiz3p") or ()) == ["set", "white", "in", "z", "three", "please"]
    assert sentence_of("s1/video/lgbf8n") == sentence_of("lgbf8n")
    for name in ("ann_1", "grid_s1__bbaw2n", "grid_s1__bbaf2nn", "xbbaf2n", "bbaf0n"):  # w is no letter of GRID
        assert sentence_of(name) is None
    assert sum(len(words) for words in SLOTS.values()) == 51


def test_names_say_what_the_word_list_says(shared_data: Path) -> None:
    spoken: dict[str, list[str]] = {}
    with (shared_data / "grid_s1" / "words.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["word"] not in ("sil", "sp"):
                spoken.setdefault(row["clip"], []).append(row["word"])
    assert len(spoken) >= 900
    for clip, words in spoken.items():
        assert words_of(sentence_of(f"grid_s1__{clip}") or ()) == words


def test_reads_sentences_it_never_saw(reader: LipReader, mouths: dict[str, npt.NDArray[np.float32]]) -> None:
    held_out = dict(list(mouths.items())[N_TRAIN:])
    said = np.array([sentence_of(name) for name in held_out])
    wrong = (reader.read(list(held_out.values())) != said).mean()
    empty = (reader.read([np.zeros_like(mouth) for mouth in held_out.values()]) != said).mean()
    assert wrong < 0.15
    assert empty > 0.5
    short = [mouth[:70] for mouth in held_out.values()]
    assert (reader.read(short) != said).mean() < 0.2


def test_training_is_seeded(mouths: dict[str, npt.NDArray[np.float32]]) -> None:
    some = dict(list(mouths.items())[:32])
    config = replace(CONFIG, epochs=1)
    sentences = [sentence_of(name) or () for name in some]
    before = torch.random.get_rng_state()
    first, second = (train_reader(config, list(some.values()), sentences) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_augmentation_keeps_shape_and_varies() -> None:
    rng = np.random.default_rng(0)
    motion = torch.randn(5, 3, N_FRAMES)
    out = augment(motion, rng)
    assert out.shape == motion.shape
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert not torch.equal(out, augment(motion, np.random.default_rng(1)))
    assert torch.equal(out, augment(motion, np.random.default_rng(0)))


def flat_space() -> MotionSpace:
    """A basis whose coefficients are single points' heights."""
    basis = np.zeros((N_COMPONENTS, N_LANDMARKS, 3), np.float32)
    weight = lower_face_weight()
    points = np.flatnonzero(weight == 1)[:N_COMPONENTS]
    basis[np.arange(N_COMPONENTS), points, 1] = 1
    return MotionSpace(basis)


class Told(nn.Module):
    """A "mouth net" whose features are the mouth."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, :, ::FEATURES_PER_FRAME]


def clip_of(name: str, mouth: npt.NDArray[np.float32], split: str) -> Clip:
    space = flat_space()
    rng = np.random.default_rng(2)
    tensors = {
        "displacement": space.decode(mouth).astype(np.float16),
        "features": np.repeat(mouth.T, FEATURES_PER_FRAME, axis=1).astype(np.float16),
        "waveform": (3000 * rng.standard_normal(N_FRAMES * SAMPLES_PER_FRAME)).astype(np.int16),
    }
    return Clip(ClipInfo(name, f"/nowhere/{name}.mp4", "grid_s1", split, "en", "CC BY 4.0", 0), tensors)


def test_the_table(
    mouths: dict[str, npt.NDArray[np.float32]], reader: LipReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clip_of(name, mouth, "train" if i < N_TRAIN else "val") for i, (name, mouth) in enumerate(mouths.items())]
    stranger = replace(clips[0].info, person="ann", id="ann_1")
    train, val = [*clips[:N_TRAIN], Clip(stranger, clips[0].tensors)], clips[N_TRAIN:]
    assert grid_clips(train) == clips[:N_TRAIN]
    trained_on: list[int] = []

    def trained(config: ReaderConfig, motion: list[object], *_: object) -> LipReader:
        trained_on.append(len(motion))
        return reader

    monkeypatch.setattr(lip_reader, "train_reader", trained)
    arguments = (Told(), None, flat_space(), train, val, tmp_path / "readers", CONFIG)
    readings = read_clips(*arguments)  # type: ignore[arg-type]
    errors = {reading.condition: reading.word_error for reading in readings}
    assert tuple(errors) == CONDITIONS
    assert errors["ground truth"] < 0.15
    assert errors["model"] < 0.15
    assert min(errors["shuffled audio"], errors["loudness only"], errors["static photo"]) > 0.5
    lines = format_readings(readings).splitlines()
    assert lines[0].endswith("(40 clips)")
    assert len(lines) == 4 + len(CONDITIONS)
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert json.loads(json.dumps(readings[0].to_dict()))["clips"] == 40

    again = read_clips(*arguments)  # type: ignore[arg-type]
    assert [reading.word_error for reading in again] == list(errors.values())
    assert trained_on == [N_TRAIN]  # the second time it was read from the folder
    read_clips(*arguments[:3], train[1:], *arguments[4:])  # type: ignore[arg-type]
    assert trained_on == [N_TRAIN, N_TRAIN - 1]  # other clips, another reader


def test_nothing_to_read_and_nowhere_to_keep(mouths: dict[str, npt.NDArray[np.float32]], tmp_path: Path) -> None:
    clip = clip_of("grid_s1__bbaf2n", next(iter(mouths.values())), "train")
    assert read_clips(Told(), None, flat_space(), [clip], [], tmp_path) == []  # type: ignore[arg-type]
    assert "no held-out" in format_readings([])
    (tmp_path / "file").write_text("")
    config = replace(CONFIG, epochs=1)
    some = dict(list(mouths.items())[:16])
    net = cached_reader(tmp_path / "file", config, flat_space(), some)  # a file stands where the folder should
    assert net.read([mouths[next(iter(some))]]).shape == (1, 6)


def test_shuffled_clips_are_never_their_own() -> None:
    for count in (2, 3, 50):
        assert sorted(others(count)) == list(range(count))
        assert (others(count) != np.arange(count)).all()


def test_figures() -> None:
    wrong = np.zeros((2, 6), bool)
    wrong[1, :3] = True
    reading = Reading("model", wrong)
    assert reading.word_error == 0.25
    assert reading.standard_error == pytest.approx(0.25)
