"""digitvae: variational autoencoders for handwritten digits."""

__version__ = "0.1.0.dev0"
