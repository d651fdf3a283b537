"""How long `prepare` takes beside Ray Data, from what the benchmark wrote."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from docs.make.pages import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "shuffle.json"
LEAST_ROWS = 5_000_000


def shuffle() -> str:
    """Return wall, memory and their ratios in a paragraph, and what they were measured with."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    machine, lines = found["machine"], found["measured"]["lines"]
    value = {line["what"]: line["value"] for line in lines}
    peer = next(w for w in value if w.startswith("Ray Data") and w.endswith(", peak over idle"))
    sort = peer.removesuffix(", peak over idle")
    taken = [_of(value, name) for name in ("prepare on Ray", "prepare, local workers", sort)]
    told = (
        f"{lines[0]['setting']}: {taken[0]} on Ray, {taken[1]} without, where the fastest of "
        f"several pipelines in Ray Data ({sort.removeprefix('Ray Data, ')}) takes {taken[2]}. "
        "Memory is that of all processes together, over what they take when idle. "
        f"{_bounds(lines)} Measured by `python -m benchmarks.shuffle` on {machine['date']} with "
        f"{machine['cores']} cores, calhard {machine['calhard']}, pyarrow {machine['pyarrow']}, "
        f"Ray {found['measured']['ray']}."
    )
    load = found["measured"]["load_before_and_after"][0]
    if load >= machine["cores"]:
        told += f" Other work ran on it meanwhile (load {load:g} before): to be measured again."
    return "\n".join([*textwrap.wrap(told, 120, break_on_hyphens=False), ""])


def _bounds(lines: list[dict[str, Any]]) -> str:
    """How many bounds hold; of few rows that says nothing, as much of Ray Data's time is start."""
    bounds = "a third of the wall, half of the memory"
    if int(lines[0]["setting"].split(" rows")[0].replace(",", "")) < LEAST_ROWS:
        return f"The bounds are for ten million rows, and are not shown by so few: {bounds}."
    held = [line["holds"] for line in lines if line["gate"]]
    return f"{sum(held)} of {len(held)} bounds hold: {bounds}."


def _of(value: dict[str, float], name: str) -> str:
    return f"{value[name]:.1f} s and {value[f'{name}, peak over idle']:,.0f} MiB"
