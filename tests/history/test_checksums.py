"""Files that can be checked, and those that can not."""

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, feather

from calhard.engines import LocalEngine
from calhard.history.checksums import has_checksums
from calhard.history.files import HistoryFile
from calhard.pipeline import run_audit
from calhard.pipeline.coverage import UNVERIFIABLE
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, write_fleet
from calhard.store import open_night

TABLE = pa.table({"model_id": ["m"] * 1_000, "aece": [0.01] * 1_000})


def checked(path, kind="parquet"):
    return has_checksums(pafs.LocalFileSystem(), HistoryFile(str(path), path.name, kind))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("told", [True, False])
def test_a_parquet_file_has_checksums_if_its_writer_was_told_so(
    tmp_path, compression, dictionary, version, told
):
    file = tmp_path / "a.parquet"
    pq.write_table(
        TABLE,
        file,
        compression=compression,
        use_dictionary=dictionary,
        data_page_version=version,
        write_page_checksum=told,
    )
    assert checked(file) is told


def test_other_containers_have_none(tmp_path):
    feather.write_feather(TABLE, tmp_path / "a.arrow")
    csv.write_csv(TABLE, tmp_path / "a.csv")
    assert not checked(tmp_path / "a.arrow", "ipc")
    assert not checked(tmp_path / "a.csv", "csv")


def test_an_empty_file_has_nothing_to_check_and_a_broken_one_cannot_be(tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "empty.parquet")
    assert checked(tmp_path / "empty.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert not checked(tmp_path / "broken.parquet")


@pytest.mark.parametrize("told", [True, False])
def test_a_night_says_when_its_input_cannot_be_verified(tmp_path, told):
    write_fleet(FleetSpec(models=1, classes=1, broken=0.0), tmp_path / "fleet")
    table = pq.read_table(tmp_path / "fleet" / "history.parquet")
    pq.write_table(table, tmp_path / "fleet" / "history.parquet", write_page_checksum=told)
    plan = AuditPlan()
    run_audit(tmp_path / "fleet", plan, out=tmp_path / "out", engine=LocalEngine(1))
    night = open_night(tmp_path / "out")
    reasons = night.table("coverage")["reason"].to_pylist()
    assert (UNVERIFIABLE in reasons) is not told
    assert night.summary["coverage"]["share"] == 1.0
