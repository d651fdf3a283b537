"""The very calhard that runs here, as a wheel: no build backend, no index, the same bytes always.

It names no dependencies. Ray installs what it is sent with `pip install --target`, and pip would
fetch a second NumPy and Arrow for it; the cluster has its own, which the engine compares.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import calhard
import calhard_kernels
from calhard._version import __version__
from calhard.errors import ConfigError

NAME = f"calhard-{__version__}-py3-none-any.whl"
INFO = f"calhard-{__version__}.dist-info"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell."""
LEFT_OUT = {"__pycache__"}


def own_wheel(folder: Path) -> Path:
    """Write a wheel of this calhard and its kernels to a folder; return its path."""
    contents = {name: path.read_bytes() for name, path in _files()}
    contents[f"{INFO}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: calhard\nVersion: {__version__}\n".encode()
    )
    contents[f"{INFO}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: calhard\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    return _written(folder / NAME, f"{INFO}/RECORD", contents)


def without_dependencies(wheel: Path, folder: Path) -> Path:
    """Write a copy of a wheel that names no dependencies; return its path.

    Raises
    ------
    ConfigError
        It cannot be read, or is no wheel of calhard.
    """
    if not wheel.name.startswith("calhard-") or wheel.suffix != ".whl":
        raise ConfigError(f"--wheel {wheel}: no wheel of calhard, such as {NAME}")
    try:
        with zipfile.ZipFile(wheel) as packed:
            contents = {i.filename: packed.read(i) for i in packed.infolist() if not i.is_dir()}
    except (OSError, zipfile.BadZipFile) as e:
        raise ConfigError(f"--wheel {wheel}: cannot be read ({e})") from e
    record = next((name for name in contents if name.endswith(".dist-info/RECORD")), "")
    metadata = record.replace("/RECORD", "/METADATA")
    if metadata not in contents:
        raise ConfigError(f"--wheel {wheel}: no wheel, for it has no METADATA and RECORD")
    del contents[record]
    contents[metadata] = _independent(contents[metadata])
    return _written(folder / wheel.name, record, contents)


def _files() -> Iterator[tuple[str, Path]]:
    for package in (calhard, calhard_kernels):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root.parent)
            if path.is_file() and not LEFT_OUT & set(inner.parts):
                yield inner.as_posix(), path


def _independent(metadata: bytes) -> bytes:
    head, gap, text = metadata.partition(b"\n\n")
    dependent = (b"Requires-Dist:", b"Provides-Extra:")
    kept = [line for line in head.split(b"\n") if not line.startswith(dependent)]
    return b"\n".join(kept) + gap + text


def _written(path: Path, record: str, contents: Mapping[str, bytes]) -> Path:
    lines = [f"{name},{_digest(content)},{len(content)}" for name, content in contents.items()]
    everything = {**contents, record: "\n".join([*lines, f"{record},,", ""]).encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in everything.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content)
    return path


def _digest(content: bytes) -> str:
    raw = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={raw.decode()}"
