"""How long the shipped weights take to make, and how fast sound becomes motion.

    PYTHONPATH=. python benchmarks/training.py ../shared/data [--clips 6] [--voices 8] [--steps 20]

Every command of the model card runs on a sample, in one process with one thread, for a few steps; what it takes is
extrapolated from the seconds of film and sound there are. Two cores share the common part and train a set of weights
each. Motion speed is seconds of sound a second of one thread, encoders included. Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SpeechFeatures
from portrait_anim.audio.streaming import StreamingEncoder
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.motion.model import MotionModel
from portrait_anim.training import teachers
from portrait_anim.training.adversarial.trainer import AdversarialConfig, AdversarialTrainer
from portrait_anim.training.copies import load_copies, make_copies
from portrait_anim.training.data import choose
from portrait_anim.training.detector import DetectorConfig, VoiceCorpus, train_detector
from portrait_anim.training.distil import DistilConfig, distil
from portrait_anim.training.hama_tuned import TuningConfig, train_listener
from portrait_anim.training.layouts import ClipInfo, find_clips
from portrait_anim.training.live import train_live
from portrait_anim.training.prepare import load_prepared, prepare_clip
from portrait_anim.training.stretches import StretchConfig, Stretches
from portrait_anim.training.trainer import TrainConfig, Trainer
from portrait_anim.training.voices import EVERY, MAX_S, N_RESTS, write_heard, write_voices

SPEECH = Path(__file__).resolve().parents[1] / "examples" / "speech.flac"
SUNG = 2.2  # seconds trained on a second of film: the clip, and its sung copy, which is 1.2 times as long


class Clock:
    """Seconds a step of a training run, from the calls of its progress: the first, which sets up, is left out."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def __call__(self, step: int, total: int, figures: dict[str, float]) -> None:
        """Take the time."""
        self._at.append(time.perf_counter())

    @property
    def step_s(self) -> float:
        """Mean of the steps between the first and the last."""
        return (self._at[-1] - self._at[0]) / (len(self._at) - 1)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def motion_speed(seconds: float = 60.0) -> float:
    sound = np.resize(load_audio(SPEECH), round(seconds * SAMPLE_RATE))
    model = MotionModel.from_weights()
    model.motion(sound[: SAMPLE_RATE * 5])
    return seconds / min(seconds_of(lambda: model.motion(sound)) for _ in range(3))


def of_voices(audio: Path, work: Path, count: int, steps: int) -> dict[str, float]:
    """Minutes of what is learned from voices without a picture."""
    with (audio / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["use"] == "train" and not row["file"].startswith("music/")]
    sample = rows[:: max(1, len(rows) // count)][:count]
    few = work / "audio"
    (few / "music").mkdir(parents=True)
    for row in sample:
        (few / row["file"]).parent.mkdir(parents=True, exist_ok=True)
        (few / row["file"]).symlink_to((audio / row["file"]).resolve())
    for piece in sorted((audio / "music").iterdir())[:8]:
        (few / "music" / piece.name).symlink_to(piece.resolve())
    with (few / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "use"), *((row["file"], "train") for row in sample)])
    corpus = work / "corpus"
    share = len(rows) / len(sample)
    listen_s = seconds_of(lambda: write_voices(few, corpus, workers=1))
    voices_s = seconds_of(lambda: write_heard(few, corpus, workers=1, n_rests=0))
    rests_s = seconds_of(lambda: write_heard(few, corpus, workers=1, n_rests=8))
    tuning = TuningConfig()
    clocks = [Clock(), Clock(), Clock()]
    shown = Stretches(corpus / "voices", [], tuning.stretches)
    train_listener(shown, work / "tuned", replace(tuning, steps=steps), teachers.hama(), clocks[0])
    train_detector(VoiceCorpus(corpus, DetectorConfig()), work / "d", DetectorConfig(steps=steps), progress=clocks[1])
    shown = Stretches(corpus / "voices", [], StretchConfig())
    distil(shown, work / "streaming", DistilConfig(steps=steps), progress=clocks[2])
    return {
        f"teachers hear {len(rows)} recordings (at most {MAX_S:.0f} s of each)": share * listen_s / 60,
        "hama_tuned_encoder": tuning.steps * clocks[0].step_s / 60,
        f"the detector's corpus (1 of {EVERY}, clean and mixed; rests)": (share * voices_s + N_RESTS / 8 * rests_s)
        / 60,
        "voice_detector": DetectorConfig.steps * clocks[1].step_s / 60,
        "streaming_encoder": DistilConfig.steps * clocks[2].step_s / 60,
    }


def of_clips(
    data: Path, work: Path, clips: Sequence[ClipInfo], count: int, steps: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Minutes of the common part and of one set of weights."""
    train = [clip for clip in clips if clip.split == "train"]
    sample = train[:: max(1, len(train) // count)][:count]
    speech = SpeechFeatures.from_weights()
    prepared_s = seconds_of(lambda: [prepare_clip(clip, work, speech) for clip in sample])
    prepared = load_prepared(work)
    seconds = sum(len(clip.tensors["displacement"]) for clip in prepared) / FPS
    music = data / "audio" / "music"
    copied_s = seconds_of(lambda: make_copies(work, music if music.is_dir() else None, 1))
    copies = load_copies(work)
    config = TrainConfig()
    chosen = choose(prepared, "default", "train")
    trainer = Trainer(config, chosen, work / "run", copies=copies)
    trainer.n_steps = steps
    clocks = [Clock(), Clock(), Clock()]
    trainer.train(clocks[0])
    adversarial = AdversarialConfig(steps=steps)
    AdversarialTrainer(adversarial, trainer.net, chosen, work / "run").train(clocks[1])
    ear = StreamingEncoder.from_weights()
    live_s = seconds_of(lambda: train_live(
        trainer.net, trainer.space, ear, chosen, copies, {}, config, work / "run", clocks[2]
    ))  # fmt: skip
    heard_s = live_s - clocks[2].step_s * len(clocks[2]._at)
    share = len(clips) / len(sample)
    whole = share * seconds
    a_pass = whole * SUNG / (config.stretch / FPS * config.batch_size)  # steps
    copied_seconds = sum(len(copy.tensors["source"]) for copy in copies) / FPS
    common = {
        "prepare (tracking and features)": share * prepared_s / 60,
        "copies (sung, mixed, rests)": copied_s * whole * 1.5 / copied_seconds / 60,
    }
    per_set = {
        "mouth, both stages": (config.first_epochs + config.epochs) * a_pass * clocks[0].step_s / 60,
        "upper face": AdversarialConfig.steps * clocks[1].step_s / 60,
        "live head": (share * heard_s + config.epochs * a_pass * clocks[2].step_s) / 60,
    }
    return common, per_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--voices", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    clips = find_clips(args.data)
    speed = motion_speed()
    with tempfile.TemporaryDirectory() as name:
        heard = of_voices(args.data / "audio", Path(name) / "voices", args.voices, args.steps)
        common, per_set = of_clips(args.data, Path(name) / "clips", clips, args.clips, args.steps)
    common = heard | common
    print(f"sample: {args.clips} of {len(clips)} clips, {args.voices} recordings; one thread\n")
    print("| step | minutes |\n|---|---|")
    for step, value in common.items():
        print(f"| {step} | {value:.0f} |")
    for step, value in per_set.items():
        print(f"| {step}, a set of weights | {value:.0f} |")
    both = sum(common.values()) / 2 + sum(per_set.values())
    print(f"| **both sets on two cores** | **{both:.0f}** |")
    print(f"\nsound to motion, encoders included, one thread: {speed:.0f} x real time")


if __name__ == "__main__":
    main()
