"""Teach hama's recogniser to hear a voice through music.

    python -m portrait_anim.training.hama_tuned ../shared/data/audio CORPUS --out checkpoints

CORPUS is what ``python -m portrait_anim.training.voices`` made (what is missing of it is made here); CORPUS/run/ holds
checkpoints and logs, resumable.

Of a voice in music, noise or a room, spoken or sung, the first three blocks learn to put out what the recogniser's
own put out of the clean voice. The fourth, which made its posteriors, learns to hold what whisper's encoder says of
it; it is thrown away afterwards with the layers that read whisper's features and the voice off it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.hama import HamaConfig, HamaEncoder
from portrait_anim.audio.mel import power_spectrogram
from portrait_anim.audio.speech import N_BLOCKS, WEIGHTS
from portrait_anim.training.copies import music_of
from portrait_anim.training.runs import Run, Stateful
from portrait_anim.training.stretches import StretchConfig, Stretches
from portrait_anim.training.teachers import hama
from portrait_anim.training.voices import training_data, write_voices


@dataclass(frozen=True)
class TuningConfig:
    """The recipe.

    Attributes:
        steps: of the optimiser.
        learning_rate: peak of the one-cycle schedule, for the recogniser.
        new_rate: the same for the layers that read it.
        whisper_weight: of whisper's features beside the recogniser's own.
        voice_weight: of the voice's cross entropy beside them.
        stretches: what it hears.
        seed: of the new layers' weights.
    """

    steps: int = 1500
    learning_rate: float = 3e-4
    new_rate: float = 3e-3
    whisper_weight: float = 0.7
    voice_weight: float = 0.3
    stretches: StretchConfig = field(default_factory=lambda: StretchConfig(
        batch_size=12, disturbed=0.8, reverberated=0.4, sung=3.0, gain_db=3.0, centred=False
    ))  # fmt: skip
    seed: int = 0


def export_encoder(encoder: HamaEncoder, path: Path) -> None:
    """Write the blocks that are used as safetensors in half precision, atomically."""
    temporary = path.with_suffix(".tmp")
    names = HamaEncoder(HamaConfig(n_blocks=N_BLOCKS)).state_dict()
    save_file({name: encoder.state_dict()[name].half().contiguous() for name in names}, temporary)
    temporary.replace(path)


class Listener(nn.Module):
    """The encoder, and the layers that read whisper's features and the voice off it; only the encoder ships."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.encoder = HamaEncoder()
        width = self.encoder.config.width
        self.n_other = n_features - N_BLOCKS * width
        self.say = nn.Conv1d(2 * width, self.n_other, 1)
        self.voice = nn.Conv1d(2 * width, 1, 5, padding=2)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N) -> the first blocks (B, 432, T50), whisper's features (B, 384, T50), log odds of a voice (B, T50)."""
        power = power_spectrogram(waveform)[..., 1:]  # as SpeechFeatures does
        blocks = self.encoder(power)
        late = torch.cat(blocks[-2:], dim=1)
        return torch.cat(blocks[:N_BLOCKS], dim=1), self.say(late), self.voice(late)[:, 0]


def train_listener(
    stretches: Stretches, out: Path, config: TuningConfig, start: HamaEncoder,
    progress: Callable[[int, int, dict[str, float]], None] | None = None, save_every: int = 100,
) -> HamaEncoder:  # fmt: skip
    """Train from the last checkpoint on, the first time from the recogniser ``start``; return the encoder."""
    torch.manual_seed(config.seed)
    net = Listener(len(stretches.spread))
    net.encoder.load_state_dict({name: start.state_dict()[name] for name in net.encoder.state_dict()})
    spread = torch.from_numpy(stretches.spread).float()[:, None]
    n_own = len(spread) - net.n_other
    ours = list(net.encoder.parameters())
    new = [*net.say.parameters(), *net.voice.parameters()]
    rates = [config.learning_rate, config.new_rate]
    optimiser = torch.optim.AdamW(
        [{"params": part, "lr": rate} for part, rate in zip((ours, new), rates, strict=True)], weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=config.steps + 1, pct_start=0.1)
    run = Run(out, "hama_tuned", json.dumps(asdict(config)))
    parts: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    step = run.load_parts(**parts)
    net.train()
    while step < config.steps:
        waves, wanted, weight, voice = stretches(step)
        own, other, odds = net(waves)
        total = weight.sum().clamp(min=1)

        def error(said: Tensor, of: slice) -> Tensor:
            return (((said / spread[of] - wanted[:, of]) ** 2).mean(1) * weight).sum() / total  # noqa: B023

        losses = {
            "own": error(own, slice(0, n_own)),
            "whisper": error(other, slice(n_own, None)),
            "voice": functional.binary_cross_entropy_with_logits(odds, voice),
        }
        optimiser.zero_grad()
        loss = losses["own"] + config.whisper_weight * losses["whisper"] + config.voice_weight * losses["voice"]
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(ours, 1.0)
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
    return net.encoder.requires_grad_(False).eval()


def main() -> None:
    """Listen, train, export and register."""
    from tqdm import tqdm

    from portrait_anim.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path, help="folder of recordings with an index.csv, music/ in it")
    parser.add_argument("corpus", type=Path, help="folder for what is made on the way")
    parser.add_argument("--steps", type=int, default=TuningConfig.steps)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    write_voices(args.audio, args.corpus)
    config = TuningConfig(steps=args.steps)
    stretches = Stretches(args.corpus / "voices", music_of(args.audio / "music", "train"), config.stretches)
    with tqdm(total=config.steps, unit="step", file=sys.stderr, mininterval=1.0) as bar:

        def progress(step: int, total: int, figures: dict[str, float]) -> None:
            bar.set_postfix(figures, refresh=False)
            bar.update(step - bar.n)

        encoder = train_listener(stretches, args.corpus / "run", config, hama(), progress)
    name = WEIGHTS["hama"]
    path = args.out / f"{name}.safetensors"
    export_encoder(encoder, path)
    register(
        name, path, licence="Apache-2.0 (Seongmin Park, hama; tuned here)",
        training_data=["what hama_encoder was trained on", *training_data(args.audio)],
        source="this repository: hama_encoder, taught by itself and whisper_tiny_encoder",
        command="python -m portrait_anim.training.hama_tuned ../shared/data/audio CORPUS --out checkpoints",
        figures={},
    )  # fmt: skip
    sys.stdout.write(f"{path}: {config.steps} steps\n")


if __name__ == "__main__":
    main()
