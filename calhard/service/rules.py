"""The plan that a service's monitor goes by."""

from __future__ import annotations

from calhard.errors import ConfigError
from calhard.plan import AuditPlan
from calhard.plan.sections import Slos

Rules = AuditPlan | Slos


def plan_of(rules: Rules | None) -> AuditPlan:
    """Return a plan: the given one, the defaults, or the defaults with other SLO bounds.

    Raises
    ------
    ConfigError
        Something else, or a plan that is disabled: a silent monitor would look healthy.
    """
    if rules is None:
        return AuditPlan()
    if isinstance(rules, Slos):
        return AuditPlan(slos=rules)
    if not isinstance(rules, AuditPlan):
        raise ConfigError(
            f"plan = {rules!r:.60} ({type(rules).__name__}); expected an AuditPlan, such as "
            'AuditPlan.from_toml("calhard.toml"), or its Slos'
        )
    if not rules.enabled:
        raise ConfigError("the plan is disabled (enabled = false); nothing would be monitored")
    return rules
