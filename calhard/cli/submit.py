"""``calhard submit``: one night on a Ray cluster, from anywhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from calhard.cli import options
from calhard.cli.failures import INTERRUPTED
from calhard.cli.sending import check_server

if TYPE_CHECKING:
    from calhard.plan import AuditPlan
    from calhard.submit.jobs import Jobs

DISABLED = "calhard is disabled by its configuration (enabled = false); nothing was submitted"


@click.command("submit", no_args_is_help=True)
@click.argument("history")
@click.option("--out", required=True, help="Folder of the nights, where every node sees it.")
@click.option(
    "--address",
    required=True,
    metavar="URL",
    help="The cluster's dashboard, such as http://127.0.0.1:8265.",
)
@options.config
@options.as_of
@options.fleet
@click.option(
    "--baseline",
    metavar="F",
    type=options.BASELINE,
    help="As of audit; a file is sent along, and what is pinned is looked for in OUT.",
)
@options.mlflow_uri
@click.option("--workers", type=click.IntRange(1), help="Shards at once; as many as fit.")
@click.option("--force", is_flag=True, help="Audit a published night again, as a new revision.")
@click.option("--quiet", "-q", is_flag=True, help="No progress; nothing on stdout when healthy.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 instead of 1 for confirmed findings.")
@click.option(
    "--wheel",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The calhard that the cluster runs; by default the one that is running here.",
)
@click.option(
    "--stop-on-interrupt", is_flag=True, help="Ctrl-C stops the job; else only the following."
)
def command(
    *,
    history: str,
    out: str,
    address: str,
    config: Path | None,
    as_of: str | None,
    fleet: str | None,
    baseline: Path | str | None,
    mlflow_uri: str | None,
    workers: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    exit_zero: bool,
    wheel: Path | None,
    stop_on_interrupt: bool,
) -> int:
    """Audit one night of HISTORY on a Ray cluster, as a Ray job, and follow it to its end.

    HISTORY and --out must be where every node of the cluster sees them. What is sent: calhard, the
    configuration in force, and --as-of, so that whoever tries the job again audits the same night.
    Without --as-of it is looked for in HISTORY from here.

    The job is named by fleet and night. While it runs no second one is taken; after that one may
    be, and goes on where the last one ended, or prints a night that is published already.

    \b
    Examples:
      calhard submit /shared/history --out /shared/nights --address http://127.0.0.1:8265
      calhard submit /h --out /n --address https://ray.example --as-of 2026-05-31T00:00Z

    \b
    Exit codes are those of the audit:
      0  audited, nothing confirmed        3  degraded: coverage under its bound
      1  audited, confirmed findings       4  failed, nothing published
      2  usage or configuration error     75  the night is being audited by someone else

    The job sends the night to MLflow, if the configuration or --mlflow-uri names a server, from the
    cluster: secrets stay here, and ${env:NAME} is looked up there.

    A cluster that lets anybody in is refused: plain http to another machine without a token
    (RAY_AUTH_TOKEN_PATH), and Ray older than 2.54.
    """
    from calhard.submit.dashboard import Dashboard
    from calhard.submit.jobs import Jobs
    from calhard.submit.order import Order
    from calhard.submit.places import everywhere, moment
    from calhard.submit.wheel import own_wheel, without_dependencies

    plan = _with_server(options.load_plan(config, fleet), mlflow_uri)
    if not plan.enabled:
        click.echo(DISABLED, err=as_json or quiet)
        return 0
    sent_along, named = _checked(baseline, everywhere(out), plan)
    instant = options.parse_instant(as_of)
    check_server(plan.mlflow, None)
    jobs = Jobs.of(Dashboard.at(address))
    source = everywhere(history)
    # The job's log is stdout and stderr in one: progress would spoil the JSON.
    flags = {
        "--force": force,
        "--quiet": quiet or as_json,
        "--json": as_json,
        "--exit-zero": exit_zero,
    }
    words = [name for name, is_given in flags.items() if is_given]
    words += [] if workers is None else ["--workers", str(workers)]
    words += named
    as_of_us = moment(source, plan) if instant is None else instant
    order = Order(source, everywhere(out), plan, as_of_us, sent_along, words)
    with TemporaryDirectory(prefix="calhard-submit-") as name:
        sent, packed = Path(name) / "sent", Path(name)
        sent.mkdir()
        order.pack(sent)
        built = own_wheel(packed) if wheel is None else without_dependencies(wheel, packed)
        job = jobs.submit(order, built, sent)
    told = None if quiet else f"night {order.night} of fleet {plan.fleet}: job {job} submitted"
    return _followed(jobs, job, told, stop=stop_on_interrupt)


def _checked(
    baseline: Path | str | None, out: str, plan: AuditPlan
) -> tuple[Path | None, list[str]]:
    """Return the file that is sent along, or the option that names what is pinned, by its number.

    A baseline that the audit would refuse is refused before anything is sent.
    """
    if baseline is None:
        return None, []
    from calhard.registry.baselines.chosen import choose_baseline, pinned_version

    if isinstance(baseline, Path):
        from calhard.history import read_baseline

        read_baseline(str(baseline), plan)
        return baseline, []
    version = pinned_version(baseline, out)
    number = baseline if version is None else f"pinned:{version.number}"
    choose_baseline(number, out, plan)
    return None, ["--baseline", number]


def _with_server(plan: AuditPlan, uri: str | None) -> AuditPlan:
    """The plan with the MLflow server of the command in place of its own."""
    if uri is None:
        return plan
    return plan.model_copy(update={"mlflow": plan.mlflow.model_copy(update={"uri": uri})})


def _write(text: str, *, err: bool = False) -> None:
    click.echo(text, nl=False, err=err)


def _followed(jobs: Jobs, job: str, told: str | None, *, stop: bool) -> int:
    try:
        if told is not None:
            click.echo(told, err=True)
        ended = jobs.follow(job, _write, partial(_write, err=True))
    except KeyboardInterrupt:
        if stop:
            jobs.stop(job)
            click.echo(f"job {job} stopped; submit it again, and it goes on", err=True)
        else:
            click.echo(f"job {job} goes on without you\n{jobs.how_to_go_on(job)}", err=True)
        return INTERRUPTED
    if ended.told is not None:
        click.echo(f"calhard: {ended.told}", err=True)
    return ended.code
