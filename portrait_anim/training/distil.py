"""Make the streaming encoder: a small causal net learns to say what the two pretrained encoders say of a clean voice.

    python -m portrait_anim.training.distil ../shared/data/audio CORPUS --out checkpoints

CORPUS is what ``python -m portrait_anim.training.voices`` made (what is missing of it is made here); CORPUS/run/ holds
checkpoints and logs, resumable.

While it trains, voices are mixed with music and noise (6 dB below to 15 dB above them), brought to another level, and
sounds without a voice are given; what is asked for is always what the pretrained encoders say of the clean voice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.speech import SpeechConfig
from portrait_anim.audio.streaming import StreamingConfig, StreamingEncoder
from portrait_anim.training.copies import music_of
from portrait_anim.training.runs import Run, Stateful
from portrait_anim.training.stretches import StretchConfig, Stretches
from portrait_anim.training.voices import training_data, write_voices

Array = npt.NDArray[np.float32]
LEVEL_DBFS = SpeechConfig.level_dbfs


@dataclass(frozen=True)
class DistilConfig:
    """The recipe.

    Attributes:
        steps: of the optimiser.
        learning_rate: peak of the one-cycle schedule.
        voice_weight: of the voice's cross entropy beside the features' error.
        seed: of the weights.
    """

    steps: int = 2400
    learning_rate: float = 2e-3
    voice_weight: float = 0.3
    seed: int = 0


class Student(nn.Module):
    """The encoder with the layer that says the pretrained encoders' features; only the encoder ships."""

    def __init__(self, config: StreamingConfig, n_features: int) -> None:
        super().__init__()
        self.encoder = StreamingEncoder(config)
        self.say = nn.Conv1d(config.width, n_features, 1)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) -> features (B, C, T50), log odds of a voice (B, T50)."""
        features, voice = self.encoder(waveform)
        return self.say(features), voice


def distil(
    stretches: Stretches, out: Path, config: DistilConfig, streaming: StreamingConfig | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None, save_every: int = 200,
) -> StreamingEncoder:  # fmt: skip
    """Train from the last checkpoint on; return the encoder."""
    torch.manual_seed(config.seed)
    net = Student(streaming or StreamingConfig(), len(stretches.spread))
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=0.08
    )
    run = Run(out, "distil", json.dumps({**asdict(config), **asdict(net.encoder.config)}))
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    step = run.load_parts(**parts)
    net.train()
    while step < config.steps:
        waves, wanted, weight, voice = stretches(step)
        said, odds = net(waves)
        error = ((said - wanted) ** 2).mean(1)  # (B, T50)
        losses = {
            "features": (error * weight).sum() / weight.sum().clamp(min=1),
            "voice": functional.binary_cross_entropy_with_logits(odds, voice),
        }
        optimiser.zero_grad()
        (losses["features"] + config.voice_weight * losses["voice"]).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        step += 1
        figures = {name: float(value.detach()) for name, value in losses.items()}
        if step % 20 == 0 or step == config.steps:
            run.log(step, figures)
        if step % save_every == 0 or step == config.steps:
            run.save_parts(step, **parts)
        if progress:
            progress(step, config.steps, figures)
    return net.encoder.eval()


def export_encoder(encoder: StreamingEncoder, path: Path) -> None:
    """Write the encoder as safetensors, half precision, its config in the header; atomically."""
    tensors = {name: value.half().contiguous() for name, value in encoder.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_tensors(tensors, temporary, metadata={"config": json.dumps(asdict(encoder.config))})
    temporary.replace(path)


def main() -> None:
    """Listen, train, export and register."""
    from tqdm import tqdm

    from portrait_anim.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path, help="folder of recordings with an index.csv, music/ in it")
    parser.add_argument("corpus", type=Path, help="folder for what is made on the way")
    parser.add_argument("--steps", type=int, default=DistilConfig.steps)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    write_voices(args.audio, args.corpus)
    music = music_of(args.audio / "music", "train")
    config = DistilConfig(steps=args.steps)
    stretches = Stretches(args.corpus / "voices", music, StretchConfig())
    with tqdm(total=config.steps, unit="step", file=sys.stderr, mininterval=1.0) as bar:

        def progress(step: int, total: int, figures: dict[str, float]) -> None:
            bar.set_postfix(figures, refresh=False)
            bar.update(step - bar.n)

        encoder = distil(stretches, args.corpus / "run", config, progress=progress)
    path = args.out / "streaming_encoder.safetensors"
    export_encoder(encoder, path)
    register(
        "streaming_encoder",
        path,
        licence="CC-BY-4.0",
        training_data=training_data(args.audio),
        source="this repository, distilled from hama_encoder and whisper_tiny_encoder",
        command="python -m portrait_anim.training.distil ../shared/data/audio CORPUS --out checkpoints",
        figures={},
    )  # fmt: skip
    sys.stdout.write(f"{path}: {config.steps} steps\n")


if __name__ == "__main__":
    main()
