"""Changes that a reader of the code made by hand, each of which breaks what users rely on: all have to be noticed.

`python -m tests.mutants --known` holds each against the test files that stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.coverage import Tests
from tests.mutants.operators import Mutant

BUDGET, PLAN, DUPLICATES = (
    "parquill/budget.py",
    "parquill/planning/planner.py",
    "parquill/deduplication/answered_rows.py",
)
OTHER_OUTPUTS, READER = "parquill/planning/other_outputs.py", "parquill/planning/part_reader.py"
MERGE, COERCE, QUEUE = "parquill/ledger/portion_booking.py", "parquill/answers/coerce.py", "parquill/limits/queue.py"


@dataclass(frozen=True, slots=True)
class Known:
    """A change in words, its place as text of a file, and the test files that have to notice it."""

    says: str
    path: str
    before: str
    after: str
    judges: tuple[str, ...]


KNOWN = (
    Known(
        "a new day does not reset the tokens that were spent",
        BUDGET,
        "self.spent_pico, self.spent_tokens = days.turn(wall)",
        "self.spent_pico, _ = days.turn(wall)",
        ("tests/test_budget.py", "tests/test_limits_days.py"),
    ),
    Known(
        "the budget's day is UTC's whatever the time zone",
        BUDGET,
        "DaySums(zone(timezone), 2, earlier)",
        'DaySums(zone("UTC"), 2, earlier)',
        ("tests/test_budget.py", "tests/test_limits_days.py"),
    ),
    Known(
        "budget.timezone does not reach the budget",
        BUDGET,
        "timezone=settings.timezone,",
        "",
        ("tests/test_budget.py", "tests/test_limits_days.py", "tests/e2e/test_days.py"),
    ),
    Known(
        "a daily cap in tokens alone is one for the whole run",
        BUDGET,
        'per == "day" and (cap_pico is not None or cap_tokens is not None)',
        'per == "day" and cap_pico is not None',
        ("tests/test_budget.py", "tests/test_limits_days.py"),
    ),
    Known(
        "the token alarm rings at twice the worst case only",
        BUDGET,
        "used_tokens > tokens:",
        "used_tokens > 2 * tokens:",
        ("tests/test_budget_rules.py",),
    ),
    Known(
        "a part of a portion is taken twice",
        MERGE,
        "if closed or part.name in taken:",
        "if closed:",
        ("tests/test_ledger_portion_booking.py", "tests/test_ledger_accounting.py"),
    ),
    Known(
        "what a row cost a second time, in a portion, is dropped",
        MERGE,
        "            put(db, [ArchiveEntry(row.fingerprint, realm, row.ok, row.cost_pico, row.payload)], at)",
        "            pass",
        ("tests/test_ledger_portion_booking.py", "tests/test_ledger_accounting.py"),
    ),
    Known(
        "what was spent on a row before a duplicate answered it is dropped",
        DUPLICATES,
        "cost_pico=spent.cost_pico if spent.attempts else 0",
        "cost_pico=0",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "that a portion is closed is forgotten",
        MERGE,
        "_remember(db, portion, taken, closed=True)",
        "_remember(db, portion, taken, closed=False)",
        ("tests/test_ledger_portion_booking.py", "tests/test_ledger_accounting.py"),
    ),
    Known(
        "a closed portion is closed again",
        MERGE,
        "    if closed:\n        return\n    if pico",
        "    if pico",
        ("tests/test_ledger_portion_booking.py", "tests/test_ledger_accounting.py"),
    ),
    Known(
        "answers of the emulator in another output are given to a real endpoint's rows",
        OTHER_OUTPUTS,
        "and is_emulated(provider) == emulated",
        "",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "parts that the emulator answered stand for a real endpoint",
        PLAN,
        'is_ours = part.meta.get("realm") == realm',
        "is_ours = True",
        ("tests/e2e/test_realms.py",),
    ),
    Known(
        "archived answers of the emulator are given to a real endpoint's rows",
        "parquill/ledger/archive.py",
        'WHERE fingerprint = ? AND realm = ? AND ok = 1",\n            (fingerprint, realm),',
        'WHERE fingerprint = ? AND ok = 1",\n            (fingerprint,),',
        ("tests/test_ledger_portion_booking.py", "tests/test_ledger_accounting.py"),
    ),
    Known(
        "a part that was replaced while it was read is believed",
        DUPLICATES,
        "if self._part_with(number, row) == found and (work is None or not work.is_replacing):",
        "if True:",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "a part that is about to be replaced is believed",
        DUPLICATES,
        "and (work is None or not work.is_replacing):",
        ":",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "a part kept in memory stands for another of its name",
        READER,
        "key = (storage, info.name, info.part_id)",
        'key = (storage, info.name, "")',
        ("tests/test_duplicates.py",),
    ),
    Known(
        "64 bits of a fingerprint are taken for all of it, in this output",
        "parquill/deduplication/finder.py",
        "if result is None or not (own or result.fingerprint == fingerprint):",
        "if result is None:",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "64 bits of a fingerprint are taken for all of it, in another output",
        OTHER_OUTPUTS,
        "return result if result is not None and result.fingerprint == fingerprint else None",
        "return result",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "a row's cost source is `reused` whatever was spent on it",
        DUPLICATES,
        "    if spent.source is not None:\n",
        "    if False:\n",
        ("tests/test_duplicates.py",),
    ),
    Known(
        "the usage of an error within a 200 is not read",
        "parquill/replies/verdicts.py",
        "_error(fault, fault.code or 200, find_usage(mapping(body)))",
        "_error(fault, fault.code or 200, None)",
        ("tests/test_booking.py", "tests/test_replies.py"),
    ),
    Known(
        "an answer that was filtered costs nothing",
        "parquill/replies/verdicts.py",
        "        usage=completion.usage,\n        lost=True,\n        unused=completion,\n    )\n\n\n_THOUGHTS",
        "        unused=completion,\n    )\n\n\n_THOUGHTS",
        ("tests/test_booking.py", "tests/test_replies.py"),
    ),
    Known(
        "a 5xx that names insufficient_quota stops the run",
        "parquill/replies/kinds.py",
        "(status < 500 and _NO_MONEY.intersection(fault.names))",
        "_NO_MONEY.intersection(fault.names)",
        ("tests/test_replies_edges.py",),
    ),
    Known(
        "the steps of the provider that answered are not used",
        "parquill/prices/price.py",
        "rates=offer.rates, tiers=offer.tiers,",
        "rates=offer.rates,",
        ("tests/test_prices_edges.py",),
    ),
    Known(
        "an ambiguous enum value becomes the first that fits",
        "parquill/answers/words_around.py",
        "return fits[0] if len(fits) == 1 else None",
        "return fits[0]",
        ("tests/test_answers_coerce.py",),
    ),
    Known(
        "of two keys that differ in form the later one overwrites the other",
        COERCE,
        "if len(fits) == 1 and rivals[forms[key]] == 1:",
        "if len(fits) == 1:",
        ("tests/test_answers_coerce.py",),
    ),
    Known(
        "values inside lists are not repaired",
        COERCE,
        '[coerce(node.item, item, f"{where}[{i}]", notes) for i, item in enumerate(value)]',
        "value",
        ("tests/test_answers_coerce.py",),
    ),
    Known(
        "values inside maps are not repaired",
        COERCE,
        '{key: coerce(node.item, item, f"{where}.{key}", notes) for key, item in value.items()}',
        "value",
        ("tests/test_answers_coerce.py",),
    ),
    Known(
        "a cancelled request keeps its share of the day",
        QUEUE,
        "        count_on_day(state, ticket.day, -1)\n",
        "",
        ("tests/test_limits_told.py",),
    ),
    Known(
        "a cancelled request keeps its share of the rate",
        QUEUE,
        "            state.requests.amend(ticket.request_bin, -1)",
        "            pass",
        ("tests/test_limits_told.py",),
    ),
    Known(
        "a cancelled request keeps its share of the tokens",
        QUEUE,
        "            state.tokens.give_back(ticket.token_bin, ticket.need.tokens)",
        "            pass",
        ("tests/test_limits_told.py",),
    ),
    Known(
        "a cancelled request keeps its reservation",
        QUEUE,
        "        state.budget.release(ticket.need.worst_pico, ticket.need.worst_tokens)",
        "        pass",
        ("tests/test_limits_gate.py", "tests/property/test_gate_machine.py"),
    ),
    Known(
        "quantiles of rows' costs count duplicates once",
        "parquill/histogram.py",
        "        self._classes[_class_of(number)] += times",
        "        self._classes[_class_of(number)] += 1",
        ("tests/test_histogram.py",),
    ),
    Known(
        "quantiles ignore how many numbers a class holds",
        "parquill/histogram.py",
        "            rank -= self._classes[place]\n",
        "            rank -= 1\n",
        ("tests/test_histogram.py",),
    ),
    Known(
        "times in answers keep their zone instead of UTC",
        "parquill/answers/dates.py",
        "return moment.astimezone(dt.UTC), zone is not None",
        "return moment, zone is not None",
        ("tests/test_answers_coerce.py",),
    ),
    Known(
        "times that are read back keep another zone instead of UTC",
        "parquill/results/readback.py",
        "value.astimezone(dt.UTC).isoformat()",
        "value.isoformat()",
        ("tests/test_results_readback.py",),
    ),
    Known(
        "the day of requests is another than UTC's",
        "parquill/limits/state.py",
        "DaySums(dt.UTC, 1, ",
        "DaySums(dt.timezone(dt.timedelta(hours=9)), 1, ",
        ("tests/test_limits_days.py", "tests/test_limits_gate.py"),
    ),
)


def known_mutants(root: Path) -> Iterator[tuple[Known, Mutant]]:
    """Yield each known change with its place in the code; raises `ValueError` where the code is another by now."""
    for one in KNOWN:
        source = (root / one.path).read_text()
        if source.count(one.before) < 1:
            raise ValueError(f"{one.path} has no {one.before!r} any more: correct tests/mutants/known.py")
        start = source.index(one.before)
        line = source.count("\n", 0, start) + 1
        yield one, Mutant(one.path, one.says, line, start, start + len(one.before), one.before, one.after)


def known_tests(pairs: Sequence[tuple[Known, Mutant]]) -> Tests:
    """Return the files that have to notice these changes, as the tests of their lines."""
    by_line: dict[str, dict[int, list[str]]] = {}
    for one, mutant in pairs:
        by_line.setdefault(one.path, {}).setdefault(mutant.line, []).extend(one.judges)
    return Tests(by_line, {file: 1.0 for one, _ in pairs for file in one.judges})
