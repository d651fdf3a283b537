"""Settings of the plan's property tests."""

from hypothesis import settings

# The machine may be busy: a deadline would test the machine.
settings.register_profile("plan", deadline=None)
settings.load_profile("plan")
