"""A night, delivered: its run, the view of all nights, the registry's tags, a receipt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from calhard.errors import PublishError
from calhard.plan.publishing import Mlflow
from calhard.registry.nightly import look_up
from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.content import night_content
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.experiment import experiment_of, name_of
from calhard.sinks.mlflow.publish import Sent, publisher
from calhard.sinks.mlflow.receipt import Receipt, keep_receipt, receipt_of
from calhard.sinks.mlflow.sweep import sweep
from calhard.sinks.mlflow.view import run_link, runs_link, view_tag
from calhard.store import NightReader, Out


@dataclass(frozen=True, slots=True)
class Delivered:
    """A night in MLflow.

    Attributes
    ----------
    is_fresh : it was sent just now
    told : what a person must know, a line each
    """

    receipt: Receipt
    is_fresh: bool
    told: tuple[str, ...] = ()

    def link(self, server: str) -> str:
        """Return the address of the run's page on a server."""
        return run_link(server, self.receipt.experiment_id, self.receipt.run_id)

    def nights_link(self, server: str) -> str:
        """Return the address of the table of all nights on a server."""
        return runs_link(server, self.receipt.experiment_id)


def known(out: Out, night: NightReader, settings: Mlflow, shown: str) -> Delivered | None:
    """Return what was delivered earlier, without asking the server; None where nothing was."""
    place = name_of(settings, str(night.summary["fleet"]))
    receipt = receipt_of(out, night, shown, place)
    return None if receipt is None else Delivered(receipt, is_fresh=False)


def deliver(out: Out, night: NightReader, server: Server) -> Delivered:
    """Send a night, or find that it is there.

    Raises
    ------
    MlflowFailed
        The server fails; sending it again goes on.
    InputError
        A file of the night is not what was published.
    """
    fleet = str(night.summary["fleet"])
    name = name_of(server.settings, fleet)
    content = night_content(out, night, server.settings, fleet)
    experiment = experiment_of(server, name)
    registered = look_up(out, night, server)
    sent = publisher(server, experiment, content, registered.write).publish()
    tagged = () if sent.is_other else registered.tag(sent.run_id)
    told = [*registered.told, *tagged, *_other(night, sent)]
    receipt = Receipt(
        night=night.night,
        revision=night.revision,
        manifest_sha256=night.manifest_sha256,
        server=server.shown,
        experiment=name,
        experiment_id=experiment,
        run_id=sent.run_id,
        is_other=sent.is_other,
    )
    with suppress(MlflowFailed):  # the night is there; these are not worth a failure
        server.client.set_experiment_tag(experiment, *view_tag())
        sweep(server, experiment)
    try:
        keep_receipt(out, receipt)
    except PublishError as e:
        told.append(f"the receipt of night {night.night} is not kept: {e}")
    return Delivered(receipt, sent.is_fresh, tuple(told))


def _other(night: NightReader, sent: Sent) -> list[str]:
    """What to say where MLflow has another audit of the night."""
    if not sent.is_other:
        return []
    told = (
        f"night {night.night} is in MLflow already, from another audit of it with the same "
        f"configuration (run {sent.run_id}): that one stays; to show this one, audit with --force"
    )
    return [told]
