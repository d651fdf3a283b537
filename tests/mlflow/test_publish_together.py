"""Several publishers of one night at once, and answers that are lost: one run is left."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.experiment import experiment_of
from tests.mlflow.gate import LOST, answer, gate
from tests.mlflow.nights import audited, complete, publishing, runs_of, slight, whole

ROOT = Path(__file__).parents[2]
SOON = 20.0


def publish(settings, uri, content, fleet):
    server = connect(settings, uri=uri)
    return publishing(server, content, fleet).publish()


def meeting(counter, text, parties):
    """Hold the first requests that hold a text until so many have come."""
    barrier, left, lock = threading.Barrier(parties), [parties], threading.Lock()
    before = counter.how

    def wait(number, request):
        with lock:
            is_first = text in request and left[0] > 0
            left[0] -= is_first
        if is_first:
            barrier.wait(SOON)
        return before(number, request)

    counter.how = wait


def one_whole_run(client, fleet, content):
    (run,) = runs_of(client, fleet)
    assert complete([run]) == [run]
    whole(client, run, content)
    return run


def test_threads_that_create_at_the_same_moment_leave_one_run(settings, server):
    content = slight()
    with gate(server.uri) as (uri, counter), ThreadPoolExecutor(3) as pool:
        meeting(counter, "runs/create", 3)
        tasks = [pool.submit(publish, settings, uri, content, "threads") for _ in range(3)]
        done = [task.result() for task in tasks]
        assert counter.count("runs/create") == 3
    client = connect(settings).client
    run = one_whole_run(client, "threads", content)
    assert {sent.run_id for sent in done} == {run.info.run_id}
    assert len(runs_of(client, "threads", every=True)) == 3, "two were made, and thrown away"


def test_threads_that_write_to_one_run_at_the_same_moment_double_nothing(settings, server):
    content = slight()
    found = connect(settings)
    publishing(found, content, "write").begin([])
    with gate(server.uri) as (uri, counter), ThreadPoolExecutor(3) as pool:
        for text in ("runs/log-batch", "runs/log-inputs"):
            meeting(counter, text, 3)
        hasty = replace_retries(settings, 0)
        tasks = [pool.submit(publish, hasty, uri, content, "write") for _ in range(3)]
        assert len({task.result().run_id for task in tasks}) == 1
        assert counter.count("runs/log-batch") >= 3
    one_whole_run(found.client, "write", content)


def test_an_experiment_that_two_create_at_the_same_moment_serves_both(settings, server):
    with gate(server.uri) as (uri, counter), ThreadPoolExecutor(2) as pool:
        meeting(counter, "experiments/create", 2)
        servers = [connect(settings, uri=uri) for _ in range(2)]
        tasks = [pool.submit(experiment_of, found, "calhard/both") for found in servers]
        first, second = (task.result() for task in tasks)
        assert counter.count("experiments/create") == 2
    assert first == second


def test_two_audits_of_a_night_that_complete_at_the_same_moment_leave_one(settings, server):
    contents = [slight(seed) for seed in (0, 1)]
    with gate(server.uri) as (uri, counter), ThreadPoolExecutor(2) as pool:
        meeting(counter, '"value": "complete"', 2)
        tasks = [pool.submit(publish, settings, uri, content, "audits") for content in contents]
        done = [task.result() for task in tasks]
    (run,) = runs_of(connect(settings).client, "audits")
    assert {sent.run_id for sent in done} == {run.info.run_id}
    assert sorted(sent.is_other for sent in done) == [False, True]


def test_processes_leave_one_run(settings, server, tmp_path):
    audited(tmp_path, "processes")
    command = [sys.executable, "-m", "calhard.cli.main", "publish", str(tmp_path)]
    command += ["--mlflow-uri", server.uri]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert [(err, code) for _, err, code in ended] == [(b"", 0)] * 2
    (run,) = runs_of(connect(settings).client, "processes")
    assert complete([run]) == [run]
    assert all(run.info.run_id.encode() in out for out, _, _ in ended)


def test_a_lost_answer_to_create_makes_two_runs_of_which_one_stays(settings, server):
    content = slight()
    with gate(server.uri) as (uri, counter):
        counter.fault("runs/create", LOST)
        sent = publish(replace_retries(settings, 1), uri, content, "lost")
        assert counter.count("runs/create") == 2
    client = connect(settings).client
    assert one_whole_run(client, "lost", content).info.run_id == sent.run_id
    assert len(runs_of(client, "lost", every=True)) == 2


def test_a_run_that_somebody_deletes_while_it_is_written_is_made_again(settings, server):
    content = slight()
    client = connect(settings).client

    def delete_once(number, request):
        if "runs/log-inputs" in request and not gone:
            (run,) = runs_of(client, "deleted")
            client.delete_run(run.info.run_id)
            gone.append(run.info.run_id)

    gone = []
    with gate(server.uri) as (uri, counter):
        counter.how = delete_once
        sent = publish(settings, uri, content, "deleted")
    assert one_whole_run(client, "deleted", content).info.run_id == sent.run_id
    assert sent.run_id not in gone


def test_who_may_not_delete_makes_the_run_say_that_it_is_discarded(settings, server):
    content = slight()
    with gate(server.uri) as (uri, counter), ThreadPoolExecutor(2) as pool:
        denied = answer(403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}')
        counter.fault("runs/delete", denied, times=99)
        meeting(counter, "runs/create", 2)
        tasks = [pool.submit(publish, settings, uri, content, "denied") for _ in range(2)]
        assert len({task.result().run_id for task in tasks}) == 1
    runs = {
        run.data.tags["calhard.state"]: run for run in runs_of(connect(settings).client, "denied")
    }
    assert set(runs) == {"complete", "discarded"}
    assert runs["discarded"].info.status == "KILLED"


def replace_retries(settings, retries):
    return settings.model_copy(update={"retries": retries})
