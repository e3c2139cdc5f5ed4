"""Training of the causal audio encoder for live sound: from the streaming encoder's features to latents.

Its latents go through the mouth net's own generator, which is not changed, and the losses are those of the mouth. The
distance to the mouth net's latents is added, since the upper face is made from latents too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from portrait_anim.audio.encoder import AudioEncoder
from portrait_anim.audio.speech import SpeechConfig, fit_length, level_gain
from portrait_anim.audio.streaming import StreamingEncoder
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.data.clips import Alignment, Batches, Example, copy_example, example_of
from portrait_anim.training.data.copies import Copy
from portrait_anim.training.data.prepare import Clip
from portrait_anim.training.mouth.losses import Losses, weighted_total
from portrait_anim.training.mouth.trainer import TrainConfig
from portrait_anim.training.runs import Progress, Run, Stateful
from portrait_anim.training.steps import take_step

LATENT_WEIGHT = 2.0  # weight of the latents' mean distance, beside losses in % IOD
REST_SHARE = 0.1  # share of stretches without a voice, at which the mouth rests
FULL_SCALE = 32767
Item = TypeVar("Item", Clip, Copy)


def with_streaming(items: Sequence[Item], speech: StreamingEncoder) -> list[Item]:
    """Return the items with the streaming encoder's channels appended to their features."""
    out = []
    for item in items:
        features = item.tensors["features"]
        sound = torch.from_numpy(item.tensors["waveform"].astype(np.float32) / FULL_SCALE)[None]
        sound = fit_length(sound)
        with torch.no_grad():
            heard = speech(sound * level_gain(sound, SpeechConfig())[:, None])[0][0].numpy()
        heard = np.pad(heard, ((0, 0), (0, max(0, features.shape[1] - heard.shape[1]))), mode="edge")
        both = np.concatenate([features, heard[:, : features.shape[1]].astype(features.dtype)])
        out.append(replace(item, tensors={**item.tensors, "features": both}))
    return out


def live_examples(
    clips: Sequence[Clip],
    copies: Sequence[Copy],
    speech: StreamingEncoder,
    space: MotionSpace,
    fits: dict[str, Alignment],
) -> tuple[list[Example], list[Example]]:
    """Return examples with and without a voice, as for the mouth, with the streaming encoder's channels appended."""
    voices = [example_of(clip, space, fits.get(clip.info.id)) for clip in with_streaming(clips, speech)]
    known = {clip.info.id: clip for clip in clips}
    mine = [
        copy for copy in copies
        if copy.info.split == "train" and copy.info.kind != "voice" and copy.info.clip in {"", *known}
    ]  # fmt: skip
    rests: list[Example] = []
    for copy in with_streaming(mine, speech):
        clip = known.get(copy.info.clip)
        example = copy_example(copy, clip, space, fits.get(copy.info.clip))
        (voices if clip else rests).append(example)
    for example in (*voices, *rests):
        example.mean[-speech.config.width :] = 0  # the mean of a recording is not known while it comes
    return voices, rests


def train_live(
    net: MouthNet,
    space: MotionSpace,
    speech: StreamingEncoder,
    clips: Sequence[Clip],
    copies: Sequence[Copy],
    fits: dict[str, Alignment],
    config: TrainConfig,
    out: Path,
    progress: Progress | None = None,
    save_every: int = 100,
) -> AudioEncoder:
    """Train the causal audio encoder, from the last checkpoint on.

    Args:
        net: the finished mouth net, which stays as it is.
        space: of its coefficients.
        speech: the streaming encoder, which stays as it is.
        clips: train clips.
        copies: of them, and rests; the rest is left out.
        fits: offset and amplitude of each clip.
        config: the recipe the mouth was trained by.
        out: folder of checkpoints and logs.
        progress: called as ``progress(step, steps, figures)``.
        save_every: steps between checkpoints.

    Raises:
        DataError: the folder holds the checkpoint of another recipe, or a batch's loss is not a number.
    """
    torch.manual_seed(config.seed)
    voices, rests = live_examples(clips, copies, speech, space, fits)
    batches = Batches(voices, rests, config.batch_size, config.stretch, config.seed, REST_SHARE)
    encoder, width = net.config.encoder, speech.config.width
    head = AudioEncoder(replace(encoder, n_features=width, remove_mean=False, causal=True))
    losses_of = Losses(space, net.scale.clone(), config.closure_weight)
    n_steps = config.epochs * batches.per_epoch
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=n_steps + 1)
    run = Run(out, f"live_{config.weights}", json.dumps({**asdict(config), "n_steps": n_steps}))
    parts: dict[str, Stateful] = {"head": head, "optimiser": optimiser, "schedule": schedule}

    def take(step: int) -> dict[str, float]:
        batch = features, mouth, valid, closed = batches(step)
        with torch.no_grad():
            wanted = net.encoder(features[:, :-width], features.new_zeros(1))
        latents = head(features[:, -width:])
        losses = losses_of(net.mouth(latents), mouth, valid, closed)
        away = ((latents - wanted).abs().mean(1) * valid).sum() / valid.sum().clamp(min=1)
        total = weighted_total(losses) + LATENT_WEIGHT * away
        take_step(total, head, optimiser, batch, partial(batches.names, step), max_norm=5.0)
        schedule.step()
        return {name: float(v.detach()) for name, v in {"total": total, "latents": away, **losses}.items()}

    run.drive(parts, n_steps, take, progress, save_every=save_every)
    return head.requires_grad_(False).eval()
