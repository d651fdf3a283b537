"""From the types a file may hold to the audit's own: text, float64, microseconds UTC."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

EPOCH_LIMIT = 100_000_000_000
"""Integer seconds beyond this (year 5138) are in another unit."""
YEAR_9999 = 253_370_764_800_000_000
"""9999-01-01 in microseconds since 1970: no zone has rules beyond it."""
_TO_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}


class ColumnError(Exception):
    """A file's columns cannot be used; the message names the column and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a dictionary's values, any other type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column holds text."""
    kind = value_type(kind)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


def holds_ids(kind: pa.DataType) -> bool:
    """Return whether a column holds text or integers (all-null columns count as such)."""
    return is_text(kind) or pa.types.is_integer(value_type(kind)) or pa.types.is_null(kind)


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column holds numbers (all-null columns count as such)."""
    kind = value_type(kind)
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def is_instant(kind: pa.DataType) -> bool:
    """Return whether a column holds instants (all-null columns count as such)."""
    kind = value_type(kind)
    tests = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer, pa.types.is_null)
    return any(test(kind) for test in tests)


def to_text(column: pa.Array) -> pa.DictionaryArray:
    """Return ids or tags as a dictionary; each distinct value is cast once, no row is copied."""
    kind = column.type
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if pa.types.is_string(column.type.value_type) or pa.types.is_large_string(
        column.type.value_type
    ):
        return column
    return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.string()))


def words_of(dictionary: pa.Array) -> list[bytes | None]:
    """Return the bytes of a dictionary's words, valid UTF-8 or not."""
    large = pa.types.is_large_string(dictionary.type)
    words: list[bytes | None] = dictionary.cast(
        pa.large_binary() if large else pa.binary()
    ).to_pylist()
    return words


def to_floats(column: pa.Array) -> pa.Array:
    """Return a metric as float64; nulls stay."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == pa.float64() else pc.cast(column, pa.float64(), safe=False)


def to_microseconds(column: pa.Array, timezone: str | None) -> pa.Array:
    """Return timestamps as int64 microseconds since 1970 UTC; nulls stay.

    Naive timestamps and dates are UTC unless a zone is given. There, a time in the hour that the
    clock skips in spring is null, for it never was, and so is one in the hour that it repeats in
    autumn, for it was twice (`is_repeated`). A date whose midnight is repeated is the earlier one.

    Raises
    ------
    ColumnError
        Integers that cannot be seconds.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.int64())
    if pa.types.is_integer(kind):
        return _from_seconds(column)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    stamps = _scaled(column.cast(pa.int64()), column.type.unit)
    if timezone is None or column.type.tz:
        return stamps
    aware = _from_zone(stamps, timezone)
    if pa.types.is_date(kind):
        return aware
    once = pc.equal(aware, _from_zone(stamps, timezone, "latest"))
    return pc.if_else(once, aware, pa.scalar(None, pa.int64()))


def to_latest_microseconds(column: pa.Array, timezone: str | None) -> pa.Array:
    """Return instants as `to_microseconds` does, but of what a zone leaves open the latest.

    In the hour that its clock repeats it is the second time; a time in the hour that it skips is
    counted on from before that hour.

    Raises
    ------
    ColumnError
        Integers that cannot be seconds.
    """
    kind = value_type(column.type)
    if timezone is None or not pa.types.is_timestamp(kind) or kind.tz:
        return to_microseconds(column, timezone)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    naive = _local(_scaled(column.cast(pa.int64()), kind.unit))
    aware = pc.assume_timezone(naive, timezone, ambiguous="latest", nonexistent="earliest")
    skipped = pc.subtract(naive, pc.local_timestamp(aware))
    return pc.add(aware.cast(pa.int64()), skipped.cast(pa.int64()))


def is_repeated(column: pa.Array, timezone: str | None) -> pa.Array:
    """Return which naive timestamps lie in an hour that the clock of a zone repeats."""
    kind = value_type(column.type)
    if timezone is None or not pa.types.is_timestamp(kind) or kind.tz:
        return pa.repeat(False, len(column))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    stamps = _scaled(column.cast(pa.int64()), kind.unit)
    ends = (_from_zone(stamps, timezone, end) for end in ("earliest", "latest"))
    return pc.fill_null(pc.not_equal(*ends), fill_value=False)


def _from_seconds(column: pa.Array) -> pa.Array:
    ends = pc.min_max(column).as_py()
    largest = max(abs(ends["min"] or 0), abs(ends["max"] or 0))
    if largest > EPOCH_LIMIT:
        unit, divisor = _unit(largest)
        raise ColumnError(
            f"integer timestamps up to {largest} are no seconds since 1970 (they look like {unit})",
            f"divide them by {divisor:,}, or write a timestamp column",
        )
    return pc.multiply(column.cast(pa.int64()), 1_000_000)


def _scaled(stamps: pa.Array, unit: str) -> pa.Array:
    """Ticks as microseconds; those beyond an int64 stay as far away as one holds."""
    if unit == "us":
        return stamps
    if unit == "ns":
        return pc.divide(stamps, 1_000)
    factor = _TO_MICROSECONDS[unit]
    return pc.multiply(_clipped(stamps, -(2**63 // factor) + 1, 2**63 // factor), factor)


def _from_zone(stamps: pa.Array, timezone: str, of_two: str = "earliest") -> pa.Array:
    """Local microseconds as UTC: of a repeated hour one of both, null in a skipped one."""
    naive = _local(stamps)
    aware = pc.assume_timezone(naive, timezone, ambiguous=of_two, nonexistent="earliest")
    existed = pc.equal(pc.local_timestamp(aware), naive)
    return pc.if_else(existed, aware.cast(pa.int64()), pa.scalar(None, pa.int64()))


def _local(stamps: pa.Array) -> pa.Array:
    """Microseconds of a clock as its times, as far as zones have rules."""
    return _clipped(stamps, 0, YEAR_9999).cast(pa.timestamp("us"))


def _clipped(values: pa.Array, low: int, high: int) -> pa.Array:
    above = pc.max_element_wise(values, pa.scalar(low, pa.int64()), skip_nulls=False)
    return pc.min_element_wise(above, pa.scalar(high, pa.int64()), skip_nulls=False)


def _unit(largest: int) -> tuple[str, int]:
    if largest < EPOCH_LIMIT * 1_000:
        return "milliseconds", 1_000
    if largest < EPOCH_LIMIT * 1_000_000:
        return "microseconds", 1_000_000
    return "nanoseconds", 1_000_000_000
