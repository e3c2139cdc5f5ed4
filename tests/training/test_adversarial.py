"""The upper face's training: tracks measured on known motion, discriminators, and a small run that learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from portrait_anim.config import FPS
from portrait_anim.errors import DataError
from portrait_anim.evaluation.upper import clip_statistics, distances
from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT, topology
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.noise import N_NOISE, N_WHITE, make_noise
from portrait_anim.motion.temperament import N_PARTS, PARTS, distribution, drawn, gains, of_tracks
from portrait_anim.motion.upper import BROWS, GAZE, LID, ROTATION, SHIFT, SIZE, TRACKS, UpperGenerator
from portrait_anim.training.data.layouts import ClipInfo
from portrait_anim.training.data.prepare import Clip, motion_tensors
from portrait_anim.training.upper.data import UpperBatches, UpperExample, shape_space
from portrait_anim.training.upper.discriminators import DISCRIMINATORS
from portrait_anim.training.upper.tracks import EYES, blink_rate, spreads, upper_tracks
from portrait_anim.training.upper.trainer import AdversarialConfig, AdversarialTrainer

pytestmark = pytest.mark.training

N_FRAMES = 150


def clip_of(landmarks: np.ndarray) -> Clip:
    info = ClipInfo("x", "/nowhere/x.mp4", "ann", "train", "en", "CC BY 4.0", 0)
    return Clip(info, motion_tensors(landmarks.astype(np.float32)))


def face_track() -> tuple[np.ndarray, np.ndarray]:
    """(T, 478, 3) px of a face that blinks twice, looks right, nods down and turns; and its head's (T, 3) rotation."""
    points = np.repeat(topology().vertices[None].astype(np.float64), N_FRAMES, axis=0)
    for start in (30, 100):
        for i, shut in enumerate((0.5, 1.0, 1.0, 0.6, 0.3)):
            for upper, lower, _ in EYES:
                for up, low in zip(upper, lower, strict=True):
                    gap = points[start + i, up] - points[start + i, low]
                    points[start + i, up] -= 0.85 * shut * gap
    points[60:80, [*IRIS_LEFT, *IRIS_RIGHT], 0] += 0.02
    angles = np.zeros((N_FRAMES, 3))
    angles[:, 0] = 0.1 * np.clip(np.sin(np.arange(N_FRAMES) / 12), 0, None)
    angles[:, 1] = 0.15 * np.sin(np.arange(N_FRAMES) / 20)
    turned = np.einsum("tij,tpj->tpi", Rotation.from_rotvec(angles).as_matrix(), points)
    return 120 * turned * [1, -1, -1] + [320, 240, 0], angles


def test_tracks_of_a_known_motion() -> None:
    landmarks, angles = face_track()
    tracks = upper_tracks(clip_of(landmarks))
    assert tracks.shape == (N_FRAMES, len(TRACKS))
    assert blink_rate(tracks) == pytest.approx(2 / (N_FRAMES / FPS))
    assert tracks[31, LID] > 0.9
    assert np.abs(tracks[50:90, LID]).max() < 0.1
    assert tracks[70, GAZE][0] == pytest.approx(0.02 / 0.13, rel=0.25)
    found = tracks[:, ROTATION] + np.median(angles, axis=0)
    quiet = np.r_[10:26, 40:60, 82:96, 110:140]
    assert np.abs(found - angles)[quiet].max() < 0.02
    assert np.abs(tracks[quiet, BROWS]).max() < 0.01


def test_shift_is_what_turning_about_the_neck_leaves() -> None:
    landmarks, _ = face_track()
    moved = landmarks + 12.0 * np.sin(np.arange(N_FRAMES) / 15)[:, None, None] * [1, 0, 0]
    before, after = upper_tracks(clip_of(landmarks)), upper_tracks(clip_of(moved))
    gained = after[:, SHIFT][:, 0] - before[:, SHIFT][:, 0]
    assert np.ptp(gained) == pytest.approx(2 * 12.0 / 120, rel=0.1)
    np.testing.assert_allclose(after[:, ROTATION], before[:, ROTATION], atol=1e-3)


