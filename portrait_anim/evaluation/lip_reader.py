"""A small lip-reader: reads the words of GRID's sentences from how a mouth moves.

The task is that of LipNet (Assael et al. 2016), but the input are the coefficients of :class:`MotionSpace` instead of
pixels. It is trained only on the main speaker's real motion: trained on generated motion, it would not notice its
flaws.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.config import FPS
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.steps import check_finite, take_step

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int, float], None]

# GRID's grammar (Cooke et al. 2006): a clip's name is its sentence, a letter or digit a word, in this order
SLOTS = {
    "command": dict(zip("blps", ("bin", "lay", "place", "set"), strict=True)),
    "colour": dict(zip("bgrw", ("blue", "green", "red", "white"), strict=True)),
    "preposition": dict(zip("abiw", ("at", "by", "in", "with"), strict=True)),
    "letter": {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # no w: its name is too long
    "digit": dict(
        zip("z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
    ),
    "adverb": dict(zip("anps", ("again", "now", "please", "soon"), strict=True)),
}  # fmt: skip
SENTENCE = re.compile(r"(?:^|_|/)([blps][bgrw][abiw][a-vx-z][z1-9][anps])$")
N_FRAMES = 3 * FPS  # of every GRID clip


@dataclass(frozen=True)
class ReaderConfig:
    """The net and its recipe.

    Attributes:
        n_components: coefficients of the mouth.
        width: channels.
        dilations: one residual block each.
        dropout: share of channels dropped in training.
        epochs: passes over the clips.
        batch_size: clips a step.
        learning_rate: peak of the one-cycle schedule.
        seed: of weights, order and augmentation.
    """

    n_components: int = 16
    width: int = 96
    dilations: tuple[int, ...] = (1, 2)
    dropout: float = 0.3
    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 3e-3
    seed: int = 0


class LipReader(nn.Module):
    """Motion (B, K, N_FRAMES) in IOD -> logits of each slot's words, six times (B, words).

    Convolutions over coefficients, their speed and acceleration, then a GRU both ways, as in LipNet; every slot attends
    to its own frames.
    """

    scale: Tensor

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("scale", torch.ones(config.n_components))  # spread of each coefficient, IOD
        self.first = nn.Conv1d(3 * config.n_components, width, 5, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(8, width), nn.GELU(), nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation),
                nn.GroupNorm(8, width), nn.GELU(), nn.Dropout(config.dropout), nn.Conv1d(width, width, 1),
            )
            for dilation in config.dilations
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.memory = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.attention = nn.Conv1d(2 * width, len(SLOTS), 1)
        self.places = nn.Parameter(torch.zeros(len(SLOTS), N_FRAMES))  # where in a clip a slot's word usually is
        self.heads = nn.ModuleList(nn.Linear(2 * width, len(words)) for words in SLOTS.values())

    def forward(self, mouth: Tensor) -> list[Tensor]:
        """Return the logits."""
        track = mouth / self.scale[:, None]
        speed = functional.pad(track.diff(dim=-1), (1, 0))
        acceleration = functional.pad(speed.diff(dim=-1), (1, 0))
        hidden = self.first(torch.cat([track, 2 * speed, 2 * acceleration], 1))  # (B, width, T)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        hidden = self.dropout(functional.gelu(hidden)).transpose(1, 2)  # (B, T, width)
        hidden = self.dropout(self.memory(hidden)[0])  # (B, T, 2 width)
        looks = (self.attention(hidden.transpose(1, 2)) + self.places).softmax(-1)  # (B, 6, T)
        seen = looks @ hidden  # (B, 6, 2 width)
        return [head(seen[:, i]) for i, head in enumerate(self.heads)]

    def read(self, mouths: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.int64]:
        """Return the words of (T, K) mouths as numbers in their slots, (N, 6)."""
        with torch.no_grad():
            logits = self(_stack(mouths))
        return np.stack([slot.argmax(1).numpy() for slot in logits], axis=1)


def sentence_of(clip_id: str) -> tuple[int, ...] | None:
    """Return a clip's six words as numbers in their slots; None when the name is no GRID sentence.

    >>> sentence_of("grid_s1__bbaf2n")
    (0, 0, 0, 5, 2, 1)
    """
    found = SENTENCE.search(clip_id)
    if found is None:
        return None
    return tuple(list(words).index(key) for words, key in zip(SLOTS.values(), found[1], strict=True))


def words_of(sentence: Sequence[int]) -> list[str]:
    """Return the words of a sentence of numbers.

    >>> words_of((0, 0, 0, 5, 2, 1))
    ['bin', 'blue', 'at', 'f', 'two', 'now']
    """
    return [list(words.values())[i] for words, i in zip(SLOTS.values(), sentence, strict=True)]


def _stack(mouths: Sequence[npt.NDArray[np.floating]]) -> Tensor:
    """Return (N, K, N_FRAMES) of (T, K) mouths: longer ones are cut, the last frame of shorter ones is held."""
    at = np.arange(N_FRAMES)
    rows = [mouth[np.minimum(at, len(mouth) - 1)] for mouth in mouths]
    return torch.from_numpy(np.stack(rows).astype(np.float32)).transpose(1, 2)


def augment(mouth: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary motion (B, K, T), in units of each coefficient's standard deviation, for training.

    In time: up to 12 % faster or slower, up to 4 frames earlier or later, and a slow variation of 1.5 frames. In size:
    all coefficients together (15 %), each alone (10 %), and its value at rest. Noise of up to a tenth is added, and in
    every second clip some frames are lost.
    """
    n_clips, n_components, n_frames = mouth.shape
    steps = np.arange(n_frames)
    shape = (n_clips, 1)
    at = (steps - n_frames / 2) * rng.uniform(0.88, 1.12, shape) + n_frames / 2 + rng.uniform(-4, 4, shape)
    phase = rng.uniform(0, 2 * np.pi, shape)
    at = at + rng.uniform(0, 1.5, shape) * np.sin(2 * np.pi * steps / 30 + phase)
    at = at.clip(0, n_frames - 1.001)
    before = torch.from_numpy(at.astype(np.int64))[:, None].expand(-1, n_components, -1)  # (B, K, T)
    part = torch.from_numpy((at % 1).astype(np.float32))[:, None]
    out = mouth.gather(2, before) * (1 - part) + mouth.gather(2, before + 1) * part
    each = (n_clips, n_components, 1)
    size = np.exp(rng.normal(0, 0.15, (n_clips, 1, 1)) + rng.normal(0, 0.1, each))
    noise = rng.normal(0, 0.1, mouth.shape) * rng.uniform(0, 1, (n_clips, 1, 1)) + rng.normal(0, 0.1, each)
    out = out * torch.from_numpy(size.astype(np.float32)) + torch.from_numpy(noise.astype(np.float32))
    for row in np.flatnonzero(rng.random(n_clips) < 0.5):
        start, length = rng.integers(0, n_frames - 6), rng.integers(1, 6)
        out[row, :, start : start + length] = 0
    return out


