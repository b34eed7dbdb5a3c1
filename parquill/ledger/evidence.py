"""Notes how many lines the tables about single requests must have, for each process of a run.

The counts stand in the ledger, apart from the tables: a table that lost a file is found by them.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from parquill.ledger.records import EvidenceCount

_NAME = "evidence "
"""What the names of these rows of `meta` begin with."""


def note(db: sqlite3.Connection, count: EvidenceCount) -> None:
    """Note a process's counts in place of those it noted before."""
    told = {key: value for key, value in asdict(count).items() if key != "process"}
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_NAME + count.process, json.dumps(told)))


def counts(db: sqlite3.Connection) -> list[EvidenceCount]:
    """Return what every process noted, oldest first."""
    found = db.execute("SELECT name, value FROM meta WHERE name >= ? AND name < ? ORDER BY name", (_NAME, _NAME + "~"))
    return [EvidenceCount(process=name.removeprefix(_NAME), **json.loads(value)) for name, value in found]
