"""A night of 200,000 series is explained from the row groups that hold the model."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard import explain
from calhard.errors import InputError
from calhard.schema import NIGHT_TABLES
from calhard.store import NightWriter, open_night
from calhard.store.tables import ROW_GROUP

SIZE, METRICS = 200_000, 2


@pytest.fixture(scope="module")
def large(nights, tmp_path_factory):
    """A night whose evidence is one healthy class, over and over, under other names."""
    small = open_night(nights)
    rows = small.rows("evidence", model_id="churn", class_id="healthy")
    groups = SIZE // METRICS
    models = pa.array(np.repeat([f"m{i:06d}" for i in range(groups)], METRICS))
    evidence = rows.take(np.tile(np.arange(METRICS), groups))
    evidence = evidence.set_column(0, "model_id", models)
    health = small.rows("health", model_id="churn", class_id="healthy").take(np.zeros(groups, int))
    health = health.set_column(0, "model_id", pa.array([f"m{i:06d}" for i in range(groups)]))
    values = small.series("churn", "healthy")
    values = values.set_column(0, "model_id", pa.array(["m050000"] * len(values)))
    out = tmp_path_factory.mktemp("large")
    with NightWriter(out, small.night) as writer:
        for name, schema in NIGHT_TABLES.items():
            filled = {"evidence": evidence, "health": health}
            writer.write_table(name, filled.get(name, schema.empty_table()))
        with writer.parts("series", values.schema) as sink:
            sink.write(values)
        writer.write_json("summary.json", small.summary)
        writer.publish({})
    return out


def spoil(file, group):
    """Change a byte in every column of a row group."""
    content = bytearray(file.read_bytes())
    found = pq.read_metadata(file).row_group(group)
    for i in range(found.num_columns):
        chunk = found.column(i)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        content[start + chunk.total_compressed_size - 1] ^= 0xFF
    file.write_bytes(content)


def test_no_other_row_group_of_the_evidence_is_read(large):
    file = open_night(large).path / "evidence.parquet"
    groups = pq.read_metadata(file).num_row_groups
    assert groups == -(-SIZE // ROW_GROUP) == 4
    whole = file.read_bytes()
    mine = METRICS * 50_000 // ROW_GROUP
    try:
        for group in set(range(groups)) - {mine}:
            spoil(file, group)
        found = explain(large, "m050000", "healthy", "aece")
        assert found.verdict == "healthy"
        assert found.picture.known.all()
        with pytest.raises(InputError, match=r"evidence\.parquet: cannot be read"):
            explain(large, "m099999", "healthy", "aece")
    finally:
        file.write_bytes(whole)
