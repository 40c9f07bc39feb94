"""Images on disk: what they are, finding them, and bringing them to what a model can see."""
