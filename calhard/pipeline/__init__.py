"""The nightly audit, wired: history in, published night out."""

from calhard.pipeline.result import AuditReport
from calhard.pipeline.run import run_audit

__all__ = ["AuditReport", "run_audit"]
