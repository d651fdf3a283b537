"""Which failures of storage pass: disks across a network, and object stores, fail for a while."""

from __future__ import annotations

import errno
import re

from calhard.uri import is_remote

_NUMBERS = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "EAGAIN"),
        *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),
    )
    if hasattr(errno, name)
)
_REMOTE = re.compile(
    r"curlCode: (7|28|52|55|56)\b|HTTP status (429|5\d\d)|NETWORK_CONNECTION|REQUEST_TIMEOUT|"
    r"SLOW_DOWN|THROTTLING|INTERNAL_FAILURE|SERVICE_UNAVAILABLE"
)
"""What stands in arrow's messages where a server did not answer, or was overloaded.

Source: `uri._TOLD`, of which these are those that mend themselves.
"""


class StorageFailed(OSError):
    """Storage did not give what it should, and may a little later; the message is for a person."""


def passes(error: BaseException) -> bool:
    """Return whether an error may be gone a little later, with nothing mended by anybody.

    A full disk, a folder that is closed or missing, and bytes that are damaged stay what they are.
    """
    if isinstance(error, StorageFailed):
        return True
    if not isinstance(error, OSError):
        return False
    if is_remote(error):
        return _REMOTE.search(str(error)) is not None
    return error.errno in _NUMBERS
