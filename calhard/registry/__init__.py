"""The model registry: snapshots of aliases, verdicts on versions, baselines, guarded rollback.

Client only: no model is ever loaded, and no path is built from a name that a server gave.
"""
