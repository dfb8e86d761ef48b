"""Lets ``python -m digitvae`` run the command line."""

from digitvae.cli import main

main()
