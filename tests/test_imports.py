"""Imports run one way, and `import calhard` brings nothing that it does not need."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import calhard
import calhard_kernels

CALHARD, KERNELS = (Path(package.__file__).parent for package in (calhard, calhard_kernels))
CORE = (
    "schema",
    "plan",
    "series",
    "assess",
    "judge",
    "findings",
    "wording",
    "report",
    "explanation",
    "reliability",
    "service",
    "errors",
    "_version",
)
EDGES = (
    "history",
    "measure",
    "prepare",
    "store",
    "engines",
    "simulate",
    "sinks",
    "sources",
    "uri",
    "registry",
)
WIRING = ("pipeline", "cli", "api", "demo", "submit", "doctor")
OPTIONAL = ("ray", "mlflow", "cupy")


def imports(file, root):
    """Yield every module that a file imports, anywhere in it, and the line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = (root.name, *file.relative_to(root).parent.parts)
            above = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*above, *([node.module] if node.module else [])])
            if name == "calhard":
                yield from ((f"calhard.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield name, node.lineno


def files(root, *rooms):
    for room in rooms:
        found = [root / f"{room}.py"] if (root / f"{room}.py").exists() else []
        found += sorted((root / room).rglob("*.py"))
        assert found, room
        yield from found


def wrong(sources, root, allowed):
    """Return ``file:line imports module`` wherever ``allowed`` refuses the module."""
    return [
        f"{file.relative_to(root.parent)}:{line} imports {name}"
        for file in sources
        for name, line in imports(file, root)
        if not allowed(name.split("."))
    ]


def loaded(statement):
    """Return the modules that a fresh interpreter holds after a statement."""
    text = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=CALHARD.parent
    )
    return set(json.loads(found.stdout))


def test_every_part_of_calhard_has_its_place_in_the_order():
    packages = {path.parent.name for path in CALHARD.glob("*/__init__.py")}
    there = packages | {path.stem for path in CALHARD.glob("*.py")}
    known = {*CORE, *EDGES, *WIRING, "__init__"}
    assert there - known == set(), "add it to CORE, EDGES or WIRING"


def test_kernels_import_numpy_scipy_the_standard_library_and_each_other_alone():
    mine = {*sys.stdlib_module_names, "numpy", "scipy", "calhard_kernels"}
    mine.add("cupy")  # by a function that was given one of its arrays; see the loading test below
    clocks = {"time", "datetime"}
    sources = sorted(KERNELS.rglob("*.py"))
    assert len(sources) > 10
    assert wrong(sources, KERNELS, lambda name: name[0] in mine - clocks) == []


def test_the_core_imports_neither_edges_nor_wiring():
    outer = {*EDGES, *WIRING}
    inside = lambda name: name[0] != "calhard" or name[1] not in outer  # noqa: E731
    assert wrong(files(CALHARD, *CORE), CALHARD, inside) == []


def test_edges_never_import_wiring():
    inside = lambda name: name[0] != "calhard" or name[1] not in WIRING  # noqa: E731
    assert wrong(files(CALHARD, *EDGES), CALHARD, inside) == []


def test_engines_and_the_store_do_not_know_each_other_or_the_history():
    strangers = {
        "engines": {"store", "history"},
        "store": {"engines", "history"},
        "history": {"engines", "store"},
    }
    for room, others in strangers.items():
        apart = lambda name, others=others: name[0] != "calhard" or name[1] not in others  # noqa: E731
        assert wrong(files(CALHARD, room), CALHARD, apart) == []


def test_nothing_but_the_command_line_imports_the_command_line():
    rooms = [*CORE, *EDGES, *(room for room in WIRING if room != "cli")]
    inside = lambda name: name[:2] != ["calhard", "cli"]  # noqa: E731
    assert wrong(files(CALHARD, *rooms), CALHARD, inside) == []


def test_import_calhard_loads_nothing_but_calhard():
    top = loaded("import calhard")
    assert top & {"numpy", "scipy", "pyarrow", "pydantic", "rich", "pandas", *OPTIONAL} == set()
    assert "calhard" in top


def test_the_kernels_load_numpy_and_scipy_at_most():
    names = [f"calhard_kernels.{file.stem}" for file in sorted(KERNELS.glob("[!_]*.py"))]
    top = loaded("import " + ", ".join(names))
    assert "numpy" in top
    assert top & {"pyarrow", "pydantic", "calhard", "pandas", *OPTIONAL} == set()


def test_auditing_loads_no_optional_package_and_no_pandas():
    top = loaded("import calhard; calhard.audit; calhard.AuditPlan(); calhard.AuditReport")
    assert "pyarrow" in top
    assert top & {"pandas", "polars", "matplotlib", *OPTIONAL} == set()


def test_help_of_the_command_line_loads_no_audit():
    modules = loaded("import calhard.cli.main")
    assert "calhard.pipeline" not in modules
    assert "numpy" not in modules


@pytest.mark.parametrize("name", calhard.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert name in dir(calhard)
    assert getattr(calhard, name) is not None
    assert name == "__version__" or getattr(calhard, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'adit'"):
        calhard.adit  # noqa: B018
