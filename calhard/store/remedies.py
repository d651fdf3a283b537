"""What the system says about the disk, turned into what a person can do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calhard.errors import PublishError

NOTHING = "nothing was published"
_ACCESS = "permission denied; give the user of the audit write access, or choose another --out"
_FOLDER = "a file stands where a folder is needed; move it away, or choose another --out"
_DEBRIS = "what stands there is no published night; move it away and run again"
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space (calhard prune) and run again",
    errno.EDQUOT: "the disk quota is used up; free some space (calhard prune) and run again",
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: "the file system is read-only; choose another --out",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) and run again",
    errno.ENFILE: "too many open files on this machine; close some and run again",
    errno.EFBIG: "the file size limit is reached; raise it (ulimit -f) and run again",
    errno.ENOTDIR: _FOLDER,
    errno.EEXIST: _FOLDER,
    errno.ENOTEMPTY: _DEBRIS,
    errno.ENOLCK: "the file system has no locks; choose another --out",
}


def refusal(
    place: Path, error: OSError, consequence: str = NOTHING, option: str = "--out"
) -> PublishError:
    """Return the error that tells a person where the disk refused and what to do.

    ``option`` is the command's that names the folder.
    """
    names = (error.filename2, error.filename)  # of a rename, the target says more
    where = next((os.fspath(n) for n in names if isinstance(n, str | Path)), place)
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and run again")
    remedy = remedy.replace("--out", option)
    return PublishError(f"{where}: {_reason(error)}; {consequence}: {remedy}")


@contextmanager
def told(place: Path, consequence: str = NOTHING, option: str = "--out") -> Iterator[None]:
    """Raise what the disk refuses within as `PublishError`."""
    try:
        yield
    except OSError as e:
        raise refusal(place, e, consequence, option) from e


def _reason(error: OSError) -> str:
    """The system's words; of pyarrow's, which repeat them, no more than those."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
