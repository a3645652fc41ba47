"""One vendor, one place: which modules may import which library. The rules between packages are import-linter's (pyproject.toml)."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "vosk": ("bot/speech/vosk.py",),
    "davey": ("bot/voice/dave.py", "bot/voice/dave_state.py"),
    "nacl": ("bot/voice/crypto.py",),
    "sqlalchemy": ("bot/storage/",),
    "alembic": ("bot/storage/",),
    "av": ("bot/sources/files.py", "bot/sources/resample.py"),
    "ahocorasick_rs": ("moderation/detectors/automaton.py",),
    "aiohttp.web": ("bot/api/",),
    "discord": (
        "bot/voice/",
        "bot/sources/",
        "bot/app.py",
        "bot/client.py",
        "bot/delivery.py",
        "bot/notices.py",
        "bot/presence.py",
        "bot/redaction.py",
        "bot/shards.py",
        "bot/commands/",
        "cogs/",
    ),
    "databricks": ("bot/databricks/connection.py", "bot/databricks/failures.py", "bot/databricks/deploy/"),
    "prometheus_client": ("bot/metrics/",),
    "pydantic": ("config/", "bot/api/", "bot/app.py", "bot/http.py", "bot/records.py"),
    "rich": ("bot/commands/",),
    "mlflow": ("bot/databricks/deploy/",),
    "pandas": ("bot/databricks/deploy/",),
}
"""Library → where it may be imported (a file, or everything below a folder)."""


def imported(path: Path) -> set[str]:
    """Modules that a file imports while it runs: those for types alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


FILES = sorted(p for package in ("bot", "cogs", "moderation", "config") for p in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("library", ALLOWED)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = [str(p.relative_to(ROOT)) for p in FILES if any(n == library or n.startswith(f"{library}.") for n in imported(p))]
    assert users, f"nobody imports {library}: take it off the list"
    assert [u for u in users if not u.startswith(ALLOWED[library])] == []


def test_cogs_stay_small() -> None:
    lengths = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in FILES if p.parent.name == "cogs"}
    assert {name: n for name, n in lengths.items() if n > 200} == {}