def train_reader(
    config: ReaderConfig,
    mouths: Sequence[npt.NDArray[np.floating]],
    sentences: Sequence[Sequence[int]],
    progress: Progress | None = None,
    names: Sequence[str] | None = None,
) -> LipReader:
    """Train a reader on real motion.

    Args:
        config: the recipe.
        mouths: (T, K) coefficients of a clip each, IOD.
        sentences: their words, see :func:`sentence_of`.
        progress: called after an epoch as ``progress(done, total, loss)``.
        names: of the clips, for messages; None counts them from 1.

    Raises:
        DataError: a clip's motion or a batch's loss is not a number.
    """
    called = names or [f"number {i + 1}" for i in range(len(mouths))]
    for name, mouth in zip(called, mouths, strict=True):
        check_finite(name, {"mouth": mouth})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        rng = np.random.default_rng(config.seed)
        net = LipReader(config)
        motion, words = _stack(mouths), torch.tensor(np.array(sentences))
        spread = motion.std((0, 2))
        net.scale.copy_(spread.clamp_min(1e-3 * float(spread.max())))
        per_epoch = max(1, len(motion) // config.batch_size)
        optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=config.epochs * per_epoch + 1
        )
        for epoch in range(config.epochs):
            order = rng.permutation(len(motion))
            for k in range(per_epoch):
                rows = order[k * config.batch_size : (k + 1) * config.batch_size]
                seen = augment(motion[rows] / net.scale[:, None], rng) * net.scale[:, None]
                loss = torch.stack(
                    [
                        functional.cross_entropy(slot, words[rows, i], label_smoothing=0.05)
                        for i, slot in enumerate(net(seen))
                    ]
                ).sum()
                in_batch = partial(_named, called, rows)
                take_step(loss, net, optimiser, (motion[rows],), in_batch, max_norm=5.0)
                schedule.step()
            if progress:
                progress(epoch + 1, config.epochs, float(loss.detach()))
    return net.eval()


def _named(names: Sequence[str], rows: npt.NDArray[np.integer]) -> list[str]:
    return [names[row] for row in rows]


def cached_reader(
    folder: Path,
    config: ReaderConfig,
    space: MotionSpace,
    clips: dict[str, Array],
    progress: Progress | None = None,
) -> LipReader:
    """Return the reader trained on these clips, from the folder when it was trained before.

    Args:
        folder: holds one file a reader, named after recipe, basis and clips.
        config: the recipe.
        space: whose coefficients it reads.
        clips: (T, K) real motion by the id of a clip that names a GRID sentence.
        progress: see :func:`train_reader`.
    """
    key = hashlib.sha256(json.dumps(asdict(config)).encode() + space.basis.tobytes())
    for name, mouth in clips.items():
        key.update(name.encode() + mouth.tobytes())
    path = folder / f"lip_reader_{key.hexdigest()[:16]}.safetensors"
    if path.is_file():
        net = LipReader(config)
        net.load_state_dict(load_file(path))
        return net.eval()
    sentences = [sentence for name in clips if (sentence := sentence_of(name)) is not None]
    net = train_reader(config, list(clips.values()), sentences, progress, list(clips))
    temporary = path.with_suffix(".tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        logger.info("the lip-reader is not kept for the next time: %s", error)
    return net
