"""What the tests of `prepare` share."""

import pytest


@pytest.fixture(autouse=True, scope="package")
def no_sync():
    """Every step is taken; the machine's own disk need not be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield
