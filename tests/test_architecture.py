"""The layers of the package, held by reading its imports."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import softadastra

PACKAGE = Path(softadastra.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

VALUES = {"errors", "types"}
"""What every layer may use: the vocabulary."""

LAYERS = {
    "errors": set(),
    "types": {"errors"},
    "packing": {*VALUES, "store.values"},
    "settings": {*VALUES, "arguments"},
    "policy_names": VALUES,
    "options": {*VALUES, "settings", "policy_names"},
    "store": VALUES,
    "sync": {*VALUES, "store"},
    "wal": VALUES,
    "security": VALUES,
    "transport": {*VALUES, "security"},
    "metadata": VALUES,
    "vitals": VALUES,
    "findings": VALUES,
    "sentences": {*VALUES, "findings"},
    "explanation": {*VALUES, "findings", "sentences", "vitals"},
    "health": {*VALUES, "explanation", "findings", "vitals", "store", "sync"},
    "discovery": VALUES,
    "runtime": {
        *VALUES,
        "arguments",
        "vitals",
        "store",
        "sync",
        "transport.links",
        "discovery.changes",
    },
    "arguments": VALUES,
    "views": {*VALUES, "arguments", "scans"},
    "tagged_json": VALUES,
    "scans": {*VALUES, "store"},
    "batch": {*VALUES, "store"},
    "modifying": {*VALUES, "lifecycle", "node", "store", "sync"},
    "outbox": {*VALUES, "sync"},
    "node_settings": {*VALUES, "options", "policy_names", "store", "sync", "metadata"},
    "networking": {*VALUES, "options", "security", "transport"},
    "pairing": {*VALUES, "networking", "options", "security", "transport"},
    "opening": {*VALUES, "options", "node_settings", "sync", "wal", "metadata", "runtime"},
    "discovering": {*VALUES, "options", "sync", "runtime", "discovery"},
    "node": {
        *VALUES,
        "arguments",
        "packing",
        "opening",
        "networking",
        "discovering",
        "options",
        "node_settings",
        "store",
        "sync",
        "wal",
        "transport",
        "metadata",
        "runtime",
        "vitals",
    },
    "control": {*VALUES, "batch", "explanation", "packing", "store", "sync.notices", "vitals"},
    "serving": {*VALUES, "control", "options"},
    "lifecycle": {*VALUES, "control", "node", "options", "runtime.waiting", "serving"},
    "watch": {*VALUES, "arguments", "store", "runtime"},
    "observing": {*VALUES, "lifecycle", "watch", "runtime", "scans"},
    "examining": {*VALUES, "explanation", "health", "lifecycle", "node", "sync", "vitals"},
    "client": {
        *VALUES,
        "options",
        "store",
        "sync",
        "observing",
        "examining",
        "modifying",
        "arguments",
        "batch",
        "views",
        "outbox",
        "scans",
    },
    "loops": {*VALUES, "store", "runtime"},
    "streams": {*VALUES, "arguments", "batch", "watch", "loops", "store"},
    "aio": {
        *VALUES,
        "options",
        "store",
        "runtime",
        "arguments",
        "client",
        "observing",
        "loops",
        "streams",
        "explanation",
        "vitals",
    },
    "testing": {
        *VALUES,
        "packing",
        "options",
        "client",
        "node_settings",
        "transport.links",
        "store",
        "sync",
        "wal",
        "runtime",
    },
    "inspection": {*VALUES, "store", "sync", "wal", "runtime"},
    "tracing": VALUES,
    "key_history": {*VALUES, "inspection", "store", "sync", "wal"},
    "repair": {*VALUES, "inspection", "store", "sync", "wal"},
    "dashboard": {
        *VALUES,
        "aio",
        "client",
        "explanation",
        "health.exposition",
        "health.readiness",
        "runtime.listening",
        "scans",
        "security.private_files",
        "sync.notices",
        "sync.status",
        "tagged_json",
        "vitals",
        "watch",
    },
    "cli": {
        *VALUES,
        "arguments",
        "options",
        "client",
        "control",
        "dashboard",
        "settings",
        "node_settings",
        "inspection",
        "key_history",
        "networking",
        "pairing",
        "repair",
        "explanation",
        "health",
        "runtime.events",
        "security",
        "sentences",
        "tagged_json",
        "testing",
        "tracing",
        "vitals",
        "wal",
    },
}
"""Package or module -> what of ours it may import beside itself."""

IMPURE = {
    "asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "select",
    "signal", "socket", "structlog", "subprocess", "sys", "time", "uuid", "zeroconf", "zmq",
}  # fmt: skip
"""What the pure core may not import: clocks, sockets, files, chance, threads and logs."""

PURE = ("store", "sync", "health", "security", "tracing")

FILES_OF_SECURITY = {"private_files.py", "key_file.py", "trust_file.py", "keyring.py"}
"""What of security/ reads and writes files; pairing and the rest of it are pure."""

ONLY_IN = {
    "click": "cli",
    "rich": "cli",
    "zmq": "transport",
    "structlog": "runtime",
    "zeroconf": "discovery",
    "ifaddr": "discovery",
    "starlette": "dashboard",
    "uvicorn": "dashboard",
}
"""Third-party packages that one part alone may import."""


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, by full name, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append((node.module or "", node.lineno))
    return found


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    allowed = LAYERS[part]

    for module, line in imports(path):
        if not module.startswith("softadastra."):
            continue
        inner = module.removeprefix("softadastra.")
        permitted = {inner, inner.partition(".")[0]} & {*allowed, part}

        assert permitted, f"{name_of(path)}:{line}: {part} may not import {module}"


def pure_modules(part: str) -> list[Path]:
    found = sorted((PACKAGE / part).rglob("*.py"))
    return [path for path in found if path.name not in FILES_OF_SECURITY]


@pytest.mark.parametrize("part", PURE)
def test_the_pure_core_imports_no_clock_socket_file_chance_thread_or_log(part):
    for path in pure_modules(part):
        for module, line in imports(path):
            root = module.partition(".")[0]
            assert root not in {*IMPURE, "threading"}, f"{name_of(path)}:{line}: {module}"


@pytest.mark.parametrize("part", PURE)
def test_the_pure_core_does_not_print_or_open(part):
    for path in pure_modules(part):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "open", "input"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_third_party_packages_stay_where_they_belong(path):
    part = path.relative_to(PACKAGE).parts[0]
    for module, line in imports(path):
        home = ONLY_IN.get(module.partition(".")[0])

        assert home in (None, part), f"{name_of(path)}:{line}: {module} belongs to {home}/"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_small_and_say_their_purpose(path):
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), f"{name_of(path)} has no docstring"
    assert text.count("\n") <= 450, f"{name_of(path)} is over 450 lines: split it by reason"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_small(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1

            assert lines <= 75, f"{name_of(path)}:{node.lineno}: {node.name} has {lines} lines"


def test_every_public_name_has_a_docstring():
    for name in softadastra.__all__:
        value = getattr(softadastra, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, softadastra; from softadastra import Client, ClientOptions, Peer; "
        "heavy = {'zmq', 'structlog', 'zeroconf', 'asyncio', 'click', 'rich', 'http'}; "
        "heavy |= {'starlette', 'uvicorn'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
