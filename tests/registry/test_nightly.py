"""What a published night does with the registry of a real server."""

import json

import pyarrow.parquet as pq

from calhard.registry.nightly import look_up
from calhard.registry.snapshot import read_snapshot, snapshot_nights
from calhard.sinks.mlflow.client import Server, _open, connect
from calhard.sinks.mlflow.deliver import deliver
from calhard.sinks.mlflow.experiment import slug
from calhard.sinks.mlflow.identity import Identity
from tests.baseline.fleets import audit, group, series
from tests.registry.nights import clock, night_of, publish, register, tags


def recorded(out, day, server, run="run-1", **models):
    """Publish a night, take its snapshot, write its verdicts; return all that was told."""
    night = publish(out, day, **models)
    found = look_up(out, night, server, clock=clock(day))
    return [*found.told, *found.tag(run)]


def kept(out, day, server):
    return out / ".registry" / f"night={night_of(day)}.{slug(server.shown)}.parquet"


def rows(out, day, server):
    found = read_snapshot(out, night_of(day), server.shown)
    return {(r["registered_model"], r["alias"]): r for r in found.rows()}


def test_a_night_leaves_a_snapshot_and_its_verdict_on_the_version_in_service(
    connected, name, tmp_path
):
    server = connected()
    register(server.client, name, 3, champion=2, challenger=3)
    assert recorded(tmp_path, 0, server, **{name: "HEALTHY,SEVERE", "unknown": "HEALTHY"}) == []
    found = rows(tmp_path, 0, server)
    assert found[name, "champion"] == {
        "registered_model": name,
        "created": server.client.get_registered_model(name).creation_timestamp,
        "alias": "champion",
        "version": "2",
        "in_service": True,
        "verdict": "FAIL",
        "model_ids": [name],
    }
    assert (found[name, "challenger"]["version"], found[name, "challenger"]["verdict"]) == (
        "3",
        None,
    )
    assert len(found) == 2
    assert tags(server.client, name, 2) == {
        "calhard.verdict": "FAIL",
        "calhard.verdict.f": f"FAIL {night_of(0)} run-1",
    }
    assert tags(server.client, name, 3) == {}


def test_problem_models_can_be_searched_in_the_registry(connected, name, tmp_path):
    server = connected()
    for model in (f"{name}-bad", f"{name}-good"):
        register(server.client, model, 1, champion=1)
    recorded(tmp_path, 0, server, **{f"{name}-bad": "CRITICAL", f"{name}-good": "HEALTHY"})
    found = server.client.search_model_versions("tags.`calhard.verdict` = 'FAIL'", max_results=1000)
    mine = {v.name for v in found if v.name.startswith(name)}
    assert mine == {f"{name}-bad"}


def test_a_verdict_is_written_again_only_when_it_has_changed(connected, name, tmp_path):
    server = connected()
    register(server.client, name, 1, champion=1)
    verdicts = [("HEALTHY", "a"), ("HEALTHY", "b"), ("DEGRADED", "c"), ("DEGRADED", "d")]
    seen = []
    for day, (state, run) in enumerate(verdicts):
        recorded(tmp_path, day, server, run, **{name: state})
        found = tags(server.client, name, 1)
        seen.append((found["calhard.verdict"], found["calhard.verdict.f"]))
    first, third = ("PASS", f"PASS {night_of(0)} a"), ("WARN", f"WARN {night_of(2)} c")
    assert seen == [first, first, third, third]


def test_many_models_of_one_registered_model_give_it_their_worst_verdict(connected, name, tmp_path):
    server = connected(models={f"{name}-*": name})
    register(server.client, name, 1, champion=1)
    recorded(tmp_path, 0, server, **{f"{name}-a": "HEALTHY", f"{name}-b": "DEGRADED"})
    assert tags(server.client, name, 1)["calhard.verdict"] == "WARN"
    assert rows(tmp_path, 0, server)[name, "champion"]["model_ids"] == [f"{name}-a", f"{name}-b"]


def test_a_fleet_of_which_nothing_is_registered_leaves_no_trace(connected, name, tmp_path):
    assert recorded(tmp_path, 0, connected(), **{name: "CRITICAL"}) == []
    assert not (tmp_path / ".registry").exists()


