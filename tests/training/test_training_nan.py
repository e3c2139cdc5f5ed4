"""A value that is not a number stops every trainer, with the clip's name, before it reaches a net or a checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from test_adversarial import examples as upper_examples
from test_training import N_FEATURES, tiny_clip

from portrait_anim.audio.ears import EarsConfig, Hearing
from portrait_anim.audio.encoder import AudioEncoderConfig
from portrait_anim.audio.vad import VoiceDetector, VoiceDetectorConfig
from portrait_anim.errors import DataError
from portrait_anim.evaluation.lip_reader import N_FRAMES, ReaderConfig, cached_reader, sentence_of, train_reader
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.motion.upper import TRACKS
from portrait_anim.training.data.copies import Copy, CopyInfo
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.mouth.trainer import TrainConfig, Trainer, train_stages
from portrait_anim.training.runs import Run
from portrait_anim.training.speech.detector import DetectorConfig, VoiceCorpus, train_detector
from portrait_anim.training.speech.ears import EarsTrainConfig, heard, train_ears
from portrait_anim.training.steps import take_step
from portrait_anim.training.upper.trainer import AdversarialConfig, AdversarialTrainer

pytestmark = pytest.mark.training

CONFIG = TrainConfig(epochs=3, stages=1, batch_size=4, stretch=40, width=16, copies=False)


@pytest.fixture
def clips() -> list[Clip]:
    rng = np.random.default_rng(5)
    return [tiny_clip(f"ann_{i}", "ann", rng) for i in range(8)]


def spoilt(clip: Clip, name: str, value: float = np.nan) -> Clip:
    tensor = clip.tensors[name].astype(clip.tensors[name].dtype, copy=True)
    tensor.reshape(-1)[tensor.size // 2] = value
    return Clip(clip.info, {**clip.tensors, name: tensor})


def finite(net: torch.nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in net.state_dict().values())


def test_a_step_with_nan_changes_nothing_and_names_the_clip() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 1)
    optimiser = torch.optim.Adam(net.parameters(), 0.1)
    batch = torch.randn(4, 3)
    take_step(net(batch).square().mean(), net, optimiser, (batch,), lambda: [], max_norm=1.0)
    before = [value.clone() for value in net.state_dict().values()]
    state = {key: value.clone() for key, value in optimiser.state_dict()["state"][0].items()}
    bad = batch.clone()
    bad[2, 1] = torch.inf
    with pytest.raises(DataError, match=r"are numbers: c;") as told:
        take_step(net(bad).square().mean(), net, optimiser, (bad,), lambda: list("abcd"), max_norm=1.0)
    assert "\n" not in str(told.value)
    for old, new in zip(before, net.state_dict().values(), strict=True):
        assert torch.equal(old, new)
    for key, value in optimiser.state_dict()["state"][0].items():
        assert torch.equal(state[key], value)


@pytest.mark.parametrize("norm", [1.0, float("inf")])
def test_a_step_that_diverges_names_the_batch(norm: float) -> None:
    net = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    batch = torch.ones(3, 1)
    before = net.weight.detach().clone()
    # the loss itself is finite, its gradient is not: the slope of a root at 0
    for loss in ((net(batch) * 0).abs().sqrt().sum(), (net(batch) * 1e30).square().sum()):
        with pytest.raises(DataError, match="lower the learning rate: a, b;"):
            take_step(loss, net, optimiser, (batch,), lambda: ["a", "b", "a"], max_norm=norm)
        assert torch.equal(net.weight, before)


def test_gradients_are_those_of_a_plain_step() -> None:
    made = []
    for plain in (True, False):
        torch.manual_seed(0)
        net = torch.nn.Linear(5, 2)
        optimiser = torch.optim.AdamW(net.parameters(), 0.1)
        for i in range(4):
            batch = torch.randn(6, 5, generator=torch.Generator().manual_seed(i))
            loss = net(batch).square().mean()
            if plain:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            else:
                take_step(loss, net, optimiser, (batch,), lambda: [])
        made.append(net.weight.detach())
    assert torch.equal(*made)


@pytest.mark.parametrize("tensor", ["features", "displacement"])
def test_mouth_clip_with_nan(clips: list[Clip], tmp_path: Path, tensor: str) -> None:
    with pytest.raises(DataError, match=f"clip ann_5: its {tensor}"):
        train_stages(CONFIG, [spoilt(clip, tensor) if i == 5 else clip for i, clip in enumerate(clips)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_mouth_copy_with_nan(clips: list[Clip], tmp_path: Path) -> None:
    tensors = {"features": np.zeros((N_FEATURES, 200), np.float16), "source": np.arange(100, dtype=np.float32)}
    for name, made_from, kind in (("sung", "ann_0", "song"), ("hush", "", "noise")):
        copy = Copy(CopyInfo(name, made_from, kind, "train", ""), {**tensors, "features": tensors["features"].copy()})
        copy.tensors["features"][3, 7] = np.inf
        with pytest.raises(DataError, match=f"clip {name}: its features"):
            Trainer(replace(CONFIG, copies=True), clips, tmp_path, copies=[copy])


def test_mouth_batch_with_nan_keeps_net_average_and_checkpoint(clips: list[Clip], tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, clips, tmp_path)
    n_steps = trainer.n_steps

    def spoil(step: int, total: int, figures: dict[str, float]) -> None:
        assert all(np.isfinite(list(figures.values())))
        if step == n_steps // 2:
            trainer.batches.examples[3].features[:] = np.nan

    with pytest.raises(DataError, match=r"are numbers: ann_3;"):
        trainer.train(spoil, save_every=1)
    assert n_steps // 2 <= trainer.run.step < n_steps
    assert finite(trainer.net)
    assert all(bool(torch.isfinite(value).all()) for value in trainer.average.state_dict().values())
    kept = torch.load(trainer.run.checkpoint, weights_only=True)
    assert kept["step"] == trainer.run.step
    for part in ("net", "average"):
        assert all(bool(torch.isfinite(value).all()) for value in kept[part].values())
    again = Trainer(CONFIG, clips, tmp_path)  # the clip is mended: the run goes on
    again.train()
    assert again.run.step == n_steps


def test_upper_face_with_nan(clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mouth = Trainer(CONFIG, clips, tmp_path).net.eval()
    for tensor in ("features", "rotation", "neutral"):
        broken = [spoilt(clip, tensor) if i == 2 else clip for i, clip in enumerate(clips)]
        with pytest.raises(DataError, match="clip ann_2"):
            AdversarialTrainer(AdversarialConfig(steps=4, batch_size=4, stretch=40), mouth, broken, tmp_path)
    given = [replace(example, clip=f"clip {i}") for i, example in enumerate(upper_examples())]
    spread = np.ones(len(TRACKS), np.float32)
    monkeypatch.setattr("portrait_anim.training.upper.trainer.upper_examples", lambda *_: (given, spread))
    for weights, l1 in ((AdversarialConfig().discriminators, 0.0), ({}, 1.0)):
        config = AdversarialConfig(weights, l1, steps=40, batch_size=4, stretch=48)
        trainer = AdversarialTrainer(config, MouthNet(), [], tmp_path / str(l1))
        clean = given[7].latents.copy()

        def spoil(step: int, total: int, figures: dict[str, float]) -> None:
            if step == 5:
                given[7].latents[:] = np.nan

        with pytest.raises(DataError, match=r"are numbers: clip 7;"):
            trainer.train(spoil, save_every=1)
        given[7].latents[:] = clean
        assert finite(trainer.net)
        assert finite(trainer.average)
        assert finite(trainer.discriminators)
        assert torch.load(trainer.run.checkpoint, weights_only=True)["step"] == trainer.run.step


def test_ears_with_nan(clips: list[Clip], tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, clips, tmp_path)
    voice = VoiceDetector(VoiceDetectorConfig(trainer.net.config.encoder.n_features, 16, (1, 2))).eval()
    space, out = trainer.space, tmp_path / "live"
    broken = [spoilt(clip, "features") if i == 4 else clip for i, clip in enumerate(clips)]
    with pytest.raises(DataError, match="clip ann_4: its features"):
        heard(trainer.net, voice, space, broken, [], {})
    voices, rests = heard(trainer.net, voice, space, clips, [], {})
    sizes = AudioEncoderConfig(n_features=432, width=trainer.net.config.encoder.width, dilations=(1,))
    config = EarsTrainConfig(EarsConfig(sizes, window=28), steps=12, batch_size=2)

    def ruin(step: int, *_: object) -> None:
        if step == 2:
            trainer.net.scale.fill_(torch.nan)  # whatever the reason

    with pytest.raises(DataError, match=r"lower the learning rate: .*ann_"):
        train_ears(trainer.net, space, Hearing(), voices, rests, config, out, ruin, save_every=1)
    kept = torch.load(out / "ears_default.pt", weights_only=True)
    assert kept["step"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in kept["ears"].values())


def spoilt_corpus(corpus: Path, tmp_path: Path, kind: str) -> tuple[Path, str]:
    """A copy of the corpus, in which a file of a kind holds a NaN, and the file's name."""
    copy = Path(shutil.copytree(corpus, tmp_path / f"broken {kind}"))
    path = sorted((copy / kind).glob("*.safetensors"))[0]
    tensors = load_file(path)
    tensors["features"][5, 5] = np.nan
    save_file(tensors, path)
    return copy, path.name


