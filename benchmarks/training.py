"""How long the shipped weights take to make, and how fast sound becomes motion.

    PYTHONPATH=. python benchmarks/training.py DATA [--clips 6] [--steps 30]

A sample of clips is prepared, copied (sung) and trained on for a few steps in one process with one
thread; the whole is extrapolated from the seconds of film there are. Motion speed is seconds of sound a second of
one thread, encoders included. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SpeechFeatures
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.motion.model import MotionModel
from portrait_anim.training.data.clips import choose
from portrait_anim.training.data.copies import load_copies, make_copies
from portrait_anim.training.data.layouts import find_clips
from portrait_anim.training.data.prepare import load_prepared, prepare_clip
from portrait_anim.training.mouth.trainer import TrainConfig, Trainer

SPEECH = Path(__file__).resolve().parents[1] / "examples" / "speech.flac"


def motion_speed(seconds: float = 60.0) -> float:
    sound = np.resize(load_audio(SPEECH), round(seconds * SAMPLE_RATE))
    model = MotionModel.from_weights()
    model.motion(sound[: SAMPLE_RATE * 5])
    start = time.perf_counter()
    model.motion(sound)
    return seconds / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    clips = find_clips(args.data)
    train = [clip for clip in clips if clip.split == "train"]
    sample = train[:: max(1, len(train) // args.clips)][: args.clips]
    speech = SpeechFeatures.from_weights()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        start = time.perf_counter()
        for clip in sample:
            prepare_clip(clip, out, speech)
        prepared_s = time.perf_counter() - start
        prepared = load_prepared(out)
        seconds = sum(len(clip.tensors["displacement"]) for clip in prepared) / FPS
        start = time.perf_counter()
        music = args.data / "audio" / "music"
        make_copies(out, music if music.is_dir() else None, 1)
        copies = load_copies(out)
        copied_s = time.perf_counter() - start
        config = TrainConfig()
        trainer = Trainer(config, choose(prepared, "default", "train"), out / "run", copies=copies)
        trainer.n_steps = args.steps
        start = time.perf_counter()
        trainer.train()
        step_s = (time.perf_counter() - start) / args.steps
    share = len(clips) / len(sample)
    copied_seconds = sum(len(copy.tensors["source"]) for copy in copies) / FPS
    n_copies = sum(1 for copy in copies if copy.info.clip)
    length = config.stretch / FPS * config.batch_size
    whole = share * seconds  # of all clips; a sung copy is 1.2 times as long
    steps = (config.first_epochs + config.epochs) * whole * 2.2 / length
    minutes = {
        "prepare (tracking and features)": share * prepared_s / 60,
        "copies (sung, mixed, rests)": copied_s * whole * 1.5 / copied_seconds / 60,
        "training, both stages": steps * step_s / 60,
    }
    print(f"sample: {len(sample)} of {len(clips)} clips, {seconds:.0f} s, {n_copies} copies; one thread\n")
    print("| step | minutes for a set of weights |\n|---|---|")
    for step, value in minutes.items():
        print(f"| {step} | {value:.0f} |")
    print(f"| **sum on one core** | **{sum(minutes.values()):.0f}** |")
    print(f"\nsound to motion, encoders included, one thread: {motion_speed():.0f} x real time")


if __name__ == "__main__":
    main()
