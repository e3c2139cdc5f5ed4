"""Make the streaming encoder: a small net with little look-ahead learns the two pretrained encoders' features.

    python -m portrait_anim.training.speech.distil DATA/audio CORPUS --out checkpoints

CORPUS is what ``python -m portrait_anim.training.speech.voices`` made (what is missing of it is made here);
CORPUS/run/ holds checkpoints and logs, resumable.

In training, voices are mixed with music or noise (voice 6 dB below to 15 dB above it) and brought to other levels, and
there are sounds without a voice. The wanted output is always the pretrained encoders' for the clean voice.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, SpeechConfig
from portrait_anim.audio.streaming import StreamingConfig, StreamingEncoder
from portrait_anim.config import FEATURE_RATE
from portrait_anim.training.data.copies import music_of
from portrait_anim.training.data.song import chords, noise
from portrait_anim.training.runs import Progress, Run, Stateful
from portrait_anim.training.speech.voices import Tensors, load_corpus, training_data, write_corpus
from portrait_anim.training.steps import take_step

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
LEVEL_DBFS = SpeechConfig.level_dbfs
NO_VOICE = "no voice"  # name of a stretch without a recording


@dataclass(frozen=True)
class DistilConfig:
    """The recipe.

    Attributes:
        steps: of the optimiser.
        batch_size: stretches a step.
        stretch_s: their length.
        learning_rate: peak of the one-cycle schedule.
        voice_weight: of the voice's cross entropy beside the features' error.
        seed: of the weights and the batches.
    """

    steps: int = 2400
    batch_size: int = 16
    stretch_s: float = 4.0
    learning_rate: float = 2e-3
    voice_weight: float = 0.3
    seed: int = 0


class Corpus:
    """Random stretches: the net's input and the wanted output. They depend on seed and step alone."""

    def __init__(self, folder: Path, music: list[Path], config: DistilConfig) -> None:
        self.config = config
        recordings = load_corpus(folder)
        self.recordings, self.files = list(recordings), list(recordings.values())
        self.music = [load_audio(path) for path in music]
        sums, squares, count = 0.0, 0.0, 0
        self.means = []
        for file in self.files:
            values = file["features"].astype(np.float32)
            mean = values.mean(1)
            self.means.append(mean)
            squares = squares + ((values - mean[:, None]) ** 2).sum(1)
            count += values.shape[1]
        self.spread = np.sqrt(squares / count) + 1e-4 + sums  # (C,) of the features about their recording's mean
        seconds = np.array([len(file["waveform"]) for file in self.files], float)
        self.odds = seconds / seconds.sum()

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return waveforms (B, N), features (B, C, T50) of spread 1, their weight (B, T50) and the voice (B, T50)."""
        return self._drawn(step)[0]

    def names(self, step: int) -> list[str]:
        """Return the names (B,) of the batch's recordings; "no voice" where there is none."""
        return self._drawn(step)[1]

    def _drawn(self, step: int) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], list[str]]:
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        n = round(config.stretch_s * FEATURE_RATE)
        size, length = config.batch_size, n * SAMPLES_PER_FEATURE
        channels = len(self.spread)
        waves = np.zeros((size, length), np.float32)
        wanted, weight = np.zeros((size, channels, n), np.float32), np.zeros((size, n), np.float32)
        voice = np.zeros((size, n), np.float32)
        names = [NO_VOICE] * size
        for row in range(size):
            kind = rng.random()
            if kind >= 0.1:
                wave, at, file, which = self._voice(rng, n)
                names[row] = self.recordings[which]
                waves[row, : len(wave)] = wave
                low = np.clip(np.floor(at).astype(int), 0, file["features"].shape[1] - 1)
                high = np.minimum(low + 1, file["features"].shape[1] - 1)
                part = (at - np.floor(at)).astype(np.float32)
                values = file["features"][:, low] * (1 - part) + file["features"][:, high] * part
                m = len(at)
                wanted[row, :, :m] = (values - self.means[which][:, None]) / self.spread[:, None]
                weight[row, :m] = 1
                voice[row, :m] = file["gate"][np.clip(low // 2, 0, len(file["gate"]) - 1)]
            if kind < 0.65:
                self._disturb(waves[row], rng)
            waves[row] *= 10 ** (rng.uniform(-8, 8) / 20)
        return tuple(map(torch.from_numpy, (waves, wanted, weight, voice))), names  # type: ignore[return-value]

    def _voice(self, rng: np.random.Generator, n: int) -> tuple[Array, npt.NDArray[np.floating], Tensors, int]:
        """A stretch at :data:`LEVEL_DBFS`, the feature frame each of its frames is, and the recording."""
        which = int(rng.choice(len(self.files), p=self.odds))
        file = self.files[which]
        sung = "sung" in file and rng.random() < 0.7
        wave = file["sung" if sung else "waveform"]
        frames = min(len(wave) // SAMPLES_PER_FEATURE, len(file["source"]) if sung else file["features"].shape[1])
        start = int(rng.integers(0, max(1, frames - n + 1)))
        at = np.arange(start, min(start + n, frames))
        part = wave[start * SAMPLES_PER_FEATURE : (start + len(at)) * SAMPLES_PER_FEATURE].astype(np.float32)
        loud = np.abs(part) > 0.1 * max(float(np.abs(part).max()), 1.0)
        level = float(np.sqrt((part[loud] ** 2).mean())) if loud.any() else 1.0
        scaled = np.asarray(part * (10 ** (LEVEL_DBFS / 20) / max(level, 1.0)), np.float32)
        return scaled, np.asarray(file["source"][at] if sung else at, np.float64), file, which

    def _disturb(self, wave: Array, rng: np.random.Generator) -> None:
        """Add music or noise in place, 6 dB below to 15 dB above it."""
        kind = rng.random()
        if kind < 0.6 and self.music:
            piece = self.music[int(rng.integers(len(self.music)))]
            start = int(rng.integers(max(1, len(piece) - len(wave))))
            other = np.resize(piece[start : start + len(wave)], len(wave))
        elif kind < 0.75:
            other = chords(len(wave), rng)
        else:
            other = noise(len(wave), rng)
        rms = float(np.sqrt((other**2).mean()))
        if rms > 1e-6:
            wave += other * (10 ** ((LEVEL_DBFS - rng.uniform(-6, 15)) / 20) / rms)


class Student(nn.Module):
    """The encoder with a layer that gives the pretrained encoders' features; only the encoder is exported."""

    def __init__(self, config: StreamingConfig, n_features: int) -> None:
        super().__init__()
        self.encoder = StreamingEncoder(config)
        self.say = nn.Conv1d(config.width, n_features, 1)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) -> features (B, C, T50), log odds of a voice (B, T50)."""
        features, voice = self.encoder(waveform)
        return self.say(features), voice


def distil(
    corpus: Corpus, out: Path, config: DistilConfig, streaming: StreamingConfig | None = None,
    progress: Progress | None = None, save_every: int = 200,
) -> StreamingEncoder:  # fmt: skip
    """Train from the last checkpoint on; return the encoder.

    Raises:
        DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
    """
    torch.manual_seed(config.seed)
    net = Student(streaming or StreamingConfig(), len(corpus.spread))
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=0.08
    )
    run = Run(out, "distil", json.dumps({**asdict(config), **asdict(net.encoder.config)}))
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    net.train()

    def take(step: int) -> dict[str, float]:
        batch = waves, wanted, weight, voice = corpus(step)
        said, odds = net(waves)
        error = ((said - wanted) ** 2).mean(1)  # (B, T50)
        losses = {
            "features": (error * weight).sum() / weight.sum().clamp(min=1),
            "voice": functional.binary_cross_entropy_with_logits(odds, voice),
        }
        total = losses["features"] + config.voice_weight * losses["voice"]
        take_step(total, net, optimiser, batch, partial(corpus.names, step), max_norm=1.0)
        schedule.step()
        return {name: float(value.detach()) for name, value in losses.items()}

    run.drive(parts, config.steps, take, progress, save_every=save_every)
    return net.encoder.eval()


def export_encoder(encoder: StreamingEncoder, path: Path) -> None:
    """Write the encoder as safetensors, half precision, its config in the header; atomically."""
    tensors = {name: value.half().contiguous() for name, value in encoder.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_tensors(tensors, temporary, metadata={"config": json.dumps(asdict(encoder.config))})
    temporary.replace(path)


def main() -> None:
    """Prepare the corpus, train, export and register."""
    from tqdm import tqdm

    from portrait_anim.system.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path, help="folder of recordings with an index.csv, music/ in it")
    parser.add_argument("corpus", type=Path, help="folder for what is made on the way")
    parser.add_argument("--steps", type=int, default=DistilConfig.steps)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_corpus(args.audio, args.corpus)
    music = music_of(args.audio / "music", "train")
    config = DistilConfig(steps=args.steps)
    with tqdm(total=config.steps, unit="step", file=sys.stderr, mininterval=1.0) as bar:

        def progress(step: int, total: int, figures: dict[str, float]) -> None:
            bar.set_postfix(figures, refresh=False)
            bar.update(step - bar.n)

        encoder = distil(Corpus(args.corpus / "voices", music, config), args.corpus / "run", config, progress=progress)
    path = args.out / "streaming_encoder.safetensors"
    export_encoder(encoder, path)
    register(
        "streaming_encoder",
        path,
        licence="CC-BY-4.0",
        training_data=training_data(args.audio),
        source="this repository, distilled from hama_encoder and whisper_tiny_encoder",
        command="python -m portrait_anim.training.speech.distil DATA/audio CORPUS --out checkpoints",
        figures={},
    )  # fmt: skip
    logger.info("%s: %d steps", path, config.steps)


if __name__ == "__main__":
    main()
