"""The views of the journal: as documented, in journals of every age, and readable while another process writes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.journal import Journal
from batchsync.journal.views import VIEWS, refresh_views

if TYPE_CHECKING:
    from kit.deployment import Deployment

PAGE = (Path(__file__).parents[2] / "docs" / "explore.md").read_text(encoding="utf-8")
SAMPLES = sorted(Path(__file__).parent.glob("schema_*.sql"))


def columns(db: sqlite3.Connection, view: str) -> list[str]:
    """Return the names of the columns of a view."""
    return [row[1] for row in db.execute(f'PRAGMA table_info("{view}")')]


def rows(db: sqlite3.Connection, view: str) -> list[dict[str, object]]:
    """Return the rows of a view."""
    statements = {"v_runs": "SELECT * FROM v_runs", "v_batches": "SELECT * FROM v_batches"}
    return [dict(zip(columns(db, view), row, strict=True)) for row in db.execute(statements[view])]


def test_page_lists_every_view_with_its_columns(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(v_\w+)` \| .+? \| (.+) \|$", PAGE, re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", text) for name, text in listed}
    Journal.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert {name: columns(db, name) for name in VIEWS} == documented


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_journal_of_older_schema_gets_views_when_it_is_opened_for_writing(sample: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.executescript(sample.read_text(encoding="utf-8"))
    tmp_path.chmod(0o700)
    with Journal.open(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert all(columns(db, name) for name in VIEWS)
        counts = db.execute("SELECT (SELECT count(*) FROM v_batches) - (SELECT count(*) FROM batches)").fetchone()
        assert counts == (0,)
        assert {item["run"] for item in rows(db, "v_runs")} >= {item["run"] for item in rows(db, "v_batches")}


def test_views_of_another_version_are_replaced(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        db.execute("DROP VIEW v_jobs")
        db.execute("CREATE VIEW v_jobs AS SELECT 1 AS former")
        db.execute('CREATE VIEW "v_of ""another" AS SELECT 1 AS former')
    with Journal.open(tmp_path, read_only=True):
        pass
    Journal.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'v\\_%' ESCAPE '\\'")}
        assert found == set(VIEWS)
        assert "job" in columns(db, "v_jobs")


def test_busy_journal_gets_its_views_later(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    path = tmp_path / "journal.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other,
    ):
        writer.execute("DROP VIEW v_jobs")
        writer.execute("BEGIN IMMEDIATE")
        refresh_views(other)
        assert not other.in_transaction
        writer.execute("ROLLBACK")
        refresh_views(other)
        assert columns(other, "v_jobs")


def test_statements_of_the_page_agree_with_the_commands(deployment: Deployment) -> None:
    deployment.run("sync")
    settled = {item["job"]: item for item in deployment.json("status")["jobs"]}
    journal = deployment.folder / ".batchsync" / "mocks" / "journal.db"
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
        answers = [db.execute(text).fetchall() for text in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)]
        assert len(answers) == 5
        assert all(answers[1:]), answers
        (shown,) = re.findall(r'journal\.db "(SELECT .+?)"', PAGE)
        assert sorted(db.execute(shown)) == [("guests", "settled", 0), ("vehicles", "settled", 0)]
        run = db.execute(
            "SELECT selected, added, invalid, accepted, rejected, bytes > 0 FROM v_runs WHERE job = 'guests'"
        )
        assert run.fetchall() == [(30, 29, 1, 29, 0, 1)]
        assert db.execute("SELECT baseline_rows FROM v_jobs WHERE job = 'guests'").fetchone() == (29,)
        assert db.execute("SELECT key, field FROM v_rejects WHERE job = 'guests'").fetchall() == [("G0", "email")]
        assert {name for (name,) in db.execute("SELECT job FROM v_jobs")} == set(settled)
