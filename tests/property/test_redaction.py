"""Random secrets in random spellings, put into every place of a reply: what is read afterwards never holds them.

The spellings are made, and undone, by libraries that are not ours: `json`, `urllib.parse`, `html`.
"""

from __future__ import annotations

import html
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.client.redactor import Redactor
from parquill.job import Secret
from parquill.replies import Exchange, classify

SIGNS = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
KEYS = st.text(SIGNS, min_size=16, max_size=80).filter(lambda key: len(set(key)) > 4 and "***" not in key)


def escaped(text: str, chance: random.Random) -> str:
    """The inside of a JSON string that says `text`, some of its signs as escapes."""
    out = []
    for sign in text:
        spelled = json.dumps(sign)[1:-1] if ord(sign) > 0xFFFF else f"\\u{ord(sign):04x}"
        if chance.random() < 0.4:
            out.append(spelled if chance.random() < 0.5 else spelled.upper().replace("\\U", "\\u"))
        elif sign == "/" and chance.random() < 0.5:
            out.append("\\/")
        else:
            out.append(json.dumps(sign)[1:-1])
    inside = "".join(out)
    assert json.loads(f'"{inside}"') == text
    return inside


def percent(text: str, chance: random.Random) -> str:
    out = "".join(f"%{ord(sign):02{'xX'[chance.randrange(2)]}}" if chance.random() < 0.5 else sign for sign in text)
    return quote(text, safe="") if unquote(out) != text else out


SPELLINGS: list[tuple[Callable[[str, random.Random], str], Callable[[str], str]]] = [
    (lambda text, _: text, lambda text: text),
    (percent, unquote),
    (lambda text, chance: quote(percent(text, chance)), lambda text: unquote(unquote(text))),
    (lambda text, _: html.escape(text), html.unescape),
    (lambda text, _: "".join(f"&#{ord(sign)};" for sign in text), html.unescape),
    (lambda text, chance: json.dumps({"e": text}) if chance.random() < 0.5 else json.dumps(text), str),
]

PLACES: list[Callable[[str], str]] = [
    lambda inside: f'{{"error":{{"message":"bad key {inside}","code":400}}}}',
    lambda inside: f'{{"error":{{"message":"Provider returned error","metadata":{{"raw":"{inside}"}}}}}}',
    lambda inside: f'{{"error":"{inside}"}}',
    lambda inside: f'{{"detail":["{inside}"]}}',
    lambda inside: answer(f'"content":"{inside}"'),
    lambda inside: answer('"content":"fine"', model=inside, provider=inside, id=inside),
    lambda inside: answer(f'"tool_calls":[{{"function":{{"name":"{inside}","arguments":"{{\\"a\\":1}}"}}}}]'),
    lambda inside: answer(f'"tool_calls":[{{"function":{{"name":"f","arguments":{{"{inside}":["{inside}"]}}}}}}]'),
    lambda inside: answer(f'"refusal":"{inside}","content":null'),
]


def answer(message: str, **fields: str) -> str:
    """A completion; texts are given as the inside of JSON strings."""
    more = "".join(f'"{name}":"{text}",' for name, text in fields.items())
    return f'{{{more}"choices":[{{"finish_reason":"stop","message":{{{message}}}}}]}}'


@given(
    key=KEYS,
    spelling=st.sampled_from(SPELLINGS),
    place=st.sampled_from(PLACES),
    status=st.sampled_from([200, 400, 401, 429, 500]),
    before=st.text(max_size=30),
    seed=st.integers(0, 2**32),
)
def test_no_reply_tells_the_key_however_it_is_spelled(
    key: str, spelling: tuple[Callable[..., str], Callable[[str], str]], place: Callable[[str], str],
    status: int, before: str, seed: int,
) -> None:  # fmt: skip
    chance, (write, undo) = random.Random(seed), spelling
    said = write(key, chance)
    body = place(escaped(f"{before} {said} and so on", chance))
    safe = Redactor(Secret(key), {}).redact_body(body.encode("utf-8", "surrogatepass"), status)
    verdict = classify(Exchange(status, {}, safe, 1))
    told = f"{verdict.message}|{verdict.completion}"
    for text in (told, undo(told), safe.decode("utf-8", "replace")):
        assert key not in text
    if verdict.completion is not None:
        pieces = [verdict.completion.text, *(call.arguments for call in verdict.completion.tool_calls)]
        assert not any(key in undo(piece) for piece in pieces)


@given(key=KEYS, spelling=st.sampled_from(SPELLINGS[:3]), padding=st.integers(0, 250), seed=st.integers(0, 2**32))
def test_headers_are_redacted_whole_before_they_are_cut(
    key: str, spelling: tuple[Callable[..., str], Callable[[str], str]], padding: int, seed: int
) -> None:
    said = spelling[0](key, random.Random(seed))
    headers = Redactor(Secret(key), {}).redact_headers({"Location": f"https://a.example/{'x' * padding}/{said}/z"})
    message = classify(Exchange(302, headers, b"", 1)).message
    assert message.startswith("HTTP 302")
    shortest = 8  # letters of the key that would stand together
    assert not any(key[at : at + shortest] in spelling[1](message) for at in range(len(key) - shortest + 1))


@given(st.text(), st.text(SIGNS, min_size=16, max_size=60))
def test_a_reply_without_the_key_is_passed_on_as_it_is(text: str, key: str) -> None:
    redactor, content = Redactor(Secret(key), {}), json.dumps({"answer": text}).encode()
    if key not in text:
        assert redactor.redact_body(content, 200) == content
    assert redactor.redact_body(b"\xff\xfe%\xc3", 200) == b"\xff\xfe%\xc3"


def test_values_of_variables_are_shown_by_their_names_and_the_longest_wins() -> None:
    redactor = Redactor(Secret("sk-or-v1-0123456789"), {"TOKEN": "s3cr3t-t0k3n", "LONG": "s3cr3t-t0k3n/part/ü😀"})
    text = r"no route /s3cr3t-t0k3n\/part/\u00fc\ud83d\ude00 at s3cr3t-t0k3n for SK-OR-V1-0123456789"
    assert redactor.redact(text) == "no route /${LONG} at ${TOKEN} for ***"


def test_a_short_word_that_serves_as_a_key_stays_in_answers_and_is_left_out_of_faults() -> None:
    redactor = Redactor(Secret("not-needed"), {})
    assert redactor.redact_body(b'{"answer": "not-needed"}', 200) == b'{"answer": "not-needed"}'
    assert redactor.redact_body(b'{"error": "not-needed"}', 401) == b'{"error": "***"}'


@pytest.mark.parametrize(
    "piece", ["\\", "%25", "s%", "&amp;", "\\u0073", "sk-or-v1-0123456789abcde%", "\\\\\\\\/", "&#x0073;"]
)
@pytest.mark.parametrize(
    "key", ["sk-or-v1-0123456789abcdef", "\\" * 20, "%25" * 8, "\\%\\%\\&amp;\\&amp;\\/", "s" * 40]
)
def test_time_grows_with_the_length_of_the_reply_and_no_faster(
    key: str, piece: str, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--fuzz-seconds"):
        pytest.skip("times are measured by `make fuzz`")
    redactor = Redactor(Secret(key), {})

    def seconds(size: int) -> float:
        content, times = (piece * size)[:size].encode(), []
        for _ in range(3):
            start = time.process_time()
            redactor.redact_body(content, 200)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(200_000) < 20 * seconds(20_000) + 0.05, "ten times as long takes ten times, not a hundred"
