"""What all tests need."""

import signal

from tests.browser import chromium

__all__ = ["chromium"]


def pytest_configure():
    """Let Ctrl-C interrupt what tests interrupt, also where they were started in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