def test_size_is_how_near_the_head_is() -> None:
    landmarks, _ = face_track()
    larger = 1 + 0.05 * np.sin(np.arange(N_FRAMES) / 15)[:, None, None]
    middle = landmarks.mean((0, 1))
    tracks = upper_tracks(clip_of((landmarks - middle) * larger + middle))
    assert np.ptp(tracks[:, SIZE]) == pytest.approx(0.1, rel=0.05)
    assert np.ptp(upper_tracks(clip_of(landmarks))[:, SIZE]) < 0.01


def test_shards_without_a_pose_say_so() -> None:
    clip = clip_of(face_track()[0])
    del clip.tensors["rotation"]
    with pytest.raises(DataError, match="prepare it again"):
        upper_tracks(clip)


def test_a_temperament_is_how_much_more_a_clip_moves() -> None:
    rng = np.random.default_rng(0)
    tracks = rng.standard_normal((400, len(TRACKS))).astype(np.float32)
    lively = tracks.copy()
    lively[:, ROTATION] *= 3
    typical = spreads([tracks])
    calm, more = of_tracks(tracks, typical), of_tracks(lively, typical)
    assert calm == pytest.approx(0, abs=1e-4)
    names = list(PARTS)
    assert more[names.index("turn")] == pytest.approx(np.log(3), abs=1e-3)
    assert more[names.index("brows")] == pytest.approx(0, abs=1e-4)
    factors = gains(more, len(TRACKS))
    assert factors[ROTATION] == pytest.approx([3, 3, 3], rel=1e-3)
    assert factors[LID] == 1


def test_seeds_differ_as_people_do() -> None:
    rng = np.random.default_rng(1)
    root = np.tril(rng.standard_normal((N_PARTS, N_PARTS))) * 0.3
    people = {str(i): [(0.2 + root @ rng.standard_normal(N_PARTS)).astype(np.float32)] for i in range(400)}
    people["0"] *= 50  # a person of many clips counts once
    mean, found = distribution(people)
    wanted = np.stack([clips[0] for clips in people.values()])
    faces = rng.standard_normal((600, 4)).astype(np.float32)
    for made in (
        [drawn(mean, found, seed, np.zeros(4, np.float32)) for seed in range(600)],
        [drawn(mean, found, 3, face) for face in faces],
        [drawn(mean, found, seed, np.float32([1, -1, 1, 1])) for seed in range(600)],
    ):
        seeds = np.stack(made)
        assert seeds.mean(0) == pytest.approx(wanted.mean(0), abs=0.2)
        assert (np.abs(seeds.std(0) / wanted.std(0) - 1) < 0.5).all()  # the ends of the distribution are cut
    assert np.array_equal(drawn(mean, found, 5, faces[0]), drawn(mean, found, 5, faces[0]))
    assert np.abs(drawn(mean, found, 5, faces[0]) - drawn(mean, found, 5, faces[0] + 1e-4)).max() < 1e-2


def test_noise_is_white_and_slow_and_of_unit_variance() -> None:
    noise = make_noise(40, 400, torch.Generator().manual_seed(0))
    assert noise.shape == (40, N_NOISE, 400)
    np.testing.assert_allclose(noise.square().mean((0, 2)).sqrt().numpy(), 1, atol=0.2)
    step = noise.diff(dim=-1).square().mean((0, 2)) / 2
    assert step[:N_WHITE].min() > 0.9
    assert step[N_WHITE:].max() < 0.2


@pytest.mark.parametrize("part", sorted(DISCRIMINATORS))
def test_discriminators_learn_to_tell_and_return_one_type(part: str) -> None:
    torch.manual_seed(0)
    judge = DISCRIMINATORS[part](5, 12)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(1)
    condition = torch.zeros(8, 5)
    for _ in range(120):
        latents = torch.randn(8, 12, 48, generator=generator)
        real, made = latents[:, : len(TRACKS)].clone(), 3 * torch.randn(8, len(TRACKS), 48, generator=generator)
        verdicts = judge(latents, real, condition), judge(latents, made, condition)
        loss = verdicts[0].real_loss() + verdicts[1].fake_loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 1.6  # 2 is a guess, for each of its scores
    assert verdicts[0].generator_loss() < verdicts[1].generator_loss()


