"""What a machine and a cluster lack for calhard to work on them, and what to do about it."""

from calhard.doctor.finding import Finding, State
from calhard.doctor.run import examine

__all__ = ["Finding", "State", "examine"]
