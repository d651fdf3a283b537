"""Settings of the kernels' property tests."""

from __future__ import annotations

from hypothesis import settings

# The oracles are slow on purpose and the machine may be busy: a deadline would test the machine.
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")
