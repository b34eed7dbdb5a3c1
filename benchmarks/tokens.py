"""Requests counted a second, one by one as in a run and together as in a dry run.

    python benchmarks/tokens.py [TOKENIZER_JSON]

Goals: under 10 microseconds for a 300-character prompt whose system text and few-shot turns are the
same in every row; over 100,000 requests a second together (a dry run has 33 microseconds a row, most
of which reading and rendering need). With the path of a tokenizer.json, the exact way as well.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
from collections.abc import Callable, Sequence

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.job import ModelSettings
from parquill.tokens import TokenCounter

SENTENCE = "Describe the photo of item {n}, a red leather handbag with a brass clasp, in two short sentences. "
KINDS = {
    "text": ((SENTENCE * 4)[:300],),
    "text and picture": (ImagePart("https://example.com/1.jpg"), (SENTENCE * 4)[:300]),
    "Chinese": (("请用两句话描述这张红色皮革手提包的照片，然后列出颜色和材质。" * 12)[:300],),
}
SYSTEM = Turn("system", ("You describe product photos. Reply in JSON with the keys title, colour and material.",))
SHOTS = (Turn("user", ("Describe a blue cup.",)), Turn("assistant", ('{"title": "Cup", "colour": "blue"}',)))


def _requests(parts: tuple[str | ImagePart, ...], count: int) -> list[ChatRequest]:
    def row(number: int) -> tuple[str | ImagePart, ...]:
        return tuple(part.replace("{n}", str(number)) if isinstance(part, str) else part for part in parts)

    return [ChatRequest((SYSTEM, *SHOTS, Turn("user", row(number)))) for number in range(count)]


def _best(work: Callable[[], object], rounds: int = 5) -> float:
    """CPU seconds of the fastest of `rounds`."""
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def _alone(counter: TokenCounter, requests: Sequence[ChatRequest]) -> None:
    for request in requests:
        counter.count(request)


def _together(counter: TokenCounter, requests: Sequence[ChatRequest]) -> None:
    for start in range(0, len(requests), 1000):
        counter.count_requests(requests[start : start + 1000])


def measure(counter: TokenCounter, name: str, count: int) -> None:
    """Print microseconds a request, one by one and together, for each kind of prompt."""
    for kind, parts in KINDS.items():
        requests = _requests(parts, count)
        alone = _best(functools.partial(_alone, counter, requests)) / count * 1e6
        together = _best(functools.partial(_together, counter, requests)) / count * 1e6
        print(f"{name:8} {kind:18} {alone:6.1f} us alone   {together:6.1f} us together")


def main(tokenizer: str | None = None) -> None:
    measure(TokenCounter(ModelSettings()), "fitted", 20_000)
    if tokenizer:
        measure(TokenCounter(ModelSettings(tokenizer=tokenizer)), "exact", 2_000)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:2])
