"""The three discriminators of Vougioukas et al. 2020, on motion instead of pixels; all return a :class:`Judgement`.

Spectral norm (Miyato et al. 2018) and no batch norm: with it the sync discriminator's gradient vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from portrait_anim.motion.upper import TRACKS

N = len(TRACKS)
VELOCITY, ACCELERATION = 3.0, 4.0  # bring differences to the size of the tracks themselves


@dataclass(frozen=True)
class Judgement:
    """Scores of a batch of motions, above 0 for real; one tensor for each scale looked at, any shape."""

    scores: tuple[Tensor, ...]

    def real_loss(self) -> Tensor:
        """Hinge loss of a discriminator that was shown real motion."""
        return torch.stack([functional.relu(1 - score).mean() for score in self.scores]).sum()

    def fake_loss(self) -> Tensor:
        """Hinge loss of a discriminator that was shown made or mismatched motion."""
        return torch.stack([functional.relu(1 + score).mean() for score in self.scores]).sum()

    def generator_loss(self) -> Tensor:
        """The loss of the generator."""
        return -torch.stack([score.mean() for score in self.scores]).sum()


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Module:
    padding = 1 if kernel == 4 else kernel // 2
    out: nn.Module = spectral_norm(nn.Conv1d(inputs, outputs, kernel, stride, padding))
    return out


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


def _over_time(condition: Tensor, n_frames: int) -> Tensor:
    return condition[:, :, None].expand(-1, -1, n_frames)


def _velocity(motion: Tensor) -> Tensor:
    return VELOCITY * functional.pad(motion.diff(dim=-1), (1, 0))


class FrameDiscriminator(nn.Module):
    """Judges single frames: can a face of this neutral shape look like that?"""

    def __init__(self, n_condition: int, latent_width: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_conv(N + n_condition, width), _conv(width, width)])
        self.head = _conv(width, 1)

    def forward(self, latents: Tensor, motion: Tensor, condition: Tensor) -> Judgement:
        """Judge motion (B, 11, T) with its condition (B, C)."""
        x = torch.cat([motion, _over_time(condition, motion.shape[-1])], 1)
        for layer in self.layers:
            x = _leaky(layer(x))
        return Judgement((self.head(x),))


class SequenceDiscriminator(nn.Module):
    """Judges stretches: does it move like a face? By position, velocity and acceleration at three time scales."""

    def __init__(self, n_condition: int, latent_width: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                _conv(3 * N + n_condition, width, 5),
                *(_conv(width, width, 4, 2) for _ in range(3)),
                _conv(width, width, 3),
            ]
        )
        self.heads = nn.ModuleList([_conv(width, 1) for _ in range(3)])
        self.whole = nn.ModuleList([spectral_norm(nn.Linear(2 * width, width)), spectral_norm(nn.Linear(width, 1))])

    def forward(self, latents: Tensor, motion: Tensor, condition: Tensor) -> Judgement:
        """Judge motion (B, 11, T) with its condition (B, C); T at least 16."""
        acceleration = ACCELERATION * functional.pad(motion.diff(n=2, dim=-1), (1, 1))
        x = torch.cat([motion, _velocity(motion), acceleration, _over_time(condition, motion.shape[-1])], 1)
        scores = []
        for i, layer in enumerate(self.layers):
            x = _leaky(layer(x))
            if i % 2 == 0:
                scores.append(self.heads[i // 2](x))
        statistics = torch.cat([x.mean(2), (x.var(2) + 1e-4).sqrt()], 1)
        whole = self.whole[1](_leaky(self.whole[0](statistics)))
        return Judgement((torch.cat([score.flatten(1) for score in scores], 1), whole))


class SyncDiscriminator(nn.Module):
    """Judges whether a voice and a motion belong together."""

    def __init__(self, n_condition: int, latent_width: int, width: int = 64) -> None:
        super().__init__()
        self.latents = _conv(latent_width, 32)
        self.layers = nn.ModuleList([_conv(32 + 2 * N, width, 5), _conv(width, width, 4, 2), _conv(width, width, 4, 2)])
        self.head = _conv(width, 1, 3)

    def forward(self, latents: Tensor, motion: Tensor, condition: Tensor) -> Judgement:
        """Judge latents (B, C, T) with motion (B, 11, T)."""
        x = torch.cat([self.latents(latents), motion, _velocity(motion)], 1)
        for layer in self.layers:
            x = _leaky(layer(x))
        return Judgement((self.head(x),))


DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "frame": FrameDiscriminator,
    "sequence": SequenceDiscriminator,
    "sync": SyncDiscriminator,
}