def test_detector_with_nan(corpus: Path, tmp_path: Path) -> None:
    config = DetectorConfig(steps=12, batch_size=6, stretch_s=1.0)
    for kind in ("voices", "mixed", "rests"):
        broken, name = spoilt_corpus(corpus, tmp_path, kind)
        with pytest.raises(DataError, match=f"clip {name}: its features"):
            VoiceCorpus(broken, config)
    stretches = VoiceCorpus(corpus, config)
    sizes = VoiceDetectorConfig(len(stretches.mean), 16, (1, 2))

    def spoil(step: int, *_: object) -> None:
        if step == 3:
            stretches.kinds[2][0][0][:] = np.nan

    with pytest.raises(DataError, match=f"are numbers: {stretches.recordings[2][0]};"):
        train_detector(stretches, tmp_path / "run", config, sizes, spoil, save_every=1)
    kept = torch.load(tmp_path / "run" / "detector.pt", weights_only=True)
    assert 3 <= kept["step"] < 12
    assert all(bool(torch.isfinite(value).all()) for value in kept["net"].values())


def test_lip_reader_with_nan(tmp_path: Path) -> None:
    config = ReaderConfig(width=8, epochs=1, batch_size=4)
    rng = np.random.default_rng(0)
    mouths = {f"grid_s1_bbaf{i}n": rng.standard_normal((N_FRAMES, 16)).astype(np.float32) for i in range(2, 8)}
    sentences = [sentence_of(name) or () for name in mouths]
    mouths["grid_s1_bbaf4n"][30, 2] = np.nan
    with pytest.raises(DataError, match="number 3"):
        train_reader(config, list(mouths.values()), sentences)
    with pytest.raises(DataError, match="grid_s1_bbaf4n"):
        cached_reader(tmp_path, config, MotionSpace(np.zeros((16, 478, 3), np.float32)), mouths)
    assert not list(tmp_path.iterdir())
    huge = [np.where(np.isnan(mouth), 0, mouth) for mouth in mouths.values()]
    with pytest.raises(DataError, match=r"lower the learning rate: .*grid_s1_bbaf"):
        train_reader(replace(config, epochs=40, learning_rate=1e38), huge, sentences, names=list(mouths))


def test_a_checkpoint_with_nan_is_not_written(tmp_path: Path) -> None:
    run = Run(tmp_path, "x", "{}")
    run.save({"step": 1, "parts": [{"a": torch.ones(2)}]})
    with pytest.raises(DataError, match="not numbers"):
        run.save({"step": 2, "parts": [{"a": torch.tensor([1.0, torch.nan])}]})
    assert (run.load() or {})["step"] == 1
