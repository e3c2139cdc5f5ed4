"""Training of what hears: the streaming encoder, the voice detector, the live head."""
