"""Sound to identity-normalised face motion."""
