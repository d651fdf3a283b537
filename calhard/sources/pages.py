"""The pages of an answer: each leads to the next one, and none back."""

from __future__ import annotations

from dataclasses import dataclass, field

from calhard.errors import InputError
from calhard.sinks.mlflow.errors import FOREIGN


class Refused(InputError):
    """The server does not give what is asked for; ``code`` says why, see `MlflowFailed`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Pages:
    """The pages that were turned: a server that leads back to one would be read for ever."""

    doing: str
    shown: str
    _met: set[str] = field(default_factory=set)

    def next(self, token: str | None) -> str | None:
        """Return what leads to the next page; None where there is none.

        Raises
        ------
        Refused
            It led there before.
        """
        if not token:
            return None
        if token in self._met:
            message = f"MLflow at {self.shown}: {self.doing}: its pages lead back to an earlier one"
            raise Refused(f"{message}; look at the server, or at a gateway before it", FOREIGN)
        self._met.add(token)
        return token
