"""``calhard audit``: one night."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import options

DISABLED = "calhard is disabled by its configuration (enabled = false); nothing was done"


@click.command("audit", no_args_is_help=True)
@click.argument("history")
@click.option(
    "--out",
    required=True,
    type=options.FOLDER,
    help="Folder of the nights; created if need be.",
)
@options.config
@options.as_of
@options.fleet
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where shards are computed.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="What computes them.",
)
@click.option(
    "--baseline",
    metavar="F",
    help="Values that drift is measured against: Parquet, Arrow IPC or CSV, a row per model and "
    "class. Without it, and for what it lacks, the reference window's mean.",
)
@click.option("--workers", type=click.IntRange(1), help="Worker processes; all cores by default.")
@click.option("--force", is_flag=True, help="Audit a published night again, as a new revision.")
@click.option("--quiet", "-q", is_flag=True, help="No progress; nothing on stdout when healthy.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1 for confirmed findings.")
def command(
    *,
    history: str,
    out: Path,
    config: Path | None,
    as_of: str | None,
    fleet: str | None,
    engine: str,
    device: str,
    baseline: str | None,
    workers: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    exit_zero: bool,
) -> int:
    """Audit one night of HISTORY: a file, a folder or a URI of calibration metrics.

    \b
    Examples:
      calhard audit history/ --out nights
      calhard audit s3://bucket/history --out nights --config calhard.toml
      calhard audit history.parquet --out nights --as-of 2026-05-31T00:00Z --json
      calhard audit history/ --out nights --baseline agreed.csv

    \b
    Exit codes:
      0  audited, nothing confirmed        3  degraded: coverage under its bound
      1  audited, confirmed findings       4  failed, nothing published
      2  usage or configuration error     75  the night is being written by someone else

    A night that is published already is not audited again: its summary is printed and its exit
    code returned. --force writes a new revision and keeps the old one.
    """
    from calhard.cli.progress import progress
    from calhard.cli.show import show_night
    from calhard.engines import LocalEngine
    from calhard.errors import ConfigError
    from calhard.history import read_baseline
    from calhard.pipeline import run_audit
    from calhard.store import open_night

    if engine == "ray":
        raise ConfigError("--engine ray is not available in this version; use --engine local")
    if device == "gpu":
        raise ConfigError("--device gpu is not available in this version; use --device cpu")
    plan = options.load_plan(config, fleet)
    if not plan.enabled:
        click.echo(DISABLED, err=as_json or quiet)  # stdout is for summary.json, or for findings
        return 0
    pinned = None if baseline is None else read_baseline(baseline, plan)
    with progress(quiet=quiet) as tell:
        report = run_audit(
            history,
            plan,
            out=out,
            as_of_us=options.parse_instant(as_of),
            engine=LocalEngine(workers),
            baseline=pinned,
            force=force,
            progress=tell,
        )
    if not report.fresh and not quiet:
        wanted = {
            "configuration": ("plan_sha256", plan.sha256()),
            "baseline": ("baseline_sha256", None if pinned is None else pinned.sha256),
        }
        other = [word for word, (key, now) in wanted.items() if report.summary.get(key) != now]
        done = "published already" + (f", with another {' and '.join(other)}" if other else "")
        click.echo(f"night {report.night} is {done}; --force audits it again", err=True)
    if as_json or not quiet or report.exit_code:
        show_night(open_night(out, report.night), as_json=as_json)
    return 0 if exit_zero and report.exit_code == 1 else report.exit_code
