"""Write speech_encoders.npz: what libhama and CTranslate2 say about 2 s of LibriSpeech (CC BY 4.0).

    PYTHONPATH=. python tests/golden/make_speech_encoders.py --hama FOLDER_WITH_HAMA --whisper MODEL_FOLDER RECORDING

needs hama 1.7.0 and ctranslate2; the tests need neither. The recording (7113-86041-0000, read by speaker 7113) is
stored with the answers, as 16-bit samples.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
import torch

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.mel import log_mel
from portrait_anim.config import SAMPLE_RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--hama", type=Path, required=True, help="folder that holds the package hama")
    parser.add_argument("--whisper", type=Path, required=True, help="folder of the CTranslate2 model")
    options = parser.parse_args()
    whole = load_audio(options.recording)
    samples = np.round(whole[SAMPLE_RATE : 3 * SAMPLE_RATE] * 32767).astype(np.int16)
    waveform = samples.astype(np.float32) / 32767

    sys.path.insert(0, str(options.hama))
    engine = importlib.import_module("hama._engine")
    session = engine.AsrSession((options.hama / "hama/assets/asr_waveform.hama").read_bytes())
    log_probs = session.run(["log_probs"], {"waveform": waveform})[0][0]

    ctranslate2 = importlib.import_module("ctranslate2")
    model = ctranslate2.models.Whisper(str(options.whisper), compute_type="float32")
    mel = log_mel(torch.from_numpy(waveform)[None])[..., :-1]
    mel = (torch.maximum(mel, mel.amax() - 8) + 4) / 4
    encoded = np.array(model.encode(ctranslate2.StorageView.from_array(mel.numpy()), to_cpu=True))[0]

    np.savez_compressed(
        Path(__file__).with_name("speech_encoders.npz"),
        samples=samples,
        hama_log_probs=log_probs.astype(np.float32),
        whisper=encoded.astype(np.float32),
    )


if __name__ == "__main__":
    main()
