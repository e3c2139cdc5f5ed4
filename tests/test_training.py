"""Training: choice of data, resuming after a kill, the loss; evaluation: measures against hand-computed values."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from portrait_anim.errors import DataError
from portrait_anim.evaluation.metrics import amplitude, best_offset, closures, correlation
from portrait_anim.evaluation.tables import ROWS, evaluate_clips, format_table
from portrait_anim.face.mesh import topology
from portrait_anim.motion.space import MotionSpace, lower_face_weight
from portrait_anim.training.prepare import ClipInfo, find_clips, load_prepared, reason_to_drop
from portrait_anim.training.trainer import TrainConfig, Trainer, choose

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few made-up shards: the mouth follows one feature."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "clips").mkdir()
    rng = np.random.default_rng(0)
    field = np.zeros((478, 3), np.float32)
    height = topology().vertices[:, 1]
    field[:, 1] = -0.2 * lower_face_weight() * (height < height[[13, 14]].mean())
    field[14, 1] = -0.2
    people = [("grid_s1", "train", "CC BY 4.0"), ("grid_s1", "val", "CC BY 4.0"), ("a", "train", "US federal work"),
              ("b", "train", "none stated"), ("c", "val", "none stated"), ("c", "train", "none stated")]  # fmt: skip
    for i, (person, split, licence) in enumerate(people * 2):
        n = 80 + i
        drive = np.convolve(rng.random(n + 8), np.hanning(9), "valid")
        features = rng.standard_normal((816, 2 * n)) * 0.1
        features[:5] += np.repeat(drive, 2)
        info = ClipInfo(f"clip{i}", "", person, split, "en", licence, 0)
        tensors = {
            "displacement": (drive[:, None, None] * field).astype(np.float16),
            "valid": np.ones(n, np.uint8),
            "features": features.astype(np.float16),
            "blank": np.zeros(2 * n, np.float32),
            "bilabial": (np.repeat(drive, 2) < 0.6).astype(np.float32),
            "waveform": (rng.standard_normal(640 * n) * 1000).astype(np.int16),
        }
        save_file(tensors, folder / "clips" / f"clip{i}.safetensors", metadata={"clip": json.dumps(asdict(info))})
    return folder


def test_val_people_are_never_trained_on(prepared: Path) -> None:
    clips = load_prepared(prepared)
    assert {clip.info.person for clip in choose(clips, "default", "train")} == {"grid_s1", "a", "b"}
    assert {clip.info.person for clip in choose(clips, "open", "train")} == {"grid_s1", "a"}
    assert all(clip.info.split == "train" for clip in choose(clips, "default", "train"))
    with pytest.raises(DataError, match="prepare"):
        choose([clip for clip in clips if clip.info.person == "b"], "open", "train")


def test_shared_people_of_val_do_not_train() -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    infos = find_clips(SHARED)
    held_out = {info.person for info in infos if info.split == "val"} - {"grid_s1"}
    registry = json.loads((Path(__file__).parents[1] / "checkpoints" / "registry.json").read_text("utf-8"))
    for name in ("motion_default", "motion_open"):
        trained = {line.split(" (")[0] for line in registry[name]["training_data"]}
        assert trained
        assert not trained & held_out
    free = {info.person for info in infos if info.free}
    assert {line.split(" (")[0] for line in registry["motion_open"]["training_data"]} <= free


def test_a_killed_run_goes_on_as_if_it_had_not_been(prepared: Path, tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; torch.set_num_threads(1)\n"
        "from portrait_anim.training.prepare import load_prepared\n"
        "from portrait_anim.training.trainer import TrainConfig, Trainer, choose\n"
        "clips = choose(load_prepared(Path(sys.argv[1])), 'default', 'train')\n"
        "t = Trainer(TrainConfig(epochs=6, batch_size=4, stretch=40), clips, Path(sys.argv[2]))\n"
        "t.train(lambda *a: print(a[0], flush=True), save_every=3)\n"
        "t.export(Path(sys.argv[2]) / 'out.safetensors')\n"
    )

    def run(out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(prepared), str(out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole).wait() == 0
    process = run(broken)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 7:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert not (broken / "out.safetensors").exists()
    resumed = run(broken)
    assert resumed.stdout is not None
    first = int(resumed.stdout.readline())
    resumed.stdout.read()
    assert resumed.wait() == 0
    assert first > 6
    a, b = (load_file(folder / "out.safetensors") for folder in (whole, broken))
    for name, value in a.items():
        np.testing.assert_allclose(value, b[name], atol=1e-6, err_msg=name)


def test_training_learns_and_the_table_has_its_baselines(prepared: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    clips = load_prepared(prepared)
    trainer = Trainer(TrainConfig(epochs=30, batch_size=4, stretch=40), choose(clips, "default", "train"), tmp_path)
    trainer.train()
    rows = evaluate_clips(trainer.net.eval(), MotionSpace(trainer.space.basis), choose(clips, "default", "val"))
    r = {c: np.mean([row.values[0] for row in rows if row.condition == c]) for c in ROWS}
    assert r["ground truth"] == pytest.approx(1)
    assert r["static photo"] == 0
    assert r["model"] > 0.8
    assert abs(r["shuffled audio"]) < 0.5
    table = format_table(rows)
    assert all(f"| {condition} |" in table for condition in ROWS)
    assert (tmp_path / "train_default.csv").read_text().startswith("step,total,position/lips")


def test_metrics() -> None:
    x = np.sin(np.arange(60) / 3)
    assert correlation(x, 3 * x + 1) == pytest.approx(1)
    assert correlation(x, np.zeros(60)) == 0
    assert best_offset(x, np.roll(x, 2))[1] == 2
    assert amplitude(x, 2 * x) == pytest.approx(0.5)
    mouth = np.ones(40)
    mouth[10] = 0
    peaks = np.zeros(40, bool)
    peaks[[11, 30]] = True
    assert closures(mouth, peaks) == 0.5
    assert np.isnan(closures(mouth, np.zeros(40, bool)))


def test_unusable_tracking_is_named() -> None:
    face = (topology().vertices * [80, -80, -80] + [150, 150, 0]).astype(np.float32)
    clip = np.repeat(face[None], 60, 0)
    assert reason_to_drop(clip) is None
    assert "frames" in (reason_to_drop(clip[:10]) or "")
    lost = clip.copy()
    lost[:20] = np.nan
    assert "67%" in (reason_to_drop(lost) or "")
    cut = clip.copy()
    cut[30:] += 60
    assert "cut" in (reason_to_drop(cut) or "")


def test_prepare_train_evaluate_on_real_clips(tmp_path: Path) -> None:
    """The three commands on four real GRID clips."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    data, out = tmp_path / "data" / "s1", tmp_path / "prepared"
    data.mkdir(parents=True)
    for clip in sorted((SHARED / "grid_s1").glob("*.mp4"))[:3]:
        (data / clip.name).symlink_to(clip)
    (data / "broken.mp4").write_bytes(b"not a film")
    command = [sys.executable, "-m", "portrait_anim", "prepare", str(data.parent), str(out)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3 clips kept, 1 dropped" in done.stdout
    first = time.monotonic() - start
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert [line["person"] for line in lines] == ["s1"] * 4
    assert sum(line["dropped"] is not None for line in lines) == 1
    start = time.monotonic()
    subprocess.run(command, capture_output=True, check=True)
    assert time.monotonic() - start < first  # what is there is kept
    clip = load_prepared(out)[0]
    assert clip.tensors["features"].shape[1] == 2 * len(clip.tensors["displacement"])
