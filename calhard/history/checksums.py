"""Whether a file can be checked: Parquet pages carry a checksum if their writer was told so."""

from __future__ import annotations

import pyarrow.fs as pafs

from calhard.history.batches import open_parquet
from calhard.history.files import FAULTS, HistoryFile

_I32_NEXT = 0x15
"""Thrift's compact protocol: the next field, a 32-bit integer."""
_HEADER_BYTES = 64


def has_checksums(filesystem: pafs.FileSystem, file: HistoryFile) -> bool:
    """Return whether a flipped bit in a file's values would be found.

    Reads the first page's header; CSV and Arrow IPC carry no checksums at all.

    Source: Apache Parquet, ``PageHeader``: type, two sizes, then the optional crc as field 4.
    """
    if file.kind != "parquet":
        return False
    try:
        with open_parquet(filesystem, file.path) as opened:
            if not opened.metadata.num_rows:
                return True  # no value, nothing to flip
            column = opened.metadata.row_group(0).column(0)
            pages = (column.dictionary_page_offset, column.data_page_offset)
        with filesystem.open_input_file(file.path) as raw:
            raw.seek(min(offset for offset in pages if offset))
            return _names_crc(raw.read(_HEADER_BYTES))
    except (*FAULTS, IndexError):
        return False


def _names_crc(header: bytes) -> bool:
    """Whether three integers are followed by a fourth, the crc."""
    place = 0
    for _ in range(3):
        if header[place] != _I32_NEXT:
            return False
        place += 1
        while header[place] & 0x80:  # a varint's bytes but its last
            place += 1
        place += 1
    return header[place] == _I32_NEXT
