"""Adversarial training of lids, brows, gaze and head."""
