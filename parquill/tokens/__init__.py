"""How many tokens a request has, before it is sent, and how long its answer will be.

- `template.py`: the exact arithmetic of Gemma 3's chat template around the texts.
- `exact.py`: texts by the model's own tokenizer, where the job names one.
- `estimator.py`: texts by a fitted table otherwise, with a proven upper bound.
- `usage_records.py`: what the endpoint's own counts say about both.
- `counter.py`: `TokenCounter`, all of it together.
- `length.py`: `AnswerLength`, the expected length of answers.

Invariants: `TokenEstimate.upper` is never below what a Gemma 3 tokenizer counts for the text, and
is raised by every usage record that shows a server counting more. `expected` is right on average.
Accepted: the template is Gemma 3's whatever the model's name; other models differ by a constant a
turn, which usage records correct.
"""

from parquill.tokens.counter import TokenCounter, TokenEstimate, TokenEstimates
from parquill.tokens.length import AnswerLength, LengthEstimate
from parquill.tokens.template import ImageCost
from parquill.tokens.text import TextMeter
from parquill.tokens.usage_records import UsageRecords

__all__ = [
    "AnswerLength",
    "ImageCost",
    "LengthEstimate",
    "TextMeter",
    "TokenCounter",
    "TokenEstimate",
    "TokenEstimates",
    "UsageRecords",
]
