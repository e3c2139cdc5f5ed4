"""Training of the streaming encoder, the voice detector and the causal audio encoder for live sound."""
