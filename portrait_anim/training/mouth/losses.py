"""Losses of the mouth, in % IOD: one dict by ``group/name``, one table of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from portrait_anim.face.mesh import FACE_OVAL, LIPS_INNER, LIPS_OUTER, MOUTH_CORNERS
from portrait_anim.motion.space import INNER_LIPS, MotionSpace

LOSS_WEIGHTS = {
    "position/lips": 2.0,
    "velocity/lips": 2.0,
    "position/aperture": 0.5,
    "position/width": 0.3,
    "velocity/aperture": 0.5,
    "position/coefficients": 0.1,
}
LOSS_POINTS = sorted(
    {*LIPS_OUTER, *LIPS_INNER, *FACE_OVAL[12:25], 200, 199, 175, 18, 83, 313, 57, 287, 43, 273, 2, 164}
)


class Losses:
    """Compares mouth coefficients by what they do to the lips, the chin, the opening and the width of the mouth.

    Args:
        space: whose coefficients are compared.
        scale: (K,) spread of each coefficient, IOD.
        closure_weight: extra weight of frames in which the real lips are closed.
        total: sums a number over the processes of a run, each of which has a part of the batch.
    """

    def __init__(
        self, space: MotionSpace, scale: Tensor, closure_weight: float, total: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        percent = torch.from_numpy(space.basis).to(scale.device) * 100
        self.total = total or (lambda value: value)
        upper, lower = INNER_LIPS
        left, right = MOUTH_CORNERS
        self.points = percent[:, LOSS_POINTS]  # (K, P, 3)
        self.aperture = percent[:, upper, 1] - percent[:, lower, 1]  # (K,)
        self.width = percent[:, right, 0] - percent[:, left, 0]
        self.scale, self.closure_weight = scale, closure_weight

    def __call__(self, mouth: Tensor, real: Tensor, valid: Tensor, closed: Tensor) -> dict[str, Tensor]:
        """Compare (B, K, T) coefficients; ``valid`` and ``closed`` are (B, T) in 0..1."""
        error = mouth - real
        weight = valid * (1 + self.closure_weight * closed)
        pair = weight[:, 1:] * valid[:, :-1]

        def mean(values: Tensor, by: Tensor) -> Tensor:
            return (values * by).sum() / self.total(by.sum()).clamp(min=1)

        points = torch.einsum("bkt,kpd->btpd", error, self.points)  # (B, T, P, 3)
        aperture = torch.einsum("bkt,k->bt", error, self.aperture)
        width = torch.einsum("bkt,k->bt", error, self.width)
        return {
            "position/lips": mean(points.abs().mean((2, 3)), weight),
            "velocity/lips": mean(points.diff(dim=1).abs().mean((2, 3)), pair),
            "position/aperture": mean(aperture.abs(), weight),
            "position/width": mean(width.abs(), valid),
            "velocity/aperture": mean(aperture.diff(dim=1).abs(), pair),
            "position/coefficients": mean((error / self.scale[:, None]).abs().mean(1), valid),
        }


def weighted_total(losses: dict[str, Tensor]) -> Tensor:
    """Return the sum that is minimised."""
    return torch.stack([LOSS_WEIGHTS[name] * value for name, value in losses.items()]).sum()
