"""The nightly audit, wired: history in, published night out."""

from calhard.pipeline.run import AuditReport, run_audit

__all__ = ["AuditReport", "run_audit"]
