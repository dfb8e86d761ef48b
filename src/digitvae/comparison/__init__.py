"""VAE against GAN on equal terms: the same digits, the same parameters that draw, the same seconds of training.

`contenders` take part, `contest` trains and measures each, a file for each; `summary` puts the files together,
`claims` holds the sentences of the original report against them, and `tables` and `page` show it all.
"""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from digitvae.comparison.claims import claims
from digitvae.comparison.contest import FORMAT, Settings, compare
from digitvae.comparison.page import write_page
from digitvae.comparison.summary import QUALITY, contests, machines
from digitvae.data import Splits

__all__ = ["Settings", "compare", "comparison_content", "write_page"]


def comparison_content(entries: Sequence[dict[str, Any]], settings: Settings, splits: Splits) -> dict[str, Any]:
    """All that ``comparison.json`` holds: data, settings, machines, and models and claims of each machine.

    Args:
        entries: What `compare` gave.
        settings: What it was told.
        splits: Its digits.
    """
    judged = splits.validation if splits.test is None else splits.test
    options = f"--models {','.join(settings.models)} --budget {settings.budget:g} --seeds {settings.seeds}"
    return {
        "format": FORMAT,
        "command": f"digitvae compare {options} --data {shlex.quote(splits.name)} -o comparison",
        "data": {
            "name": splits.name,
            "sha256": splits.sha256,
            "caption": splits.caption,
            "judged": f"judged on {len(judged):,} {'validation' if splits.test is None else 'test'} digits",
            "notes": list(splits.notes),
        },
        "settings": dataclasses.asdict(settings) | {"models": list(settings.models)},
        "quality": QUALITY,
        "machines": machines(entries),
        "contests": [{**contest, "claims": claims(contest["models"])} for contest in contests(entries)],
    }
