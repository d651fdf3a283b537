"""calhard: nightly drift and SLO audits for fleets of calibrated models."""

from calhard._version import __version__

__all__ = ["__version__"]
