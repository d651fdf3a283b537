"""What is sent is what runs here, and pip has nothing to fetch for it."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from calhard.engines.on_ray.versions import source_hash
from calhard.errors import ConfigError
from calhard.submit.wheel import own_wheel, without_dependencies


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return own_wheel(tmp_path_factory.mktemp("wheel"))


def installed(wheel, folder):
    """Install a wheel as Ray does, with no index to ask; return what a fresh Python finds there."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, f"--target={folder}", wheel], check=True, capture_output=True)
    program = (
        "import json, calhard, calhard_kernels\n"
        "from calhard.engines.on_ray.versions import source_hash\n"
        "from calhard.report.html import html_report\n"
        "print(json.dumps([calhard.__file__, calhard_kernels.__file__, source_hash()]))"
    )
    env = {**os.environ, "PYTHONPATH": str(folder)}
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(told.stdout)


def test_the_wheel_is_the_source_that_runs_here_and_installs_without_an_index(wheel, tmp_path):
    calhard, kernels, digest = installed(wheel, tmp_path)
    assert calhard.startswith(str(tmp_path))
    assert kernels.startswith(str(tmp_path))
    assert digest == source_hash()


def test_the_same_source_gives_the_same_bytes(wheel, tmp_path):
    assert own_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_what_is_no_python_goes_along_and_caches_do_not(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "calhard/py.typed" in names
    assert any(name.startswith("calhard/report/templates/") for name in names)
    assert [name for name in names if "__pycache__" in name] == []
    assert len(names) == len(set(names))


def dependent(wheel, folder):
    """Write a copy of a wheel that names dependencies, as build backends write it."""
    path = folder / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(path, "w") as made:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/METADATA"):
                content += (
                    b"Requires-Dist: no-such-package>=1\nProvides-Extra: x\n\nRequires-Dist: text\n"
                )
            made.writestr(name, content)
    return path


def test_a_wheel_that_is_given_loses_its_dependencies_and_nothing_else(wheel, tmp_path):
    given, sent, there = (tmp_path / name for name in ("given", "sent", "there"))
    for folder in (given, sent):
        folder.mkdir()
    packed = without_dependencies(dependent(wheel, given), sent)
    assert packed.name == wheel.name
    (metadata,) = [n for n in zipfile.ZipFile(packed).namelist() if n.endswith("/METADATA")]
    text = zipfile.ZipFile(packed).read(metadata).decode()
    assert "no-such-package" not in text
    assert text.endswith("\n\nRequires-Dist: text\n")
    assert installed(packed, there)[2] == source_hash()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("numpy-2.1-py3-none-any.whl", b"", "no wheel of calhard"),
        ("calhard-0.1.0.tar.gz", b"", "no wheel of calhard"),
        ("calhard-0.1.0-py3-none-any.whl", b"PK\x03\x04", "cannot be read"),
    ],
)
def test_what_is_no_wheel_of_calhard_is_refused(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        without_dependencies(path, tmp_path)


def test_a_zip_file_that_is_no_wheel_is_refused(tmp_path):
    path = tmp_path / "calhard-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("calhard/__init__.py", "")
    with pytest.raises(ConfigError, match="METADATA and RECORD"):
        without_dependencies(path, tmp_path)
