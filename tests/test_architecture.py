"""Who may import whom: finops → reports → anomalies → attribution; ingest alone; finops.core the ground."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
APPS = ("ingest", "attribution", "anomalies", "reports")
MAY_IMPORT = {
    "finops.core": set(),
    "finops.sample": set(),  # it writes files, as outsiders do
    "ingest": set(),
    "attribution": set(),
    "anomalies": {"attribution"},
    "reports": {"anomalies", "attribution", "ingest"},
}
DOORS = {"models", "queries"}  # through which one app reads another


def packages() -> Iterator[tuple[str, Path]]:
    for package in MAY_IMPORT:
        for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
            if "migrations" not in path.parts:
                yield package, path


def imported(path: Path) -> Iterator[str]:
    """Full dotted names, those inside functions and of relative imports too."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (parent, node.module or "") if part)
            yield from (f"{module}.{name.name}" for name in node.names)


def test_arrows_between_the_apps_run_one_way():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in packages()
        for name in imported(path)
        if name.split(".")[0] in APPS
        and name.split(".")[0] != package
        and name.split(".")[0] not in MAY_IMPORT[package]
    ]
    assert wrong == []


def test_an_app_reads_another_through_its_models_and_queries_alone():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in packages()
        for name in imported(path)
        if name.split(".")[0] in MAY_IMPORT[package] and not set(name.split(".")[1:2]) & DOORS
    ]
    assert wrong == []


def test_apps_know_of_finops_only_its_core():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in packages()
        for name in imported(path)
        if name.split(".")[0] == "finops"
        and not name.startswith("finops.core")
        and not (package == "finops.sample" and name.startswith("finops.sample"))
    ]
    assert wrong == []


def test_scikit_learn_is_imported_only_by_detection():
    importers = {
        str(path.relative_to(ROOT))
        for _, path in packages()
        if any(name.split(".")[0] == "sklearn" for name in imported(path))
    }
    assert importers <= {"anomalies/detection.py"}


def test_a_command_starts_without_what_imports_slowly(tmp_path):
    """Each of them costs seconds; they are imported by the functions that need them."""
    commands = sorted(path.stem for path in (ROOT / "finops/management/commands").glob("[a-z]*.py"))
    slow = {"sklearn", "pandas", "scipy", "matplotlib", "plotly", "boto3"}
    code = (
        "import importlib, sys, django; django.setup()\n"
        f"for name in {commands}: importlib.import_module('finops.management.commands.' + name)\n"
        f"print({slow} & set(sys.modules) or '')"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "finops.settings",
        "FINOPS_DATA_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_modules_are_named_for_what_they_know():
    vague = {"utils.py", "helpers.py", "services.py", "common.py"}
    assert [path for _, path in packages() if path.name in vague] == []
