"""``calhard audit``: one night."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calhard.cli import engines, options, source
from calhard.cli.sending import check_server, send_night
from calhard.errors import ConfigError

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

DISABLED = "calhard is disabled by its configuration (enabled = false); nothing was done"
ORIGINS = {
    "plan_sha256": "with another configuration",
    "baseline_sha256": "with another baseline",
    "input_sha256": "from another input",
}
"""What a night was made of, by its key in the summary."""


@click.command("audit", no_args_is_help=True)
@click.argument("history")
@click.option(
    "--out",
    required=True,
    type=options.NIGHTS,
    help="Folder of the nights, created if need be, or s3://BUCKET/PATH: a night is then staged in "
    "a local folder ([storage] scratch, or a temporary one) and put there, its manifest last.",
)
@options.config
@options.as_of
@options.fleet
@engines.options
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="What computes them.",
)
@click.option(
    "--mlflow-uri",
    metavar="U",
    help="MLflow server, such as http://127.0.0.1:5000, that the night is sent to (overrides the "
    "configuration), and of which HISTORY is an experiment if it is mlflow:EXPERIMENT.",
)
@click.option(
    "--baseline",
    metavar="F",
    help="Values that drift is measured against: Parquet, Arrow IPC or CSV, a row per model and "
    "class; or pinned, what calhard baseline has put into force (pinned:2 its second version). "
    "Without it, and for what it lacks, the reference window's mean.",
)
@click.option("--force", is_flag=True, help="Audit a published night again, as a new revision.")
@click.option("--quiet", "-q", is_flag=True, help="No progress; nothing on stdout when healthy.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1 for confirmed findings.")
def command(
    *,
    history: str,
    out: Path | str,
    config: Path | None,
    as_of: str | None,
    fleet: str | None,
    engine: str,
    ray_address: str | None,
    device: str,
    mlflow_uri: str | None,
    baseline: str | None,
    workers: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    exit_zero: bool,
) -> int:
    """Audit one night of HISTORY: calibration metrics in a file, a folder, at a URI, in MLflow.

    \b
    Examples:
      calhard audit history/ --out nights
      calhard audit s3://bucket/history --out s3://bucket/nights --config calhard.toml
      calhard audit history.parquet --out nights --as-of 2026-05-31T00:00Z --json
      calhard audit history/ --out nights --baseline agreed.csv
      calhard audit mlflow:fraud --out nights --mlflow-uri http://127.0.0.1:5000
      calhard audit /shared/history --out /shared/nights --engine ray --ray-address auto

    \b
    Exit codes:
      0  audited, nothing confirmed        3  degraded: coverage under its bound
      1  audited, confirmed findings       4  failed, nothing published
      2  usage or configuration error     75  the night is being written by someone else

    With --mlflow-uri, or a uri under [mlflow] of the configuration, the night is sent to MLflow
    when it is published. What goes wrong there is told and changes neither night nor exit code;
    calhard publish OUT --pending sends it later.

    A night that is published already is not audited again: its summary is printed and its exit
    code returned. --force writes a new revision and keeps the old one.
    """
    from calhard.cli.progress import progress
    from calhard.cli.show import show_night
    from calhard.history import History
    from calhard.pipeline import run_audit
    from calhard.registry.baselines import choose_baseline
    from calhard.store import open_night

    if device == "gpu":
        raise ConfigError("--device gpu is not available in this version; use --device cpu")
    plan = options.load_plan(config, fleet)
    if not plan.enabled:
        click.echo(DISABLED, err=as_json or quiet)  # stdout is for summary.json, or for findings
        return 0
    if isinstance(out, str) and engine == "ray" and ray_address not in {None, "local"}:
        _check_staging(plan)
    check_server(plan.mlflow, mlflow_uri)
    pinned = None if baseline is None else choose_baseline(baseline, out, plan)
    instant = options.parse_instant(as_of)
    reading = source.opened(history, plan, uri=mlflow_uri, out=out, as_of_us=instant, quiet=quiet)
    with reading as opened:
        computing = engines.chosen(engine, ray_address, workers)
        with computing as where, progress(quiet=quiet) as tell:
            report = run_audit(
                opened,
                plan,
                out=out,
                as_of_us=instant,
                engine=where,
                baseline=pinned,
                force=force,
                progress=tell,
            )
        if not report.fresh:
            other = _other(
                report.summary,
                plan_sha256=plan.sha256(),
                baseline_sha256=None if pinned is None else pinned.sha256,
                input_sha256=History.open(opened, plan).fingerprint(),
            )
            if other or not quiet:
                _tell_published(report.night, other)
    night = open_night(out, report.night)
    if as_json or not quiet or report.exit_code:
        show_night(night, as_json=as_json)
    send_night(out, night, plan.mlflow, mlflow_uri, quiet=quiet, config=config)
    return 0 if exit_zero and report.exit_code == 1 else report.exit_code


def _tell_published(night: str, other: list[str]) -> None:
    """Say that a night was not audited again, and what it was made of that is another now."""
    from calhard.wording.words import enumerated

    done = "published already" + (f", {enumerated(other)}" if other else "")
    click.echo(f"night {night} is {done}; --force audits it again", err=True)


def _check_staging(plan: AuditPlan) -> None:
    """Refuse to stage a store's night in a folder that the nodes of a cluster do not share."""
    if plan.storage.scratch is None:
        raise ConfigError(
            "on a cluster a night for an object store is staged where every node sees it: name "
            'such a folder, [calibration.hardening.storage] scratch = "/shared/calhard"'
        )


def _other(summary: Mapping[str, Any], **now: str | None) -> list[str]:
    """What a published night was made of that is another now, in words."""
    return [words for key, words in ORIGINS.items() if summary.get(key) != now[key]]
