"""Errors a person can act on; each knows the exit code of the command that meets it."""

from __future__ import annotations


class CalhardError(Exception):
    """Base of every error that calhard raises on purpose; its message is for a person."""

    exit_code = 4


class ConfigError(CalhardError):
    """The command line or the configuration is wrong; nothing was done."""

    exit_code = 2


class InputError(CalhardError):
    """The history as a whole cannot be audited; nothing was published."""


class PublishError(CalhardError):
    """Disk or server refused; the message says what became of the night and what to mend."""


class InProgress(CalhardError):
    """Someone else is writing the same thing right now."""

    exit_code = 75


class NightInProgress(InProgress):
    """Someone else is writing this night right now."""


class HistoryInProgress(InProgress):
    """Someone else is writing this history right now."""
