"""What to do next, in words: one sentence for each error kind and each reason to stop.

The closing table in the terminal and the report say the same thing because both read it here.
Pure text; a kind that a later version wrote into an output gets a sentence that is still true.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from parquill.errors import PASSING_KINDS, ErrorKind, Stop

_KINDS = {
    ErrorKind.BAD_ROW: "The row's own values do not make a prompt: correct them in the manifest.",
    ErrorKind.IMAGE_UNREACHABLE: "A picture could not be fetched: see that its address answers.",
    ErrorKind.IMAGE_REFUSED: "A safety rule refused a picture: the row's error message names the setting that decided.",
    ErrorKind.IMAGE_INVALID: "A picture cannot be read: replace it.",
    ErrorKind.DOCUMENT_INVALID: "A document cannot be read: replace it.",
    ErrorKind.CONTEXT_OVERFLOW: "The row is too long for the model: shorten the prompt, or send fewer pictures.",
    ErrorKind.MODERATED: "The provider declined the content: change the row, or name another provider.",
    ErrorKind.RATE_LIMITED: "The endpoint kept asking for pauses: lower limits.requests_per_minute.",
    ErrorKind.TIMEOUT: "No answer in time: raise retry.deadline_seconds, or lower limits.max_in_flight.",
    ErrorKind.CONNECTION: "The connection broke: see that the network and the endpoint are up.",
    ErrorKind.SERVER_ERROR: "The endpoint had a fault of its own.",
    ErrorKind.BAD_RESPONSE: "The endpoint's reply could not be read.",
    ErrorKind.TRUNCATED: "The answer was cut off: raise model.max_tokens.",
    ErrorKind.INVALID_ANSWER: "The answer does not fit the schema: simplify the schema, or raise output.max_reasks.",
    ErrorKind.BAD_REQUEST: "The endpoint refused this row's request: its message says why.",
    ErrorKind.REFUSED: "The endpoint answered other rows and refused this one twice: its message says why.",
}

_STOPS = {
    Stop.BUDGET: "Raise budget.usd (or budget.tokens), or give --fresh-budget, and run the same command again.",
    Stop.DAILY_LIMIT: "Run the same command again when the limit has reset, or set limits.wait: true.",
    Stop.DEADLINE: "Run the same command again to go on.",
    Stop.ERROR_RATE: "Look at the failures, correct their cause, and run the same command again.",
    Stop.COST_ALARM: "Compare the price with what was charged before you run the same command again.",
    Stop.DISK_FULL: "Free some space on the disk and run the same command again.",
    Stop.UNREACHABLE: "See that the endpoint is up, then run the same command again.",
    Stop.REFUSED: "Correct what the endpoint refused and run the same command again.",
    Stop.SIGINT: "Run the same command again to go on.",
    Stop.SIGTERM: "Run the same command again to go on.",
}

_STOP_NAMES = {
    Stop.BUDGET: "the budget is used up",
    Stop.DAILY_LIMIT: "a daily limit is reached",
    Stop.DEADLINE: "the deadline is reached",
    Stop.ERROR_RATE: "too many rows failed",
    Stop.COST_ALARM: "rows cost more than they should",
    Stop.DISK_FULL: "the disk is full",
    Stop.REFUSED: "the endpoint refused the run",
    Stop.UNREACHABLE: "the endpoint does not answer",
    Stop.SIGINT: "interrupted",
    Stop.SIGTERM: "told to end",
}


def what_to_do(kind: str) -> str:
    """Return what a person can do about rows that failed in this way."""
    try:
        return _KINDS[ErrorKind(kind)]
    except ValueError:
        return "The row's error message says why."


def asked_again(kind: str) -> bool:
    """Tell whether the next run asks these rows again on its own."""
    return kind in PASSING_KINDS


def who_asks_again(kind: str, rows: int, left: int) -> str:
    """Say whether the next run asks rows of a kind again; `left` of them failed alike in `retry.max_runs` runs."""
    if not asked_again(kind):
        return ""
    if not left:
        return "The next run asks again."
    if left >= rows:
        return f"Failed alike in retry.max_runs runs: only --retry {kind} asks again."
    return f"The next run asks again, but not the {left:,} that failed alike in retry.max_runs runs."


def retry_option(kinds: Iterable[str], left: Collection[str] = ()) -> str | None:
    """Return the option that asks rows again which the next run would leave; None if it leaves none.

    Args:
        kinds: the kinds of all failed rows.
        left: kinds that may pass, of which rows failed alike in `retry.max_runs` runs.
    """
    left = sorted(str(kind) for kind in kinds if kind in _KINDS and (kind in left or not asked_again(kind)))
    return f"--retry {','.join(left)}" if left else None


def why_stopped(stop: Stop) -> str:
    """Return the reason in a few words, to follow "Stopped: "."""
    return _STOP_NAMES[stop]


def how_to_go_on(stop: Stop) -> str:
    """Return what brings the rest of the rows in."""
    return _STOPS[stop]
