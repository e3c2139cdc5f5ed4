"""Live, several faces: the sound is heard once for all of them, and everything small stays on the processor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from PIL import Image
from torch import Tensor

from portrait_anim import Animator
from portrait_anim.audio.ears import Hearing
from portrait_anim.audio.load import load_audio
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.motion.model import MotionModel, SoundAnalysis

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def couple() -> Animator:
    face = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").resize((256, 256)).crop((40, 0, 200, 160))
    both = Image.new("RGB", (320, 160))
    both.paste(face, (0, 0))
    both.paste(face, (160, 0))
    return Animator(np.asarray(both), face="all")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the ears are loaded and how often they listen."""
    counts = {"loaded": 0, "listened": 0}
    load, listen = Hearing.from_weights, Hearing.forward

    def loading() -> Hearing:
        counts["loaded"] += 1
        return load()

    def listening(self: Hearing, waveform: Tensor) -> Tensor:
        counts["listened"] += 1
        return listen(self, waveform)

    monkeypatch.setattr(Hearing, "from_weights", loading)
    monkeypatch.setattr(Hearing, "forward", listening)
    return counts


def test_two_faces_hear_once(couple: Animator, heard: dict[str, int]) -> None:
    speech = load_audio(EXAMPLES / "speech.flac")[SAMPLE_RATE : 2 * SAMPLE_RATE]

    def microphone() -> Iterator[np.ndarray]:
        for i in range(0, SAMPLE_RATE, 4000):
            yield speech[i : i + 4000]

    assert len(couple.faces) == 2
    frames = np.stack(list(couple.live(microphone(), seed=1)))
    assert len(frames) == 25
    half = frames.shape[2] // 2
    for side in (frames[:, :, :half], frames[:, :, half:]):
        assert np.abs(side.astype(int) - side[0]).max() > 30  # both speak
    assert heard == {"loaded": 1, "listened": 5}  # four pieces and the end


def test_a_shared_ear_gives_each_face_what_its_own_would(couple: Animator) -> None:
    model, speech = MotionModel.from_weights(), load_audio(EXAMPLES / "speech.flac")[: 2 * SAMPLE_RATE]
    mouth, faces = model.live_mouth(), [model.live_face(seed=seed) for seed in (3, 4)]
    alone = [model.live(seed=seed) for seed in (3, 4)]
    for i in range(0, len(speech), 5000):
        piece, last = speech[i : i + 5000], i + 5000 >= len(speech)
        made = mouth.push(piece, last=last)
        for face, own in zip(faces, alone, strict=True):
            wanted = own.push(piece, last=last).tracks()
            for name, track in face.push(*made).tracks().items():
                np.testing.assert_array_equal(track, wanted[name])


def test_the_upper_face_and_the_ears_stay_on_the_processor() -> None:
    model = MotionModel.from_weights(device="meta")  # a device without memory: nothing can be computed or copied back
    assert next(model.net.parameters()).device == torch.device("meta")
    for part in (model.upper, model.ears):
        assert {value.device.type for value in part.state_dict().values()} == {"cpu"}
    latents = np.random.default_rng(0).standard_normal((60, 128)).astype(np.float32)
    mouth = np.zeros((60, model.space.n_components), np.float32)
    made = model.motion(SoundAnalysis(np.zeros(60 * 640, np.float32), mouth, latents), seed=2)
    assert np.abs(made.rotation).max() > 0.003
    live = model.live_face(seed=2)
    assert len(live.push(mouth, latents)) == 60
