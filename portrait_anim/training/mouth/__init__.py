"""Training of the mouth."""
