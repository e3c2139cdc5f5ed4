"""From a sound to latents: loading, pretrained speech encoders, trained audio encoder, voice gate."""
