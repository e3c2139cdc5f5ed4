"""Recipes by name: ``full`` makes the shipped weights, the others are compared with it (docs/ablation.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portrait_anim.errors import OptionError
from portrait_anim.training.mouth.trainer import TrainConfig

FULL = TrainConfig()
PLAIN = replace(FULL, stages=1, copies=False, average=0.0)

RECIPES: dict[str, TrainConfig] = {
    "full": FULL,
    "plain": PLAIN,
    "plain, no closure weighting": replace(PLAIN, closure_weight=0.0),
    "plain + average of weights": replace(PLAIN, average=0.99),
    "plain + offsets estimated again": replace(PLAIN, stages=2, amplitudes=False),
    "plain + amplitudes removed": replace(PLAIN, stages=2, offsets=False),
    "plain + both": replace(PLAIN, stages=2),
    "plain + copies": replace(PLAIN, copies=True),
    "full + music rests": replace(FULL, rest_share=0.1, rests=("music", "noise", "silence")),
    "full + other voices": replace(FULL, voices=True),
}


def recipe(name: str, **changes: Any) -> TrainConfig:
    """Return a recipe with some of its fields changed.

    Raises:
        OptionError: no recipe of that name.
    """
    if name not in RECIPES:
        raise OptionError(f"unknown recipe {name!r}: choose one of {', '.join(map(repr, RECIPES))}")
    return replace(RECIPES[name], **changes)
