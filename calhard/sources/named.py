"""What names an experiment of MLflow where a history is taken."""

from __future__ import annotations

import os

from calhard.errors import ConfigError

SCHEME = "mlflow:"


def experiment_of(source: str | os.PathLike[str]) -> str | None:
    """Return the experiment that ``mlflow:EXPERIMENT`` names; None of what is a file or folder.

    Raises
    ------
    ConfigError
        The name is missing.
    """
    if not isinstance(source, str) or not source.startswith(SCHEME):
        return None
    name = source.removeprefix(SCHEME)
    if not name.strip() or name.startswith("//"):
        raise ConfigError(
            f"{source}: names no experiment; write {SCHEME}EXPERIMENT, such as {SCHEME}fraud, and "
            "the server as --mlflow-uri or [calibration.hardening.mlflow] uri"
        )
    return name