def test_a_night_keeps_its_snapshot_and_a_forced_revision_judges_the_same_aliases_again(
    connected, name, tmp_path
):
    server = connected()
    register(server.client, name, 2, champion=1)
    recorded(tmp_path, 0, server, **{name: "HEALTHY"})
    server.client.set_registered_model_alias(name, "champion", "2")
    night = publish(tmp_path, 0, force=True, **{name: "SEVERE"})
    found = look_up(tmp_path, night, server, clock=clock(40))
    assert found.told == ()
    found.tag("run-2")
    row = rows(tmp_path, 0, server)[name, "champion"]
    assert (row["version"], row["verdict"]) == ("1", "FAIL")
    assert tags(server.client, name, 1)["calhard.verdict"] == "FAIL"
    assert tags(server.client, name, 2) == {}
    assert read_snapshot(tmp_path, night_of(0), server.shown).about["revision"] == 2


def test_a_forced_revision_of_an_older_night_changes_its_snapshot_and_no_tag(
    connected, name, tmp_path
):
    server = connected()
    register(server.client, name, 1, champion=1)
    for day in (0, 1):
        recorded(tmp_path, day, server, **{name: "HEALTHY"})
    night = publish(tmp_path, 0, force=True, **{name: "CRITICAL"})
    assert look_up(tmp_path, night, server, clock=clock(2)).tag("late") == ()
    assert rows(tmp_path, 0, server)[name, "champion"]["verdict"] == "FAIL"
    assert tags(server.client, name, 1)["calhard.verdict"] == "PASS"


def test_an_older_night_that_was_not_set_beside_the_aliases_never_is(connected, name, tmp_path):
    server = connected()
    register(server.client, name, 1, champion=1)
    late = publish(tmp_path, 0, **{name: "CRITICAL"})
    recorded(tmp_path, 1, server, **{name: "HEALTHY"})
    found = look_up(tmp_path, late, server, clock=clock(1))
    assert (found.snapshot, found.told, found.tag("x")) == (None, (), ())
    assert snapshot_nights(tmp_path, server.shown) == [night_of(1)]
    assert tags(server.client, name, 1)["calhard.verdict"] == "PASS"


def test_a_night_long_past_is_told_and_not_set_beside_what_the_aliases_point_at_now(
    connected, name, tmp_path
):
    server = connected()
    register(server.client, name, 1, champion=1)
    night = publish(tmp_path, 0, **{name: "HEALTHY"})
    found = look_up(tmp_path, night, server, clock=clock(4))
    assert len(found.told) == 1
    assert "is older than 3d" in found.told[0]
    assert found.tag("x") == ()
    assert look_up(tmp_path, night, server, clock=clock(1)).snapshot is not None


def test_verdicts_of_a_later_night_elsewhere_stay(connected, name, tmp_path):
    server = connected()
    register(server.client, name, 1, champion=1)
    recorded(tmp_path / "a", 5, server, **{name: "HEALTHY"})
    recorded(tmp_path / "b", 2, server, **{name: "CRITICAL"})
    assert tags(server.client, name, 1)["calhard.verdict.f"] == f"PASS {night_of(5)} run-1"


def test_tags_are_bounded_worst_first_and_the_rest_follows_the_next_night(
    connected, name, tmp_path
):
    models = {f"{name}-{i}": "HEALTHY" for i in range(3)} | {f"{name}-3": "CRITICAL"}
    server = connected(max_tags=4)
    for model in models:
        register(server.client, model, 1, champion=1)
    lines = recorded(tmp_path, 0, server, **models)
    assert ["2 model versions get their verdict with the next night" in x for x in lines] == [True]
    written = [m for m in models if tags(server.client, m, 1)]
    assert written == [f"{name}-0", f"{name}-3"]
    assert recorded(tmp_path, 1, server, **models) == []
    assert all(tags(server.client, m, 1) for m in models)


def test_what_is_switched_off_is_not_done(connected, name, tmp_path):
    server = connected(verdicts=False)
    register(server.client, name, 1, champion=1)
    recorded(tmp_path, 0, server, **{name: "HEALTHY"})
    assert snapshot_nights(tmp_path, server.shown) == [night_of(0)]
    assert tags(server.client, name, 1) == {}
    recorded(tmp_path, 1, connected(snapshots=False), **{name: "HEALTHY"})
    assert snapshot_nights(tmp_path, server.shown) == [night_of(0)]
    assert tags(server.client, name, 1)["calhard.verdict"] == "PASS"
    recorded(tmp_path, 2, connected(snapshots=False, verdicts=False), **{name: "SEVERE"})
    assert tags(server.client, name, 1)["calhard.verdict"] == "PASS"


