"""Make the voice detector, a small net that tells whether somebody speaks or sings.

    python -m portrait_anim.training.speech.detector DATA/audio CORPUS --out checkpoints

CORPUS is what ``python -m portrait_anim.training.speech.voices`` made (what is missing of it is made here);
CORPUS/run/ holds checkpoints and logs, resumable.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from portrait_anim.audio.vad import WEIGHTS, VoiceDetector, VoiceDetectorConfig
from portrait_anim.config import FEATURES_PER_FRAME, FPS
from portrait_anim.training.runs import Progress, Run, Stateful
from portrait_anim.training.speech.voices import Tensors, load_corpus, training_data, write_corpus
from portrait_anim.training.steps import take_step

logger = logging.getLogger(__name__)

Track = tuple[npt.NDArray[np.generic], npt.NDArray[np.floating]]  # features (C, T50), whether there is a voice (T25,)


@dataclass(frozen=True)
class DetectorConfig:
    """The recipe.

    Attributes:
        steps: of the optimiser.
        batch_size: stretches a step.
        stretch_s: their length.
        learning_rate: peak of the one-cycle schedule.
        shares: of the stretches: clean voices, mixed ones, sounds without a voice.
        dropped: share of the features' channels hidden from each stretch.
        seed: of the weights and the batches.
    """

    steps: int = 1500
    batch_size: int = 24
    stretch_s: float = 4.0
    learning_rate: float = 2e-3
    shares: tuple[float, float, float] = (0.2, 0.5, 0.3)
    dropped: float = 0.3
    seed: int = 0


class VoiceCorpus:
    """Stretches with and without voices, drawn by seed and step alone.

    Args:
        folder: made by :func:`portrait_anim.training.speech.voices.write_corpus`.
        config: the recipe.
    """

    def __init__(self, folder: Path, config: DetectorConfig) -> None:
        self.config = config
        voices, mixed, rests = (load_corpus(folder / kind) for kind in ("voices", "mixed", "rests"))
        self.recordings = tuple(map(list, (voices, mixed, rests)))
        self.kinds: tuple[Sequence[Track], ...] = (
            [(voice["features"], voice["gate"].astype(np.float32)) for voice in voices.values()],
            [(mix["features"], _moved(voices[name], mix)) for name, mix in mixed.items()],
            [(rest["features"], np.zeros(rest["features"].shape[1] // FEATURES_PER_FRAME))
             for rest in rests.values()],
        )  # fmt: skip
        sums, squares, count = 0.0, 0.0, 0
        for kind in self.kinds:
            for features, _ in kind[:300]:
                values = features.astype(np.float64)
                sums, squares = sums + values.sum(1), squares + (values**2).sum(1)
                count += values.shape[1]
        self.mean = np.asarray(sums / count, np.float32)  # (C,)
        self.spread = np.asarray(np.sqrt(np.maximum(squares / count - self.mean**2, 0)) + 1e-4, np.float32)

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (B, C, T50), whether there is a voice (B, T25) and which frames count (B, T25)."""
        return self._drawn(step)[0]

    def names(self, step: int) -> list[str]:
        """Return the names (B,) of the batch's recordings."""
        return self._drawn(step)[1]

    def _drawn(self, step: int) -> tuple[tuple[Tensor, Tensor, Tensor], list[str]]:
        config, names = self.config, []
        rng = np.random.default_rng((config.seed, step))
        length = round(config.stretch_s * FPS)
        features = np.zeros((config.batch_size, len(self.mean), FEATURES_PER_FRAME * length), np.float32)
        voice, known = np.zeros((2, config.batch_size, length), np.float32)
        for row in range(config.batch_size):
            kind = int(rng.choice(3, p=config.shares))
            which = int(rng.integers(len(self.kinds[kind])))
            values, labels = self.kinds[kind][which]
            names.append(self.recordings[kind][which])
            n_frames = min(len(labels), values.shape[1] // FEATURES_PER_FRAME)
            start = int(rng.integers(max(1, n_frames - length + 1)))
            n = min(length, n_frames - start)
            at = slice(FEATURES_PER_FRAME * start, FEATURES_PER_FRAME * (start + n))
            features[row, :, : FEATURES_PER_FRAME * n] = values[:, at]
            voice[row, :n], known[row, :n] = labels[start : start + n], 1
            hidden = rng.random(len(self.mean)) < config.dropped
            features[row, hidden] = self.mean[hidden, None]
        return (torch.from_numpy(features), torch.from_numpy(voice), torch.from_numpy(known)), names


def _moved(voice: Tensors, mix: Tensors) -> npt.NDArray[np.float32]:
    """Return (T25,): where the mixed recording has a voice, from the clean one."""
    at = mix["source"].astype(np.float64).reshape(-1, FEATURES_PER_FRAME).mean(1)  # feature frames of the clean voice
    frames = np.clip(np.floor((at + 0.5) / FEATURES_PER_FRAME).astype(int), 0, len(voice["gate"]) - 1)
    return np.asarray(voice["gate"][frames], np.float32)


def train_detector(
    corpus: VoiceCorpus, out: Path, config: DetectorConfig, sizes: VoiceDetectorConfig | None = None,
    progress: Progress | None = None, save_every: int = 200,
) -> VoiceDetector:  # fmt: skip
    """Train from the last checkpoint on; return the detector.

    Raises:
        DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
    """
    torch.manual_seed(config.seed)
    net = VoiceDetector(sizes or VoiceDetectorConfig(len(corpus.mean)))
    net.mean.copy_(torch.from_numpy(corpus.mean))
    net.spread.copy_(torch.from_numpy(corpus.spread))
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=3e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps + 1)
    run = Run(out, "detector", json.dumps({**asdict(config), **asdict(net.config)}))
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    net.train()

    def take(step: int) -> dict[str, float]:
        batch = features, voice, known = corpus(step)
        odds = net(features)
        loss = functional.binary_cross_entropy_with_logits(odds, voice, known, reduction="sum") / known.sum()
        take_step(loss, net, optimiser, batch, partial(corpus.names, step), max_norm=5.0)
        schedule.step()
        return {"voice": float(loss.detach())}

    run.drive(parts, config.steps, take, progress, save_every=save_every)
    return net.requires_grad_(False).eval()


