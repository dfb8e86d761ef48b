"""The models: the VAE, its rival, readers, and what the digits of a hand share."""
