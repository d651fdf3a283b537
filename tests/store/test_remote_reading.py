"""Histories on an object store: read like those on a disk, and what goes wrong is told."""

import socket
from pathlib import Path

import pyarrow as pa
import pytest

from calhard.errors import ConfigError, InputError
from calhard.history import History, read_baseline
from calhard.history.files import open_source
from calhard.plan import AuditPlan
from calhard.uri import open_uri, shown, told
from tests.faults.fleets import write_history
from tests.store.remote import DENIED, DOWN, FAILS

ALWAYS = lambda number, request: True  # noqa: E731


@pytest.fixture
def history(bucket, tmp_path):
    """A history in a bucket."""
    bucket.send(write_history(tmp_path / "history"), "history")
    return bucket.uri("history")


def opened(source):
    return History.open(source, AuditPlan())


def test_a_history_on_a_store_is_that_of_the_folder(history, tmp_path):
    here, there = opened(tmp_path / "history"), opened(history)
    assert there.fingerprint() == here.fingerprint()
    assert there.plan_shards() == here.plan_shards()
    assert there.moment(2**60) == here.moment(2**60)
    assert [f.name for f in there.files] == ["history.parquet"]
    assert "?" not in there.source


def test_one_object_is_a_history_too(bucket, history):
    assert opened(bucket.uri("history/history.parquet")).moment(2**60)


def test_the_endpoint_may_stand_in_the_uri(bucket, history, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    place = bucket.endpoint.removeprefix("http://")
    assert opened(f"{history}&scheme=http&endpoint_override={place}").files
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.endpoint)
    assert opened(history).files


def test_hive_folders_are_columns(bucket, history):
    content = bucket.tree("history")["history.parquet"]
    bucket.put("hive/region=eu/part.parquet", content)
    bucket.put("hive/_temporary/part.parquet", b"")
    assert "region" in opened(bucket.uri("hive")).tags
    assert len(opened(bucket.uri("hive")).files) == 1


def test_what_is_not_there_is_told_apart_from_a_bucket_that_is_not(bucket):
    with pytest.raises(InputError, match=r"/nothing: no such file or folder"):
        opened(bucket.uri("nothing"))
    with pytest.raises(InputError, match=r"s3://no-such-bucket/x: no such bucket; create it, or"):
        opened("s3://no-such-bucket/x")


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        (DOWN, "the server ended the connection; run again when it is up"),
        (FAILS, "the server failed or is overloaded; run again later"),
        (DENIED, r"access denied; give credentials .*AWS_ACCESS_KEY_ID"),
    ],
    ids=["down", "fails", "denied"],
)
def test_what_the_server_says_is_told_with_its_remedy(bucket, history, how, remedy):
    with bucket.refusing(how, ALWAYS), pytest.raises(InputError, match=remedy):
        opened(history)
    objects = lambda number, request: request.endswith(".parquet")  # noqa: E731
    with bucket.refusing(how, objects), pytest.raises(InputError, match=remedy) as error:
        opened(history)
    assert "damaged" not in str(error.value)


def test_without_credentials_it_says_which_to_give(bucket, history, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    unsigned = []

    def refuse(number, request):
        unsigned.append(request)
        return True

    with bucket.refusing(DENIED, refuse), pytest.raises(InputError, match="access denied; give"):
        opened(history)
    assert unsigned


def test_a_server_that_is_not_there_is_told(bucket, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(InputError, match=r"no server answers there; start it, or check AWS_"):
            opened(bucket.uri("history"))


def test_a_server_that_never_answers_is_given_up(bucket, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(InputError, match=r"did not answer in time; .*request_timeout=SECONDS"):
            opened(f"{bucket.uri('history')}&request_timeout=1")


def test_time_outs_and_attempts_may_be_chosen_and_go_with_the_work_to_another_process():
    filesystem, path = open_uri("s3://b/x?request_timeout=7&connect_timeout=3&region=eu-west-1")
    assert path == "b/x"
    _, (options,) = filesystem.__reduce__()
    assert (options["request_timeout"], options["connect_timeout"]) == (7.0, 3.0)
    assert options["region"] == "eu-west-1"
    _, (default,) = open_uri("s3://b/x?region=eu-west-1")[0].__reduce__()
    assert (default["request_timeout"], default["connect_timeout"]) == (30.0, 10.0)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "", "٣"])
def test_a_time_out_that_is_no_number_is_refused(value):
    with pytest.raises(ConfigError, match=r"request_timeout=.*: is no whole number from 1"):
        open_uri(f"s3://b/x?region=eu-west-1&request_timeout={value}")


def test_an_unknown_option_is_refused_by_its_name():
    with pytest.raises(InputError, match="'colour'"):
        open_uri("s3://b/x?colour=red")


def test_credentials_in_a_uri_are_used_and_never_shown(bucket, history):
    key, secret = "AKIAEXAMPLE", "hush/hush"
    uri = history.replace("s3://", f"s3://{key}:hush%2Fhush@")
    found = opened(uri)
    _, (options,) = found.filesystem.__reduce__()
    assert (options["access_key"], options["secret_key"]) == (key, secret)
    errors = []
    for ask in (
        lambda: opened(f"{uri}&colour=red"),
        lambda: opened(uri.replace("history", "nothing")),
        lambda: read_baseline(uri.replace("history", "nothing"), AuditPlan()),
    ):
        with pytest.raises((InputError, ConfigError)) as error:
            ask()
        errors.append(str(error.value))
    with bucket.refusing(DENIED, ALWAYS), pytest.raises(InputError) as error:
        opened(uri)
    errors.append(str(error.value))
    for text in (found.source, *errors):
        assert key not in text
        assert "hush" not in text


def test_uris_are_shown_without_options():
    assert shown("s3://a:b@bucket/x/y?region=z") == "s3://bucket/x/y"
    assert shown("file:///srv/x") == "file:///srv/x"


def test_the_words_of_other_errors_stay_as_they_are():
    for text in ("403 files\nare too many", "TOKEN of a file"):
        assert told(OSError(text)) == text
    assert told(pa.ArrowInvalid("")) == "ArrowInvalid"
    unknown = OSError("When listing: AWS Error ODD during X operation: odd (Request ID: 7f)")
    assert told(unknown) == "When listing: AWS Error ODD during X operation: odd"


def test_a_file_uri_is_a_path(tmp_path):
    write_history(tmp_path / "history")
    _, path = open_source((tmp_path / "history").as_uri())
    assert Path(path) == tmp_path / "history"
