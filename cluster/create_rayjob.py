"""Creates tonight's RayJob; what the CronJob runs, in a pod, with a token that may do nothing else.

    python cluster/create_rayjob.py cluster/rayjob.yaml

--as-of of its entrypoint becomes this day's midnight, UTC, and stays that in every retry. The name
ends with the night, so that a night is created once: where it is there already, that is told.
"""

import argparse
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
AS_OF = re.compile(r"(?<=--as-of )\S+")


def of_night(template: dict[str, Any], day: date, owner: tuple[str, str] | None) -> dict[str, Any]:
    """Return the RayJob of the night before a day; ``owner`` is the Job's name and uid."""
    entrypoint, found = AS_OF.subn(f"{day.isoformat()}T00:00Z", template["spec"]["entrypoint"])
    if found != 1:
        raise SystemExit(f"the entrypoint must have --as-of once, and has it {found} times")
    night = (day - timedelta(days=1)).isoformat()
    metadata = template["metadata"] | {"name": f"{template['metadata']['name']}-{night}"}
    if owner is not None:
        of = {"apiVersion": "batch/v1", "kind": "Job", "name": owner[0], "uid": owner[1]}
        metadata["ownerReferences"] = [of]
    return template | {"metadata": metadata, "spec": template["spec"] | {"entrypoint": entrypoint}}


def create(rayjob: dict[str, Any], server: str, account: Path) -> str:
    """Create a RayJob through the API of Kubernetes; return what came of it."""
    namespace = (account / "namespace").read_text(encoding="utf-8").strip()
    name = rayjob["metadata"]["name"]
    request = urllib.request.Request(  # https always
        f"https://{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs",
        data=json.dumps(rayjob).encode(),
        headers={
            "Authorization": f"Bearer {(account / 'token').read_text(encoding='utf-8').strip()}",
            "Content-Type": "application/json",
        },
        method="POST",
    )
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    try:
        urllib.request.urlopen(request, timeout=30, context=trusted).close()  # noqa: S310
    except urllib.error.HTTPError as e:
        if e.code != 409:
            raise SystemExit(f"{name}: {e.code} {e.read().decode(errors='replace')}") from e
        return f"{name} is there already"
    return f"{name} created"


def main() -> None:
    """Create the RayJob of tonight, or of another day."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("template", type=Path, help="a RayJob manifest")
    parser.add_argument("--as-of", type=date.fromisoformat, help="a day; today by default")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="token, ca.crt, namespace")
    options = parser.parse_args()
    env = os.environ
    server = f"{env['KUBERNETES_SERVICE_HOST']}:{env['KUBERNETES_SERVICE_PORT']}"
    owner = (env["JOB_NAME"], env["JOB_UID"]) if env.get("JOB_UID") else None
    template = yaml.safe_load(options.template.read_text(encoding="utf-8"))
    rayjob = of_night(template, options.as_of or datetime.now(UTC).date(), owner)
    sys.stdout.write(create(rayjob, server, options.account) + "\n")


if __name__ == "__main__":
    main()
