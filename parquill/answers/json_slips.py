"""Sets right what is wrong in JSON text in one way only, outside its strings and in its escapes.

| slip | set right |
|---|---|
| `undefined` | `null` |
| `{price": 1}`, a key without its opening quotation mark | `{"price": 1}` |
| `"price": 12,000.50` | `"price": 12000.50` |
| `"price" 1`, a key without its colon | `"price": 1` |
| `"price"：1，`, colons and commas of Chinese and Japanese | `"price": 1,` |
| `"in\\_stock"`, a backslash before a mark that JSON does not escape | the mark after `DOUBT` |

What the last one means is not known here: an enum's value has no backslash, free text may have one. A value in which
`DOUBT` is left is a fault.
"""

from __future__ import annotations

import re

from parquill.answers.words_around import DOUBT
from parquill.answers.written_numbers import GROUPED, plain_number

_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_SLIP = re.compile(
    r'(?P<lead>[{,]\s*)(?P<key>[A-Za-z_]\w*)"(?=\s*:)'
    r'|(?P<before>[{,]\s*)(?P<name>"[A-Za-z_]\w*")(?=[ \t]*(?:["\d\[{-]|true\b|false\b|null\b))'
    rf"|(?P<string>{_STRING})|(?P<wide>[：，])"
    r"|(?<=[\s:,\[])(?P<undefined>undefined)(?=\s*[,}\]])"
    rf"|(?P<colon>:\s*)(?P<number>{GROUPED})(?=\s*[,}}])",
    re.S,
)
_ESCAPE = re.compile(r"\\(.)", re.S)
_OF_JSON = frozenset('"\\/bfnrtu')


def without_slips(text: str) -> str:
    """Return JSON text with its slips set right; the text itself where there is none."""
    return text if DOUBT in text else _SLIP.sub(_set_right, text)


def _set_right(found: re.Match[str]) -> str:
    if found["string"] is not None:
        return _ESCAPE.sub(_marked, found[0]) if "\\" in found[0] else found[0]
    if found["key"] is not None:
        return f'{found["lead"]}"{found["key"]}"'
    if found["name"] is not None:
        return f"{found['before']}{found['name']}:"
    if found["wide"] is not None:
        return ":" if found["wide"] == "：" else ","
    if found["undefined"] is not None:
        return "null"
    return f"{found['colon']}{plain_number(found['number']) or found['number']}"


def _marked(found: re.Match[str]) -> str:
    """Put `DOUBT` in the place of a backslash that JSON does not know; before a letter or a digit it stays wrong."""
    mark = found[1]
    return found[0] if mark in _OF_JSON or (mark != "_" and (mark.isalnum() or mark.isspace())) else DOUBT + mark
