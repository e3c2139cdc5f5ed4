"""Training data: finding clips, preparing them, making copies in which they are sung."""
