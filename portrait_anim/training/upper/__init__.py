"""Adversarial training (GAN) of lids, brows, gaze and head."""
