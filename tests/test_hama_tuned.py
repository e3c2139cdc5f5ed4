"""The tuning of hama's encoder: what it is shown, that it learns, that it resumes, what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from portrait_anim.audio.hama import HamaConfig, HamaEncoder
from portrait_anim.audio.speech import N_BLOCKS
from portrait_anim.training import teachers
from portrait_anim.training.hama_tuned import TuningConfig, export_encoder, train_listener
from portrait_anim.training.stretches import Stretches


def test_tuning_learns_resumes_and_travels(corpus: Path, tmp_path: Path) -> None:
    usual = TuningConfig()
    shown = replace(usual.stretches, batch_size=4, stretch_s=1.0)
    config = replace(usual, steps=24, learning_rate=1e-3, stretches=shown)
    stretches = Stretches(corpus / "voices", [], shown)
    before = {name: value.clone() for name, value in teachers.hama().state_dict().items()}
    figures: list[float] = []
    whole = train_listener(
        stretches, tmp_path / "w", config, teachers.hama(), lambda step, n, f: figures.append(f["own"] + f["voice"])
    )
    assert all(torch.equal(value, before[name]) for name, value in teachers.hama().state_dict().items())
    assert np.mean(figures[-8:]) < 0.9 * np.mean(figures[:8])

    def stop(step: int, n: int, f: dict[str, float]) -> None:
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_listener(stretches, tmp_path / "h", config, teachers.hama(), stop, save_every=8)
    resumed = train_listener(stretches, tmp_path / "h", config, teachers.hama(), save_every=8)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
    export_encoder(whole, tmp_path / "encoder.safetensors")
    shipped = HamaEncoder(HamaConfig(n_blocks=N_BLOCKS))
    shipped.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    power = torch.rand(1, 201, 100)
    with torch.no_grad():
        for ours, theirs in zip(shipped(power), whole(power), strict=False):
            torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)  # written in half precision
