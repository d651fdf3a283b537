"""What decides a measured history's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calhard.measure.device import Device
from calhard.measure.periods import Period
from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class Settings:
    """The period and the plan of a measured history; of the plan ``measure`` and every ĉ count."""

    period: Period
    plan: AuditPlan
    device: Device = "cpu"
    """Where it is computed; numbers agree to 1e−9."""

    def told(self) -> dict[str, Any]:
        """Return all that changes a number, as JSON holds it: a manifest keeps and compares it."""
        c_hats = [
            {"model": o.model, "class": o.class_, "c_hat": o.c_hat}
            for o in self.plan.overrides
            if o.c_hat is not None
        ]
        return {
            "period": self.period.text,
            "timezone": self.plan.windows.timezone,
            **self.plan.measure.model_dump(mode="json"),
            "c_hats": c_hats,
        }
