"""A published night in three pictures, in cells (``# %%``) for a notebook or an editor.

    python examples/plot_night.py NIGHT [PICTURES]

NIGHT is a folder such as audits/nights/night=2026-05-31; the pictures are written to PICTURES, by
default the current folder. Needs matplotlib (the extra ``plots``).
"""

# %% The night's tables
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

NIGHT = Path(sys.argv[1])
PICTURES = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
PICTURES.mkdir(parents=True, exist_ok=True)
evidence = pq.read_table(NIGHT / "evidence.parquet")
incidents = pq.read_table(NIGHT / "incidents.parquet").to_pylist()
values = pq.read_table(NIGHT / "series")

# %% Of the most urgent incidents, the series that is least likely to be chance
SHOWN = 6


def worst_series(incident: dict) -> dict:
    """Return the evidence of the incident's series with the smallest q."""
    of_models = pc.field("model_id").isin(incident["models"])
    of_metrics = pc.field("metric").isin(incident["metrics"])
    rows = evidence.filter(of_models & of_metrics).to_pylist()
    return min(rows, key=lambda row: 1.0 if row["q_value"] is None else row["q_value"])


def draw(axes: plt.Axes, row: dict, title: str) -> None:
    """Draw a series: its analysis window shaded, baseline dashed, onset as a line."""
    mine = (pc.field("model_id") == row["model_id"]) & (pc.field("class_id") == row["class_id"])
    its = values.filter(mine)
    time, value = its["timestamp"].to_pylist(), its[row["metric"]].to_numpy()
    axes.plot(time, value, ".-", markersize=2, linewidth=0.6, color="tab:blue")
    if row["analysis_start"] is not None:
        axes.axvspan(row["analysis_start"], time[-1], color="tab:orange", alpha=0.15)
    if row["baseline_value"] is not None:
        axes.axhline(row["baseline_value"], color="black", linestyle="--", linewidth=0.8)
    if row["onset"] is not None:
        axes.axvline(row["onset"], color="tab:red", linewidth=0.8)
    axes.set_title(f"{title}\n{row['class_id']}, {row['metric']}", fontsize=8)
    axes.tick_params(labelsize=6)


shown = incidents[:SHOWN]
figure, grid = plt.subplots(
    max(len(shown), 1), 1, figsize=(8, 2 * max(len(shown), 1)), squeeze=False, layout="constrained"
)
for axes, incident in zip(grid[:, 0], shown, strict=False):
    draw(axes, worst_series(incident), f"{incident['severity']}: {incident['title']}")
if not shown:
    grid[0, 0].set_title("no incident")
figure.savefig(PICTURES / "incidents.png", dpi=120)

# %% The models that moved most, by metric: the largest change of level, in standard deviations
MOST_MODELS = 40
tested = evidence.filter(pc.field("cohens_d").is_valid())
largest = tested.append_column("size", pc.abs(tested["cohens_d"]))
cells = largest.group_by(["model_id", "metric"]).aggregate([("size", "max")]).to_pylist()
by_size = sorted(cells, key=lambda cell: -cell["size_max"])
models = sorted(list(dict.fromkeys(cell["model_id"] for cell in by_size))[:MOST_MODELS])
metrics = list(dict.fromkeys(cell["metric"] for cell in cells))
heat = np.full((len(models), len(metrics)), np.nan)
for cell in (cell for cell in cells if cell["model_id"] in models):
    heat[models.index(cell["model_id"]), metrics.index(cell["metric"])] = cell["size_max"]

figure, axes = plt.subplots(figsize=(6, 1.5 + 0.2 * len(models)), layout="constrained")
image = axes.imshow(heat, aspect="auto", cmap="magma_r", vmin=0.0)
axes.set_xticks(range(len(metrics)), metrics, rotation=45, ha="right", fontsize=7)
axes.set_yticks(range(len(models)), models, fontsize=7)
figure.colorbar(image, label="largest |Cohen's d| of its classes")
figure.savefig(PICTURES / "heat-map.png", dpi=120)

# %% The p-values of the level test: flat where nothing happens, a peak at 0 where something does
p = evidence["p_level"].drop_null().to_numpy()
p = p[~np.isnan(p)]
bins = 20
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.hist(p, bins=bins, range=(0, 1), color="tab:blue")
axes.axhline(len(p) / bins, color="black", linestyle="--", linewidth=0.8)
axes.set_xlabel(f"p of the level test, {len(p):,} series; dashed: if nothing had happened")
axes.set_ylabel("series")
figure.savefig(PICTURES / "p-values.png", dpi=120)

# %%
for name in ("incidents", "heat-map", "p-values"):
    print(PICTURES / f"{name}.png")