def export_detector(detector: VoiceDetector, path: Path) -> None:
    """Write the detector as safetensors, its config in the header; atomically."""
    temporary = path.with_suffix(".tmp")
    tensors = {name: value.contiguous() for name, value in detector.state_dict().items()}
    save_file(tensors, temporary, metadata={"config": json.dumps(asdict(detector.config))})
    temporary.replace(path)


def main() -> None:
    """Prepare the corpus, train, export and register."""
    from tqdm import tqdm

    from portrait_anim.system.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path, help="folder of recordings with an index.csv, music/ in it")
    parser.add_argument("corpus", type=Path, help="folder for what is made on the way")
    parser.add_argument("--steps", type=int, default=DetectorConfig.steps)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_corpus(args.audio, args.corpus)
    config = DetectorConfig(steps=args.steps)
    with tqdm(total=config.steps, unit="step", file=sys.stderr, mininterval=1.0) as bar:

        def progress(step: int, total: int, figures: dict[str, float]) -> None:
            bar.set_postfix(figures, refresh=False)
            bar.update(step - bar.n)

        detector = train_detector(VoiceCorpus(args.corpus, config), args.corpus / "run", config, progress=progress)
    path = args.out / f"{WEIGHTS}.safetensors"
    export_detector(detector, path)
    register(
        WEIGHTS, path, licence="CC-BY-4.0", training_data=training_data(args.audio), source="this repository",
        command="python -m portrait_anim.training.speech.detector DATA/audio CORPUS --out checkpoints",
        figures={},
    )  # fmt: skip
    logger.info("%s: %d steps", path, config.steps)


if __name__ == "__main__":
    main()