def test_sync_discriminator_tells_pairs_whose_parts_are_real() -> None:
    torch.manual_seed(0)
    judge = DISCRIMINATORS["sync"](5, 12)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(1)
    condition = torch.zeros(16, 5)
    for _ in range(250):
        latents = torch.randn(16, 12, 48, generator=generator)
        real = latents[:, : len(TRACKS)]
        loss = judge(latents, real, condition).real_loss() + judge(latents.roll(9, 2), real, condition).fake_loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 1.5


def examples(n: int = 12) -> list[UpperExample]:
    """People whose nod follows their first latent and who blink for no reason in the sound."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(n):
        latents = rng.standard_normal((160, 12)).astype(np.float32)
        tracks = 0.3 * rng.standard_normal((160, len(TRACKS))).astype(np.float32)
        tracks[:, LID] = 0
        for start in rng.integers(5, 150, 4):
            tracks[start : start + 4, LID] = 1
        tracks[:, ROTATION.start] += np.convolve(latents[:, 0], np.ones(9) / 3, "same")
        shape = topology().vertices.reshape(-1) * (1 + 0.01 * i)
        out.append(
            UpperExample(
                f"person {i % 5}", latents, tracks, shape.astype(np.float32), 0.6, np.zeros(N_PARTS, np.float32)
            )
        )
    return out


def test_batches_are_drawn_by_step_alone() -> None:
    one, two = (UpperBatches(examples(), 6, 40, 3, 0.1) for _ in range(2))
    for a, b in zip(one(7), two(7), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(one(7)[0], one(8)[0])
    with pytest.raises(DataError, match="no clip has 500 frames"):
        UpperBatches(examples(), 6, 500, 3, 0.1)


def test_shape_space_has_unit_spread_over_people() -> None:
    mean, basis = shape_space(examples(), 4)
    assert not basis.any()  # five people are too few
    mean, basis = shape_space([replace(example, person=str(i)) for i, example in enumerate(examples(20))], 4)
    people = np.stack([example.shape for example in examples(20)])
    assert ((people - mean) @ basis[0]).std() == pytest.approx(1, abs=0.05)


def test_a_small_run_blinks_follows_the_voice_and_l1_alone_does_not_blink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = examples(), np.ones(len(TRACKS), np.float32)
    monkeypatch.setattr("portrait_anim.training.upper.trainer.upper_examples", lambda *_: given)
    made = {}
    for name, weights, l1 in (("gan", AdversarialConfig().discriminators, 0.0), ("l1", {}, 1.0)):
        config = AdversarialConfig(weights, l1, steps=220, batch_size=12, stretch=48, learning_rate=1e-3)
        net = AdversarialTrainer(config, MouthNet(), [], tmp_path, name=name).train(save_every=1000)
        assert isinstance(net, UpperGenerator)
        latents = torch.from_numpy(np.stack([example.latents.T for example in given[0]]))
        with torch.no_grad():
            noise = make_noise(len(latents), 160, torch.Generator().manual_seed(0))
            made[name] = net(latents, noise, net.condition(None, torch.full((len(latents),), 0.6), None)).numpy()
    real_nod = np.stack([example.tracks[:, ROTATION.start] for example in given[0]])
    for tracks in made.values():
        assert np.corrcoef(tracks[:, ROTATION.start].ravel(), real_nod.ravel())[0, 1] > 0.3
    assert made["gan"][:, LID].std() > 3 * made["l1"][:, LID].std()


def test_measures_of_known_tracks() -> None:
    tracks = np.zeros((250, len(TRACKS)))
    for start in (50, 150):
        tracks[start : start + 4, LID] = 1
    tracks[:, ROTATION.start] = 0.1 * np.sin(np.arange(250) / 10)
    numbers = clip_statistics(tracks, np.ones(250))
    assert numbers["blinks/s"] == pytest.approx(0.2)
    assert numbers["blink, s"] == pytest.approx(0.16)
    assert numbers["nod spread"] == pytest.approx(0.0707, rel=0.05)
    assert numbers["turn speed"] == 0
    more = [{**numbers, "nod spread": numbers["nod spread"] + 0.01 * i} for i in range(10)]
    assert distances(more, more)["nod spread"] == 0
    assert distances(more, [{**n, "nod spread": n["nod spread"] + 0.5} for n in more])["nod spread"] > 5
    assert set(EYE_LEFT).isdisjoint(EYE_RIGHT)
