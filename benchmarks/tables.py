"""Write the tables of README and docs from ``benchmarks/results/*.json``: no number is typed by hand.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.common import RESULTS

ROOT = Path(__file__).parent.parent
PLACES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("results", "explorer", "scikit-learn", "vae-and-gan", "scaling", "dependencies")),
)
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(name: str) -> str:
    """One result as a Markdown table, with its command and the machine below."""
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    columns, rows, machine = result["table"]["columns"], result["table"]["rows"], result["hardware"]
    lines = [_row(columns), _row(["---"] * len(columns)), *map(_row, rows), ""]
    amx = ", AMX" if machine.get("amx") else ""
    lines += [
        f"`{result['command']}`, {machine['date'][:10]}: {machine['processor']} ({machine['instructions']}{amx}), "
        f"{machine['cores']} cores, torch {machine['torch']}."
    ]
    if "peak_memory_mb" in result:
        lines += [f"{result['seconds']:.0f} s in all, {result['peak_memory_mb']:.0f} MB of memory at most."]
    return "\n".join(lines) + "\n"


def fill(text: str) -> str:
    """The text with each marked table written anew; one that was never measured is left as it is."""

    def written(found: re.Match[str]) -> str:
        measured = (RESULTS / f"{found[2]}.json").exists()
        return found[1] + table(found[2]) + found[3] if measured else found[0]

    return MARK.sub(written, text)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    for place in PLACES:
        path = ROOT / place
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
