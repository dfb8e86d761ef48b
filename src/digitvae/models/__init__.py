"""The models: the VAE, and later its rivals and helpers."""
