"""Where nights lie: a folder, or a path on an object store, asked the same few questions."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.errors import ConfigError, InputError
from calhard.uri import is_remote, is_uri, open_uri, shown, told

FAULTS = (OSError, pa.ArrowException)
"""What an object store's client raises."""
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A path on an object store; folders are no more than what names have in common.

    Methods named as those of `pathlib.Path` do what those do. They raise what the store's client
    raises, an `OSError` as a rule.
    """

    filesystem: pafs.FileSystem
    key: str
    """The bucket and what follows it."""

    @classmethod
    def at(cls, uri: str) -> RemotePath:
        """Return the place that an S3 URI names; whether it answers is not asked.

        Raises
        ------
        ConfigError
            The URI names no bucket, or an option that does not exist.
        """
        try:
            filesystem, key = open_uri(uri)
        except InputError as e:
            raise ConfigError(str(e)) from e
        if not key.partition("/")[0]:
            raise ConfigError(f"{shown(uri)}: names no bucket; write s3://BUCKET/PATH")
        return cls(filesystem, key.rstrip("/"))

    def __truediv__(self, name: str) -> RemotePath:
        """Return the path of something in it."""
        return RemotePath(self.filesystem, f"{self.key}/{name}")

    def __str__(self) -> str:
        """Return the URI, without options or credentials."""
        return f"s3://{self.key}"

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.key).name

    @property
    def identity(self) -> str:
        """What no two places share: server and key."""
        _, (options,) = self.filesystem.__reduce__()
        return f"{options['endpoint_override']} {self.key}"

    @property
    def info(self) -> pafs.FileInfo:
        """What the store says of it now."""
        return self.filesystem.get_file_info(self.key)

    def exists(self) -> bool:
        """Whether anything is there."""
        return bool(self.info.type != pafs.FileType.NotFound)

    def is_file(self) -> bool:
        """Whether an object is there."""
        return bool(self.info.type == pafs.FileType.File)

    def is_dir(self) -> bool:
        """Whether objects are below it."""
        return bool(self.info.type == pafs.FileType.Directory)

    def read_bytes(self) -> bytes:
        """Return an object's content."""
        with self.filesystem.open_input_stream(self.key) as stream:
            return bytes(stream.read())

    def write_bytes(self, content: bytes) -> None:
        """Put an object; a reader sees the old one or the new one, whole."""
        with self.filesystem.open_output_stream(self.key) as stream:
            stream.write(content)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove an object."""
        try:
            self.filesystem.delete_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def objects(self) -> dict[str, pafs.FileInfo]:
        """Return what is below it by name, in order; markers of folders are none of it."""
        selector = pafs.FileSelector(self.key, recursive=True, allow_not_found=True)
        found = {
            info.path[len(self.key) + 1 :]: info
            for info in self.filesystem.get_file_info(selector)
            if info.type == pafs.FileType.File
        }
        return dict(sorted(found.items()))


Place = Path | RemotePath


def place_of(out: str | os.PathLike[str] | RemotePath) -> Place:
    """Return the place that a folder's path or a URI names.

    Raises
    ------
    ConfigError
        It is a URI to which nights are not published.
    """
    if isinstance(out, RemotePath):
        return out
    text = os.fspath(out)
    if not is_uri(text):
        return Path(text)
    if isinstance(out, str) and text.startswith("s3://"):
        return RemotePath.at(text)
    raise ConfigError(
        f"{shown(text)}: nights are published to a folder or to s3://BUCKET/PATH (as text), not to "
        "a URI such as this; name a folder, such as --out nights"
    )


def exists(place: Place) -> bool:
    """Return whether a folder is there.

    Raises
    ------
    InputError
        The store does not answer, or refuses.
    """
    try:
        return place.is_dir()
    except FAULTS as e:
        raise reading_error(place, e, "check the path") from e


def size_of(place: Place) -> int | None:
    """Return a file's bytes; None where there is none."""
    if isinstance(place, RemotePath):
        info = place.info
        return int(info.size) if info.type == pafs.FileType.File else None
    return place.stat().st_size if place.is_file() else None


def sha256_of(place: Place) -> str:
    """Return a file's hash."""
    if isinstance(place, Path):
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    with place.filesystem.open_input_stream(place.key) as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def names_in(place: Place, pattern: str = "**/*") -> list[str]:
    """Return the names of files below a place that a pattern of `pathlib.Path.glob` matches."""
    if isinstance(place, Path):
        there = (path for path in place.glob(pattern) if path.is_file())
        return sorted(path.relative_to(place).as_posix() for path in there)
    if pattern == "**/*":
        return list(place.objects())
    depth = pattern.count("/")
    return [n for n in place.objects() if n.count("/") == depth and PurePosixPath(n).match(pattern)]


def for_arrow(place: Place) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem and path by which arrow reads a file."""
    if isinstance(place, RemotePath):
        return place.filesystem, place.key
    return pafs.LocalFileSystem(), str(place)


def reading_error(place: Place, error: BaseException, again: str) -> InputError:
    """Return the error of what cannot be read: ``again`` mends a file, not a store that is down."""
    if is_remote(error):
        return InputError(f"{place}: {told(error)}")
    return InputError(f"{place}: cannot be read ({error}); {again}")
