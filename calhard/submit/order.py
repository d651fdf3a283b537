"""What is ordered of a cluster: one night, pinned, so that every retry of it is the same night."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from calhard.errors import CalhardError, ConfigError
from calhard.pipeline.run import night_of
from calhard.plan import AuditPlan
from calhard.plan.secret import Secret
from calhard.plan.sections import Section

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLAN = "calhard.toml"
PROGRAM = ("python", "-m", "calhard.cli.main", "audit")
PRIVATE = frozenset({"password", "token", "uri", "username"})
"""Keys of MLflow's sections that may refer to a secret."""
ON_THE_CLUSTER = ("--engine", "ray", "--ray-address", "auto")


@dataclass(frozen=True, slots=True)
class Order:
    """One night's audit.

    Parameters
    ----------
    history, out : where every node of the cluster finds them: absolute paths, or URIs
    as_of_us : the audit's moment, µs since 1970 UTC
    baseline : a file that is sent along
    options : further options of ``calhard audit``
    """

    history: str
    out: str
    plan: AuditPlan
    as_of_us: int
    baseline: Path | None = None
    options: Sequence[str] = ()

    @property
    def night(self) -> str:
        """The night's name."""
        return night_of(self.as_of_us)

    @property
    def submission_id(self) -> str:
        """Fleet and night, in letters that Ray and a shell take; fleets never share one."""
        fleet = self.plan.fleet
        readable = re.sub(r"[^a-z0-9]+", "-", fleet.lower())[:24].strip("-")
        digest = hashlib.sha256(fleet.encode()).hexdigest()[:8]
        return "-".join(part for part in ("calhard", readable, digest, self.night) if part)

    @property
    def entrypoint(self) -> str:
        """The command that the cluster runs, in the folder that `pack` has filled."""
        as_of = (EPOCH + timedelta(microseconds=self.as_of_us)).isoformat()
        words = [*PROGRAM, self.history, "--out", self.out, "--config", PLAN, "--as-of", as_of]
        if self.baseline is not None:
            words += ["--baseline", _sent(self.baseline)]
        return shlex.join([*words, *ON_THE_CLUSTER, *self.options])

    def pack(self, folder: Path) -> None:
        """Write what the command needs beside history and nights: the plan, and the baseline.

        Raises
        ------
        ConfigError
            Nights in a bucket are staged in a folder that no two nodes would share.
        CalhardError
            The plan as it is written would not give the same night.
        """
        scratch = self.plan.storage.scratch
        if "://" in self.out and (scratch is None or not Path(scratch).is_absolute()):
            raise ConfigError(
                f"storage.scratch: found {scratch!r}; on a cluster nights for {self.out} are "
                'staged in a folder that every node sees, such as "/shared/calhard"'
            )
        text = public(self.plan).to_toml()
        if AuditPlan.from_text(text).sha256() != self.plan.sha256():
            raise CalhardError("the configuration cannot be written down as it is in force")
        (folder / PLAN).write_text(text, encoding="utf-8")
        if self.baseline is not None:
            shutil.copyfile(self.baseline, folder / _sent(self.baseline))


def public(plan: AuditPlan) -> AuditPlan:
    """Return a plan as it may be sent: without whom else a night is told to, and without a secret.

    The job's driver publishes to MLflow. What it needs for that goes along as references, which it
    looks up where it runs.

    Raises
    ------
    ConfigError
        A secret stands in the configuration itself.
    """
    mlflow = _referring(plan.mlflow, "mlflow")
    registry = _referring(plan.mlflow.registry, "mlflow.registry")
    mlflow = mlflow.model_copy(update={"registry": registry})
    return plan.model_copy(update={"mlflow": mlflow, "routes": AuditPlan().routes})


def _referring(section: Section, name: str) -> Section:
    """A section with references in place of its secrets."""
    sent = {}
    for key in PRIVATE & set(type(section).model_fields):
        value = getattr(section, key)
        if isinstance(value, Secret) and value.is_literal:
            raise ConfigError(
                f"{name}.{key}: stands in the configuration itself, and submit sends no secrets; "
                "write ${env:NAME}, a variable that the job's driver has on the cluster"
            )
        sent[key] = value.reference if isinstance(value, Secret) else value
    return section.model_copy(update=sent)


def _sent(baseline: Path) -> str:
    return "baseline" + baseline.suffix
