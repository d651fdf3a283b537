"""The cluster launcher's file, by Ray's own schema and its own preparation."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cluster.manifests import CLUSTER, ROOT, problems

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")

CONFIG = yaml.safe_load((CLUSTER / "ray-up.yaml").read_text(encoding="utf-8"))


def schema():
    folder = Path(ray.__file__).parent / "autoscaler"
    return json.loads((folder / "ray-schema.json").read_text(encoding="utf-8"))


def test_the_file_is_what_rays_schema_asks_for():
    assert problems(CONFIG, schema()) == []
    assert len(problems(CONFIG | {"setup_command": []}, schema())) == 1


def test_ray_itself_accepts_it_once_its_defaults_are_filled_in():
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(CONFIG)
    validate_config(prepared)
    assert prepared["max_workers"] == len(CONFIG["provider"]["worker_ips"])


@pytest.mark.parametrize("key", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_node_asks_for_the_token_and_writes_for_its_user_alone(key):
    (start,) = [command for command in CONFIG[key] if "ray start" in command]
    assert "RAY_AUTH_MODE=token" in start
    assert start.startswith("umask 077;")
    assert "~/.ray/auth_token" in CONFIG["file_mounts"]
    assert any("chmod 600 ~/.ray/auth_token" in command for command in CONFIG["setup_commands"])


def test_the_head_computes_nothing_and_its_dashboard_stays_on_the_loopback():
    (start,) = [command for command in CONFIG["head_start_ray_commands"] if "ray start" in command]
    assert "--num-cpus=0" in start
    assert "--dashboard-host" not in start


def test_what_is_sent_to_the_machines_exists_or_is_made_by_the_commands_above():
    sent = [source for source in CONFIG["file_mounts"].values() if not source.startswith("~")]
    text = (CLUSTER / "ray-up.yaml").read_text(encoding="utf-8")
    for source in sent:
        assert (ROOT / source).exists() or f"--wheel-dir {source}" in text, source
