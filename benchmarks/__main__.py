"""Run all benchmarks, each in a process of its own, so that none inherits another's memory or caches."""

import subprocess
import sys

# Not `readers`: it replaces the frozen networks in the package, which must stay as they were when models were judged.
# Nor `dependencies`, `licences` and `fuzz`, which measure no model: they have targets of their own in the Makefile.
ALL = (
    "time_to_seed",
    "against_keras",
    "map_loss",
    "peers",
    "matrix_share",
    "two_dimensions",
    "temperature",
    "hands",
    "control",
)
ALL += (
    "drawing",
    "does_it_help",
    "explorer_load",
    "explorer_browser",
    "notebook",
    "scaling",
    "comparison",
    "sklearn_pipelines",
    "kill",
)


def main() -> None:
    failed = [
        name for name in ALL if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
