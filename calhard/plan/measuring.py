"""How predictions become calibration metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from calhard.plan.rules import Broken, refuse
from calhard.plan.sections import Positive, Section, Share

Name = Annotated[str, Field(min_length=1)]
Extra = Literal["smooth_ece", "ecce", "spiegelhalter"]


class Measure(Section):
    """What `calhard measure` computes; an audit does not read it."""

    clamp_low: Share = Field(0.001, description="scores at or below it are clamped")
    clamp_high: Share = Field(0.999, description="scores at or above it are clamped")
    min_bin: int = Field(3, ge=1, description="bins of fewer rows are merged with a neighbour")
    c_hat: Positive = Field(1.5, description="ĉ of τ = max(min_tau, ĉ √(K/N))")
    min_tau: Positive = Field(0.015, description="the least τ")
    whole_model: Literal["auto", "top_label", "pooled", "none"] = Field(
        "auto",
        description="the rows of class `__all__`: top label where examples can be told apart, "
        "else all classes pooled; always one of both; or none",
    )
    tags: Annotated[tuple[Name, ...] | None, Field(strict=False)] = Field(
        None, description="text columns that become tags, beside model_version; all by default"
    )
    extras: Annotated[tuple[Extra, ...], Field(strict=False)] = Field(
        (), description="further statistics, each a column or more"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Measure:
        broken = []
        if self.clamp_low >= self.clamp_high:
            message = f"{self.clamp_low:g} does not lie below clamp_high {self.clamp_high:g}"
            broken.append(Broken(("clamp_low",), message))
        if len(set(self.extras)) < len(self.extras):
            broken.append(Broken(("extras",), "a statistic stands twice"))
        refuse(broken)
        return self
