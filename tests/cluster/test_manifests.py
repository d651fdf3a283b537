"""What the files in cluster/ promise: retries, tokens, least privilege, one version, real names."""

import re
import shlex
import subprocess
from datetime import timedelta

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.cluster.manifests import CLUSTER, ROOT, containers, document, documents

YAML = sorted(path.name for path in CLUSTER.glob("*.yaml"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
DOCKERFILE = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
IMAGE = "/home/ray/calhard/"
RAY = re.search(r"^ray==(\S+)", LOCK, re.MULTILINE)[1]


def job_of(name):
    manifest = documents(name)[-1]
    return manifest["spec"].get("jobTemplate", manifest["spec"])


JOBS = pytest.mark.parametrize("name", ["rayjob.yaml", "raycronjob.yaml"])


def test_the_files_are_those_that_the_page_lists():
    listed = re.findall(
        r"^\| `([^`]+)` \|", (CLUSTER / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(p.name for p in CLUSTER.iterdir() if p.is_file())


@JOBS
def test_a_job_ends_with_its_cluster_and_is_tried_again_on_a_new_one(name):
    spec = job_of(name)
    assert spec["backoffLimit"] >= 1
    assert spec["submitterConfig"] == {"backoffLimit": 0}
    assert 0 < spec["preRunningDeadlineSeconds"] < spec["activeDeadlineSeconds"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert "--exit-zero" in shlex.split(spec["entrypoint"])


@JOBS
def test_a_cluster_asks_for_a_token_and_computes_on_workers_alone(name):
    cluster = job_of(name)["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert [group["groupName"] for group in cluster["workerGroupSpecs"]] == ["cpu", "gpu"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    cards = [
        container["resources"]["limits"].get("nvidia.com/gpu", 0)
        for group in cluster["workerGroupSpecs"]
        for container in containers(group)
    ]
    assert cards == [0, 1]


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycronjob.yaml", "cronjob.yaml"])
def test_containers_run_confined_with_bounded_memory_and_images_of_ours(name):
    found = [each for manifest in documents(name) for each in containers(manifest)]
    assert found
    for container in found:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["image"] in {f"calhard-ray:{RAY}-cpu", f"calhard-ray:{RAY}-gpu"}


def test_both_nightly_ways_run_the_same_job():
    once, nightly = job_of("rayjob.yaml"), job_of("raycronjob.yaml")
    entrypoints = once["entrypoint"], nightly["entrypoint"]
    as_of = r"--as-of (\$\([^)]*\))?\S+ "
    assert len({re.sub(as_of, "", text) for text in entrypoints}) == 1
    assert once | {"entrypoint": ""} == nightly | {"entrypoint": ""}


def test_no_try_of_a_nightly_job_begins_on_another_day():
    manifest = document("raycronjob.yaml", "RayCronJob")["spec"]
    minute, hour, *rest = manifest["schedule"].split()
    assert rest == ["*", "*", "*"]
    assert manifest["timeZone"] == "Etc/UTC"
    tries = manifest["jobTemplate"]["backoffLimit"] + 1
    began = timedelta(hours=int(hour), minutes=int(minute))
    longest = timedelta(seconds=tries * manifest["jobTemplate"]["activeDeadlineSeconds"])
    assert began + longest < timedelta(days=1)


def test_the_day_of_the_shell_is_an_as_of(tmp_path):
    entrypoint = job_of("raycronjob.yaml")["entrypoint"]
    told = subprocess.run(
        ["/bin/bash", "-ce", f"printf '%s\\n' {entrypoint}"],
        capture_output=True,
        text=True,
        check=True,
    )
    words = told.stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00Z", words[words.index("--as-of") + 1])


def test_the_cron_job_forbids_a_second_one_and_may_create_rayjobs_alone():
    cron = document("cronjob.yaml", "CronJob")
    spec = cron["spec"]
    assert cron["apiVersion"] == "batch/v1"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    (rule,) = document("cronjob.yaml", "Role")["rules"]
    assert rule == {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}
    binding = document("cronjob.yaml", "RoleBinding")
    role, account = (document("cronjob.yaml", kind) for kind in ("Role", "ServiceAccount"))
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"]},
    ]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]


def test_the_cron_job_has_only_fields_of_cron_jobs():
    spec = document("cronjob.yaml", "CronJob")["spec"]
    assert set(spec) <= {
        "concurrencyPolicy",
        "failedJobsHistoryLimit",
        "jobTemplate",
        "schedule",
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "suspend",
        "timeZone",
    }
    job = spec["jobTemplate"]
    assert set(job) == {"spec"}
    assert set(job["spec"]) <= {"activeDeadlineSeconds", "backoffLimit", "template"}


def programs():
    """Yield every file of the image that a manifest runs."""
    for name in YAML:
        text = (CLUSTER / name).read_text(encoding="utf-8")
        yield from ((name, path) for path in re.findall(rf"{IMAGE}([\w./]+\.py)", text))


def test_programs_that_manifests_run_exist_and_are_in_the_image():
    found = list(programs())
    assert {name for name, _ in found} == {"rayjob.yaml", "raycronjob.yaml", "cronjob.yaml"}
    copied = re.findall(r"^COPY --chown=1000:100 (\S+) (\S+)$", DOCKERFILE, re.MULTILINE)
    for _, path in found:
        assert (ROOT / path).is_file(), path
        source = path if path.startswith("cluster/") else path.partition("/")[0]
        assert (source, f"{IMAGE}{source}") in copied


def test_what_the_dockerfile_copies_exists():
    sources = [
        word
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE)
        if "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert {"calhard", "kernels", "jobs", "requirements.lock"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_version_of_ray_is_the_one_of_the_lock_everywhere():
    assert re.findall(r"^ARG RAY=(\S+)$", DOCKERFILE, re.MULTILINE) == [RAY]
    for path in CLUSTER.iterdir():
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            told = re.findall(r"(?:ray:|ray(?:\[default\])?==|rayVersion: \")(\d[\d.]*\d)", text)
            assert set(told) <= {RAY}, path.name
    for name in ("rayjob.yaml", "raycronjob.yaml"):
        assert job_of(name)["rayClusterSpec"]["rayVersion"] == RAY


def test_the_constraints_that_the_image_makes_pin_every_dependency(tmp_path):
    (command,) = re.findall(r"^RUN (sed .*)$", DOCKERFILE, re.MULTILINE)
    (tmp_path / "requirements.lock").write_text(LOCK, encoding="utf-8")
    subprocess.run(["/bin/sh", "-ec", command], cwd=tmp_path, check=True)
    lines = (tmp_path / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {(each := Requirement(line)).name: each for line in lines}
    assert len(pins) == len(re.findall(r"^[a-z0-9]", LOCK, re.MULTILINE))
    for requirement in ("numpy", "scipy", "pyarrow", "pydantic", "click", "ray", "hatchling"):
        (specifier,) = pins[requirement].specifier
        assert specifier.operator == "=="
        assert Version(specifier.version)
    assert command in "\n".join(
        yaml.safe_load((CLUSTER / "ray-up.yaml").read_text())["setup_commands"]
    ).replace("~/calhard/", "")


def test_extras_that_the_image_asks_for_are_there():
    (extra,) = re.findall(r'extra="\[(\w+)\]"', DOCKERFILE)
    assert re.search(rf"^{extra} = \[", PROJECT, re.MULTILINE)


def test_no_file_names_a_registry_or_an_index():
    known = r"http://127\.0\.0\.1|https://\{server\}|nvidia\.com/gpu|(batch\.)?kubernetes\.io/"
    host = re.compile(r"https?://\S+|[\w-]+\.(?:io|org|com|dev|cloud)/(?!v1)")
    for path in CLUSTER.iterdir():
        if path.is_file():
            text = re.sub(known, "", path.read_text(encoding="utf-8"))
            assert host.findall(text) == [], path.name
