"""Training data: finding clips, preparing them, copies of them as song."""
