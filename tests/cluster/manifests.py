"""What stands in cluster/, and the schemas of KubeRay, made strict."""

import gzip
import json
import os
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
SCHEMAS = Path(os.environ.get("CALHARD_REAL_DATA", "")) / "kuberay"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {"RayJob": "rayjobs", "RayCronJob": "raycronjobs", "RayCluster": "rayclusters"}


def documents(name):
    """Return the documents of a YAML file."""
    text = (CLUSTER / name).read_text(encoding="utf-8")
    return json.loads(json.dumps(list(yaml.safe_load_all(text))))  # anchors become copies


def document(name, kind):
    """Return the one document of a kind."""
    (found,) = [each for each in documents(name) if each["kind"] == kind]
    return found


@cache
def schema(kind):
    """Return the strict schema of a kind of KubeRay, in its version v1."""
    packed = SCHEMAS / f"ray.io_{KINDS[kind]}.yaml.gz"
    crd = yaml.load(
        gzip.decompress(packed.read_bytes()), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    assert crd["spec"]["names"]["kind"] == kind
    (found,) = [v["schema"] for v in crd["spec"]["versions"] if v["name"] == "v1"]
    return strict(found["openAPIV3Schema"])


def strict(node):
    """Return a schema in which a field that it does not name is an error."""
    if isinstance(node, list):
        return [strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    closed = {key: strict(value) for key, value in node.items()}
    named = isinstance(node.get("properties"), dict) and node.get("type") == "object"
    if named and not node.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def problems(found, wanted):
    """Return what a schema has against a document, each with its place."""
    errors = Draft202012Validator(wanted).iter_errors(found)
    return sorted(f"{e.json_path}: {e.message[:200]}" for e in errors)


def containers(node):
    """Yield every container of a manifest, wherever it stands."""
    if isinstance(node, dict):
        yield from node.get("containers", ())
        for value in node.values():
            yield from containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from containers(value)
