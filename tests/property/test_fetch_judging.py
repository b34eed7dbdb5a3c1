from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from parquill.errors import RowError
from parquill.fetch import UrlRules, check_url, judge_url

HOSTS = st.sampled_from(
    ["example.org", "a.b.example.org", "127.0.0.1", "localhost", "x.internal", "EXAMPLE.org", "2130706433", "[::1]",
     "0x7f.1", "denied.example.com", "example.org.", "exa_mple.org", "-a.org", "xn--bcher-kva.example", "a..b.org"]
)  # fmt: skip
TAILS = st.one_of(
    st.sampled_from(
        ["", "/", "/a.jpg", "/a b", "/\\x", "?q=1", "#f", ":80/", ":8080/", "@example.org/", "/%zz", "/é.jpg"]
    ),
    st.text(st.characters(max_codepoint=0x2030, exclude_categories=("Cs",)), max_size=12),
)
RULES = UrlRules(deny_hosts=(".denied.example.com",))


def verdict(judge: object, text: str) -> str | None:
    try:
        judge(text, RULES)  # type: ignore[operator]  # one of several functions
    except RowError as fault:
        return f"{fault.kind}: {fault.message}"
    return None


@given(st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "http:/"]), HOSTS, TAILS)
@example("https://", "example.org", "/a.jpg")
@example("https://", "x.internal", "/a.jpg")
@example("https://", "example.org", "/\\x")
@example("https://", "example.org", "/\u200b")
@example("https://", "example.org", "/" + "a" * 8000)
@example("http://", "/", "example.org/a.jpg")
@example("http://", "a", "/example.org/a.jpg")
def test_the_short_judgement_is_that_of_the_parser(scheme: str, host: str, tail: str) -> None:
    text = scheme + host + tail
    assert verdict(judge_url, text) == verdict(check_url, text)
