"""The manifests hold what KubeRay's own schemas allow, and nothing else."""

import copy
import os

import pytest

from tests.cluster.manifests import SCHEMAS, document, problems, schema

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not os.environ.get("CALHARD_REAL_DATA") or not SCHEMAS.is_dir(),
        reason="CALHARD_REAL_DATA names no folder that holds kuberay/",
    ),
]
MANIFESTS = [("rayjob.yaml", "RayJob"), ("raycronjob.yaml", "RayCronJob")]


def spec_of(manifest):
    spec = manifest["spec"]
    return spec.get("jobTemplate", spec)


@pytest.fixture(scope="module", params=MANIFESTS, ids=lambda p: p[0])
def manifest(request):
    return document(*request.param)


@pytest.fixture(scope="module")
def wanted(manifest):
    found = copy.deepcopy(schema(manifest["kind"]))
    found["properties"]["metadata"] = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,35}$"}},
        "additionalProperties": False,
    }
    return found


def test_a_manifest_is_of_the_version_and_has_the_fields_of_the_schema(manifest, wanted):
    assert manifest["apiVersion"] == "ray.io/v1"
    assert problems(manifest, wanted) == []


@pytest.mark.parametrize(
    "path",
    [
        ("backOffLimit",),
        ("rayClusterSpec", "authOption"),
        ("rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "ressources"),
        ("rayClusterSpec", "workerGroupSpecs", 1, "groupname"),
        ("submitterPodTemplate", "spec", "securityContext", "runAsNobody"),
    ],
    ids=lambda path: path[-1],
)
def test_a_field_that_is_not_in_the_schema_is_found(manifest, wanted, path):
    broken = copy.deepcopy(manifest)
    place = spec_of(broken)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = 1
    (problem,) = problems(broken, wanted)
    assert path[-1] in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("backoffLimit",), "2"),
        (("rayClusterSpec", "authOptions", "mode"), "open"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_found(manifest, wanted, path, value):
    broken = copy.deepcopy(manifest)
    place = spec_of(broken)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (problem,) = problems(broken, wanted)
    assert path[-1] in problem


def test_the_pod_of_the_cron_job_is_one_that_the_schema_of_pods_allows():
    pods = schema("RayJob")["properties"]["spec"]["properties"]["submitterPodTemplate"]
    job = document("cronjob.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]
    assert problems(job["template"], pods) == []
    broken = copy.deepcopy(job["template"])
    broken["spec"]["serviceAccountname"] = "calhard"
    assert len(problems(broken, pods)) == 1
