"""An OpenRouter that runs here: a rehearsal of everything but the words.

The map, along a request's way:

    server       the life of the emulator, its routes, the knobs for tests
    completions  one chat request, from key to bytes
    parsed_request  the body, checked
    catalogue    models, routing, prices
    account      key, credit, holds
    pictures     served and checked
    limits       rates
    misbehaviour, misbehaving_replies     what goes wrong, and how
    answers      what is said (schemas, patterns, prose, tokens)
    wire, delivery, error_replies         the bytes of replies
    billing      the log of what was received and charged
    server_state what it remembers, shared by its routes

Invariants: every chat request leaves one line on the bill before a byte of its reply; the
same body and seed give the same answer and the same fates, in whatever order requests come;
every answer says that it is simulated; no connection is ever opened from here.

Accepted: pieces of text stand in for the tokenizer; the bill is written when a request is
accepted, so a generation counts in full even if its reader left; spent credit, limits and
generations are forgotten when it ends, and only tries that its log tells of are recalled.
"""

from parquill.emulator.billing import LogEntry, LogTotals, iter_log, read_log
from parquill.emulator.misbehaviour import Misbehaviour
from parquill.emulator.server import Emulator, serve
from parquill.emulator.server_state import EmulatorStats
from parquill.emulator.settings import (
    GEMMA_PARAMETERS,
    PROFILES,
    TOOL_PARAMETERS,
    EmulatorSettings,
    Spread,
)

__all__ = [
    "GEMMA_PARAMETERS",
    "PROFILES",
    "TOOL_PARAMETERS",
    "Emulator",
    "EmulatorSettings",
    "EmulatorStats",
    "LogEntry",
    "LogTotals",
    "Misbehaviour",
    "Spread",
    "iter_log",
    "read_log",
    "serve",
]