def test_the_snapshot_is_an_artifact_of_the_same_bytes_however_often_it_is_asked_for(
    connected, name, tmp_path
):
    server = connected()
    register(server.client, name, 1, champion=1)
    night = publish(tmp_path, 0, **{name: "HEALTHY"})
    for folder in ("one", "two"):
        look_up(tmp_path, night, server, clock=clock(0)).write(tmp_path / folder)
    one, two = (tmp_path / f / "registry" / "aliases.parquet" for f in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() == kept(tmp_path, 0, server).read_bytes()
    about = json.loads(pq.read_schema(one).metadata[b"calhard.snapshot"])
    assert (about["night"], about["fleet"], about["revision"]) == (night_of(0), "f", 1)
    assert about["server"] == server.shown


def test_a_damaged_snapshot_is_told_with_its_file_and_the_night_goes_on(connected, name, tmp_path):
    server = connected()
    register(server.client, name, 1, champion=1)
    night = publish(tmp_path, 0, **{name: "HEALTHY"})
    file = kept(tmp_path, 0, server)
    file.parent.mkdir()
    file.write_bytes(b"PAR1 no more")
    found = look_up(tmp_path, night, server, clock=clock(0))
    assert found.snapshot is None
    assert len(found.told) == 1
    assert str(file) in found.told[0]
    assert "is damaged" in found.told[0]


def test_a_server_that_is_gone_costs_a_line_and_no_night(settings, name, tmp_path):
    night = publish(tmp_path, 0, **{name: "HEALTHY"})
    nowhere = "http://127.0.0.1:1"
    impatient = settings.model_copy(update={"retries": 0})
    connect(impatient)  # which bounds the waits of this process
    server = Server(nowhere, nowhere, impatient, Identity(), _client=_open(nowhere))
    found = look_up(tmp_path, night, server, clock=clock(0))
    assert (found.snapshot, found.tag("run")) == (None, ())
    assert len(found.told) == 1
    assert "no snapshot of the aliases: MLflow at http://127.0.0.1:1" in found.told[0]


class Counting(Server):
    """Counts the requests."""

    asked = 0

    def call(self, *args, **kwargs):
        self.asked += 1
        return super().call(*args, **kwargs)


def test_thousands_of_models_cost_few_requests(connected, name, tmp_path):
    there = connected()
    server = Counting(there.uri, there.shown, there.settings, there.identity, _client=there._client)
    register(there.client, name, 1, champion=1)
    night = publish(
        tmp_path, 0, **{f"{name}-{i}": "HEALTHY" for i in range(3_000)}, **{name: "HEALTHY"}
    )
    look_up(tmp_path, night, server, clock=clock(0)).tag("run")
    assert tags(there.client, name, 1)["calhard.verdict"] == "PASS"
    assert server.asked <= 8


def test_by_default_many_verdicts_at_once_leave_a_night_within_its_requests(
    settings, server, name, tmp_path
):
    there = connect(settings.model_copy(update={"uri": f"sqlite:///{server.folder}/mlflow.db"}))
    for i in range(35):
        register(there.client, f"{name}-{i}", 1, champion=1)
    counting = Counting(
        there.uri, there.shown, there.settings, there.identity, _client=there._client
    )
    recorded(tmp_path, 0, counting, **{f"{name}-{i}": "HEALTHY" for i in range(35)})
    assert 60 <= counting.asked <= 60 + 8
    assert len([i for i in range(35) if tags(there.client, f"{name}-{i}", 1)]) == 30


def test_a_night_that_is_delivered_holds_the_snapshot_and_its_run_is_named_by_the_verdict(
    connected, name, tmp_path
):
    server = connected(models={"m": name}, max_age="30000d")
    register(server.client, name, 1, champion=1)
    night = audit(tmp_path, group("c", {"aece": series(0.02, 0.02, noise=1e-3)}))
    out = tmp_path / "nights"
    delivered = deliver(out, night, server)
    assert delivered.told == ()
    run_id = delivered.receipt.run_id
    (file,) = server.client.list_artifacts(run_id, "registry")
    (there,) = (out / ".registry").glob("*.parquet")
    assert (file.path, file.file_size) == ("registry/aliases.parquet", there.stat().st_size)
    (mine,) = [text for key, text in tags(server.client, name, 1).items() if "verdict." in key]
    assert mine == f"PASS {night.night} {run_id}"
    assert tags(server.client, name, 1)["calhard.verdict"] == "PASS"
