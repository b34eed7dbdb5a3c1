"""The ledger's file: tables, format version, and a durable connection."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from parquill.errors import OutputError, ParquillError, StorageFaultError, StorageFullError
from parquill.storage import private_mode

_APPLICATION_ID = 0x5051554C  # "PQUL": tells a ledger from other SQLite files

ROW_BITS = 20
"""A row's key is `slice_id << ROW_BITS | row`: one integer finds it, a range finds a slice."""

QUARTER_US = 15 * 60 * 1_000_000
"""Spend is kept by quarter hours, since every time zone's day begins on one."""

OPEN, SETTLED, DOUBT = 0, 1, 2
"""States of an attempt: sent with nothing heard yet; ended; lost with its process."""

_FORMAT_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started_at INTEGER NOT NULL, ended_at INTEGER, stop TEXT,
    realm TEXT NOT NULL, model TEXT NOT NULL, settings TEXT NOT NULL, cap_pico INTEGER
);
CREATE TABLE spend (
    run_id INTEGER NOT NULL, quarter INTEGER NOT NULL,
    requests INTEGER NOT NULL, pico INTEGER NOT NULL, tokens INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    doubts INTEGER NOT NULL, doubt_pico INTEGER NOT NULL,
    PRIMARY KEY (run_id, quarter)
) WITHOUT ROWID;
CREATE TABLE slices (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    publishing TEXT, replaces TEXT
);
CREATE TABLE attempts (
    key INTEGER NOT NULL, number INTEGER NOT NULL, run_id INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    worst_pico INTEGER NOT NULL, worst_tokens INTEGER NOT NULL, sent_at INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, generation_id TEXT, cost_pico INTEGER, cost_source TEXT,
    prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER, error_kind TEXT,
    PRIMARY KEY (key, number)
) WITHOUT ROWID;
CREATE TABLE rows (
    key INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, fingerprint BLOB NOT NULL, ok INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE archive (
    id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, realm TEXT NOT NULL, ok INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL, rest_pico INTEGER NOT NULL, payload BLOB, at INTEGER NOT NULL,
    UNIQUE (fingerprint, realm)
);
CREATE TABLE lifted (part_id TEXT PRIMARY KEY, cost_pico INTEGER NOT NULL, rows BLOB NOT NULL);
"""

_FORMAT_2 = "ALTER TABLE attempts ADD COLUMN upstream_pico INTEGER;"
"""Of an attempt's cost, what a provider bills whose key is the user's own."""

_FORMAT_3 = """
CREATE TABLE failures (
    fingerprint BLOB NOT NULL, realm TEXT NOT NULL, kind TEXT NOT NULL, runs INTEGER NOT NULL,
    counted_at INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (fingerprint, realm)
) WITHOUT ROWID;
CREATE INDEX failures_by_runs ON failures (realm, runs);
"""
"""In how many runs a request failed alike."""

_FORMAT_4 = """
CREATE TABLE IF NOT EXISTS asked (
    endpoint TEXT NOT NULL, quarter INTEGER NOT NULL, requests INTEGER NOT NULL, PRIMARY KEY (endpoint, quarter)
) WITHOUT ROWID;
"""
"""How many of the requests in `spend` each endpoint was sent, where that is known."""

_STEPS = (_FORMAT_1, _FORMAT_2, _FORMAT_3, _FORMAT_4)
"""What takes a ledger from each format version to the next."""

_FULL = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
_DAMAGED = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT"})
_REFUSED = frozenset({"SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"})


def connect(path: Path, job: str) -> sqlite3.Connection:
    """Open the ledger of a job, creating or bringing it up to date.

    Raises `OutputError` when it is another job's, of a newer format, or no ledger;
    `StorageFaultError` when it is damaged; `StorageFullError` when the disk is full.
    """
    try:
        _make_private(path)
        db = sqlite3.connect(path, isolation_level=None, cached_statements=64, timeout=10.0)
        try:
            _make_durable(db, path)
            _bring_up_to_date(db, path)
            _check_job(db, path, job)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise ledger_fault(error, path) from error
    return db


def _make_private(path: Path) -> None:
    """Make a new ledger's file for its owner alone, where its folder is; SQLite gives its -wal the same permissions."""
    if str(path) == ":memory:":
        return
    with contextlib.suppress(OSError):  # it stands already, or SQLite says why it cannot
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, private_mode(path.parent, 0o666)))


def ledger_fault(error: sqlite3.Error, path: Path) -> ParquillError:
    """Say in a person's words what SQLite refused."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name in _FULL:
        return StorageFullError(
            f"{path}: no space left on the disk for the ledger. What is written is kept; free some space, "
            "then start the same command again"
        )
    if any(name.startswith(code) for code in _DAMAGED):
        return StorageFaultError(
            f"{path}: the ledger is damaged ({error}). Put it back from a copy together with its -wal file. Without "
            "one, move both away: finished parts stay, answers that were only in the ledger are asked again"
        )
    if any(name.startswith(code) for code in _REFUSED):
        return OutputError(f"{path}: the ledger cannot be opened for writing: {error}")
    return StorageFaultError(f"{path}: the ledger could not be written ({error}, {name or 'no code'})")


def _make_durable(db: sqlite3.Connection, path: Path) -> None:
    """Set what a commit's durability hangs on, and read it back: no default is trusted."""
    db.execute("PRAGMA page_size=8192")  # of a new file: fewer, larger pages cost less CPU for rows of 500 bytes
    wanted = {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1, "checkpoint_fullfsync": 1}
    for name, value in wanted.items():
        db.execute(f"PRAGMA {name}={value}")
        (found,) = db.execute(f"PRAGMA {name}").fetchone()
        if found != value:
            raise StorageFaultError(
                f"{path}: this place cannot hold a durable ledger (SQLite's {name} stays {found!r}, not {value!r}); "
                "put the output on a local disk"
            )
    db.execute("PRAGMA secure_delete=0")
    db.execute("PRAGMA trusted_schema=0")  # a ledger that came with an output is data
    # The writer checkpoints between commits, so that no waiter waits for one; this is the backstop.
    db.execute("PRAGMA wal_autocheckpoint=16384")


def _bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    (form,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != _APPLICATION_ID:
        raise OutputError(f"{path}: this file is no ledger of Parquill's; move it away, or choose another output.path")
    if form > len(_STEPS):
        raise OutputError(
            f"{path}: this ledger was written by a newer Parquill (format {form}, known here is {len(_STEPS)}); "
            "update Parquill to go on with this output"
        )
    for version, step in enumerate(_STEPS[form:], start=form + 1):
        db.executescript(
            f"BEGIN IMMEDIATE; {step} PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={version}; COMMIT"
        )


def _check_job(db: sqlite3.Connection, path: Path, job: str) -> None:
    found = db.execute("SELECT value FROM meta WHERE name = 'job'").fetchone()
    if found is None:
        db.execute("INSERT INTO meta VALUES ('job', ?)", (job,))
    elif found[0] != job:
        raise OutputError(
            f"{path.parent}: this output belongs to the job {found[0]!r}, not to {job!r}; choose another output.path, "
            f"or give the job its old name"
        )
