"""From a sound to what drives the face: loading, pretrained speech encoders, trained head, voice gate."""
