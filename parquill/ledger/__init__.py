"""The ledger: what a crash must not lose, in one SQLite file.

`schema.py`  the tables, the format version, a durable connection.
`batch_commit.py`   operations of many rows that share one commit.
`writer.py`  the one thread that owns the connection.
`slices.py`  open slices: their rows, how they are published and recovered.
`archive.py` answers that left the output, found again by fingerprint.
`accounting.py`   runs, their spend, and the sums that must agree.
`evidence.py` how many lines the tables about single requests must have.
`failures.py` in how many runs a request failed alike.
`portion_booking.py` merges what other processes of a run asked.
`records.py` what the ledger returns, as frozen values.
`request_writes.py` what is called for each request.
`ledger.py`  `Ledger`, the facade.
`read_only.py`  read-only view of the file.

The order around a request: `intend` (durable) -> send -> `headers` -> `settle` or `record`
(durable). Around a part: `lift` what its predecessor's rows become -> `begin_publish` ->
the part is written whole -> `finish_publish`.

What holds, at every moment and after a crash between any two steps:
- An awaited intent, settlement or outcome survives a power cut (WAL with synchronous=FULL,
  both read back). A failed commit is never tried again.
- sum of parts less what was lifted from them + archive + open slices + in doubt = what all
  runs spent (`books`). Requests in flight are on neither side; `recover` puts those of a
  dead process on both, at their worst case.
- Spend stands in the quarter hour in which its request was sent, by any process: a request that
  waited is dated anew (`redate`) before it leaves.
- The file holds open slices, the archive and the runs, nothing that grows with the manifest.

Trade-offs: an operation waits up to 20 ms for others to share its commit, since a sync costs milliseconds. A long
cold call (lifting a whole part) delays the commits behind it. SQLite's WAL needs a local disk;
elsewhere opening it is refused. A killed process counts intents that still waited for
admission as sent: bounded by what is in flight.
"""

from parquill.ledger.batch_commit import Durable
from parquill.ledger.ledger import Ledger
from parquill.ledger.read_only import ReadOnlyLedger
from parquill.ledger.records import (
    SPEND_SUMS,
    ArchiveEntry,
    AskedOf,
    AttemptRecord,
    Books,
    CarriedRow,
    DatedSpend,
    EvidenceCount,
    FailureRecord,
    LedgerStatistics,
    OpenSlice,
    Recovery,
    RunRecord,
    SliceRecord,
    Spend,
    TakenPart,
    TakenRow,
)
from parquill.ledger.request_writes import GROUP_OPERATIONS, GROUP_SECONDS
from parquill.ledger.schema import QUARTER_US
from parquill.ledger.writer import Pending

__all__ = [
    "GROUP_OPERATIONS",
    "GROUP_SECONDS",
    "QUARTER_US",
    "SPEND_SUMS",
    "ArchiveEntry",
    "AskedOf",
    "AttemptRecord",
    "Books",
    "CarriedRow",
    "DatedSpend",
    "Durable",
    "EvidenceCount",
    "FailureRecord",
    "Ledger",
    "LedgerStatistics",
    "OpenSlice",
    "Pending",
    "ReadOnlyLedger",
    "Recovery",
    "RunRecord",
    "SliceRecord",
    "Spend",
    "TakenPart",
    "TakenRow",
]
