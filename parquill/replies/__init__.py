"""Classifies replies: what came back, and what it means for the run.

    exchange.py       `Exchange`, one attempt at the wire; `Verdict`, what it means
    decoding.py       a body's JSON, strictly or leniently; streams.py: an event stream that was not asked for
    error_objects.py  error objects in every dialect, read into one form
    kinds.py          whose fault an error is: the row's, the run's, or a passing one
    verdicts.py       `classify`, which puts them together

Every form that OpenRouter and the servers that speak its dialect are known to send is read
here and nowhere else: HTTP 200 with an error inside, empty choices, null content, HTML,
`{"error": "text"}`, `{"detail": …}`, an array of errors, `object: "error"`.

What holds: `classify` is total over every status and body. An empty account, a certificate that is not
trusted and a redirect are the run's fault and never a row's. Whose fault any other refusal is (a key, a
model, an address, a request) cannot be seen in one reply: the verdict has the words for both, and the run
decides by what else was answered (`asking/refusals.py`).

Accepted: where a server names no type and no code, its words decide between the kinds of a row's own
faults; a wording never seen before is a refusal (4xx) or a passing server fault (5xx).
"""

from parquill.replies.decoding import straighten
from parquill.replies.exchange import Exchange, Verdict
from parquill.replies.verdicts import classify

__all__ = [
    "Exchange",
    "Verdict",
    "classify",
    "straighten",
]
