"""The wiring between store, workers and disk: who works on what, and what becomes of it."""
