"""Training of lids, brows, gaze and head against three discriminators: frame, sequence and sync."""
