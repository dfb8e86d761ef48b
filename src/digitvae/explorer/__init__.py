"""The explorer: a page in the browser on a run or a model, served on this machine alone, or written to a folder."""
