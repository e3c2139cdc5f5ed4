"""Latents to mouth motion."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from portrait_anim.motion.space import N_COMPONENTS


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes; travels with the weights.

    Attributes:
        width: channels of the latents.
        n_components: coefficients of the mouth.
    """

    width: int = 128
    n_components: int = N_COMPONENTS


class Generator(nn.Module):
    """Latents (B, width, T25) -> mouth coefficients (B, K, T25), IOD units."""

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GeneratorConfig()
        self.out = nn.Conv1d(config.width, config.n_components, 1)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, width, T) -> (B, K, T)."""
        mouth: Tensor = self.out(latents)
        return mouth
