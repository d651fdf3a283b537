"""One Ray for all tests of this folder: starting one takes seconds."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")

from calhard.engines.on_ray.private import private_ray

ROOT = Path(__file__).parents[3]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
"""Where workers find this calhard and these tests."""


def here():
    """What Ray must leave alone in this process."""
    umask = os.umask(0o022)
    os.umask(umask)
    return umask, signal.getsignal(signal.SIGTERM)


@pytest.fixture(scope="session")
def own_ray():
    """A private Ray with two processors and, as Ray counts, one card."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.setenv("RAY_AUTH_TOKEN", "of another cluster")
        before = here()
        with private_ray(2, gpus=1.0):
            during = dict(os.environ)
            yield SimpleNamespace(before=before, after=here(), environment=during)
        assert os.environ["RAY_AUTH_TOKEN"] == "of another cluster"
        assert "RAY_AUTH_TOKEN_PATH" not in os.environ
        assert not Path(during["RAY_AUTH_TOKEN_PATH"]).exists()
