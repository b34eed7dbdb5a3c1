"""Changes that no behaviour shows: a mutant's name, and why. At most 3 of 100."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "parquill/answers/repair.py _without_comments: quote < start -> (quote <= start)": (
        "a comment's mark stands at `start`, so no quotation mark does"
    ),
    "parquill/answers/repair.py _without_comments: end < 0 -> (end <= 0) #2": (
        "the end of a comment is -1 or lies behind its beginning: it is never 0"
    ),
    "parquill/answers/repair.py _without_comments: 1 -> 2 #2": (
        "any number below 0 says that no quotation mark was looked for yet"
    ),
    "parquill/limits/rate_search.py RateSearch.quiet: self.value < self.ceiling -> (self.value <= self.ceiling)": (
        "a probe of the highest rate is that rate: it is held afterwards as before"
    ),
    "parquill/limits/pause.py Pause.ramp: 0 -> 1": "a ramp has at least one slot",
    "parquill/limits/gate_policy.py step: state.breaker.until is not None and state.line.count and "
    "state.breaker.wants_look(now) -> (state.line.count and state.breaker.wants_look(now))": (
        "a breaker that is shut wants no look; the question is left out for speed"
    ),
    'parquill/replies/decoding.py _read: "\\\\u" in text and _join_surrogates(value) -> (_join_surrogates(value))': (
        "without an escape there is no half of a surrogate pair; the search is left out for speed"
    ),
    "parquill/ledger/archive.py lifted_rows: 8 -> 9 #2": "a byte has no ninth bit",
    "parquill/limits/tickets.py Ticket.__init__: 0 -> 1": "`Breaker.sent` sets it before anything reads it",
}
