"""Prompts: from a row's columns to what is asked, and the fingerprint of all that decides the answer."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.chat import ImagePart, Turn
from parquill.errors import ErrorKind, JobError, RowError
from parquill.job import Job, load_job
from parquill.prompts import Asking, UserText


def job(user: str | None = "x", **sections: Any) -> Job:
    prompt = {"user": user, **sections.pop("prompt", {})}
    base = {"name": "a", "manifest": {"path": "m"}, "prompt": prompt, "output": {"path": "o"}}
    return load_job({**base, **sections}, environ={})


def made(text: UserText, row: dict[str, Any]) -> str:
    """A row's text, seen to be the same among others as alone."""
    [found, *_] = text.render_all({name: [value, "other", None] for name, value in row.items()}, 3)
    try:
        alone = text.render(row)
    except RowError as fault:
        assert isinstance(found, RowError)
        assert (found.kind, found.message) == (fault.kind, fault.message)
        raise
    assert found == alone
    return alone


def rendered(template: str, **row: Any) -> str:
    return made(UserText(job(template), list(row)), row)


def fault(template: str, **row: Any) -> str:
    with pytest.raises(RowError) as caught:
        rendered(template, **row)
    assert caught.value.kind is ErrorKind.BAD_ROW
    return caught.value.message


class TestTemplates:
    def test_a_template_is_filled_from_the_rows_columns(self) -> None:
        assert rendered("Describe {{ title }} in {{ lang }}.", title="a red mug", lang="de") == (
            "Describe a red mug in de."
        )

    def test_the_text_is_not_escaped_and_keeps_its_last_line_break(self) -> None:
        assert rendered("{{ a }}\n", a='<b> & "é" {{ b }}') == '<b> & "é" {{ b }}\n'

    def test_values_keep_their_kind(self) -> None:
        row = {"n": 3, "day": dt.date(2026, 1, 2), "price": Decimal("1.50"), "tags": ["a", "b"], "meta": {"k": "v"}}
        text = "{{ n + 1 }} {{ day.year }} {{ price }} {{ tags|join('/') }} {{ meta.k }}"
        assert rendered(text, **row) == "4 2026 1.50 a/b v"

    @given(
        st.recursive(
            st.text() | st.integers() | st.floats() | st.booleans() | st.decimals() | st.datetimes() | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        ),
        st.text(alphabet="ab \n\r\t<&é\U0001f600", max_size=20),
    )
    def test_text_and_columns_alone_are_joined_as_jinja_would_join_them(self, value: Any, text: str) -> None:
        plain = f"x{text}{{{{ a }}}}{text}\n{{{{a}}}}"

        def reading(template: str) -> str:
            try:
                return rendered(template, a=value)
            except RowError as error:
                return error.message

        assert reading(plain) == reading(f"{{% if true %}}{plain}{{% endif %}}")

    @given(
        st.lists(
            st.sampled_from(
                ["{", "{{", "}", "}}", "{{ a }}", "{%", "{#", "#}", "%}", "a", " ", "-", "\r\n", "\r", "true", "if"]
            ),
            max_size=9,
        ).map("".join)
    )
    def test_what_looks_plain_is_read_as_jinja_reads_it(self, text: str) -> None:
        def reading(template: str) -> str:
            try:
                return rendered(template, a="A")
            except (JobError, RowError) as error:
                return type(error).__name__

        assert reading(f"x{text}") == reading(f"{{# not plain #}}x{text}")

    def test_conditions_and_loops_work(self) -> None:
        text = "{% if a %}A{% else %}no a{% endif %}{% for t in tags %} {{ loop.index }}{{ t }}{% endfor %}"
        assert rendered(text, a=None, tags=["x", "y"]) == "no a 1x 2y"

    def test_only_the_columns_that_are_used_are_asked_for(self) -> None:
        text = UserText(job("{% set x = b %}{{ x }}{{ a.c }}{% for d in a %}{{ d }}{% endfor %}"), ["a", "b", "c", "d"])
        assert text.columns == ("a", "b")

    def test_a_name_that_is_no_column_is_refused_with_the_nearest_one(self) -> None:
        with pytest.raises(JobError, match=r"prompt\.user: the manifest has no column 'titel'; did you mean 'title'\?"):
            UserText(job("{{ titel }}"), ["id", "title"])
        with pytest.raises(JobError, match=r"no column 'zzz'; its columns are 'id', 'title'"):
            UserText(job("{% if zzz %}x{% endif %}"), ["id", "title"])

    def test_a_column_may_have_the_name_of_one_of_jinjas_functions(self) -> None:
        assert rendered("{{ range }} {{ dict }}", range="1-2", dict="x") == "1-2 x"

    @pytest.mark.parametrize("template", ["a\n{{ b", "x\n{% if a %}", "x\n{{ a|nofilter }}", "x\n{% nothing %}"])
    def test_a_template_that_is_none_is_refused_with_its_line(self, template: str) -> None:
        with pytest.raises(JobError, match=r"prompt\.user: line 2: not a valid template: "):
            UserText(job(template), ["a", "b"])

    @pytest.mark.parametrize("template", ["{% include 'x' %}", "{% import a as b %}", "{% extends 'x' %}"])
    def test_a_template_cannot_reach_other_files(self, template: str) -> None:
        with pytest.raises(JobError, match="cannot include, import or extend"):
            UserText(job(template), ["a"])

    @pytest.mark.parametrize(
        "template", ["{{ a.__class__.__mro__ }}", "{{ tags.append(1) }}", "{{ a.format.__globals__ }}"]
    )
    def test_the_sandbox_holds(self, template: str) -> None:
        assert "SecurityError" in fault(template, a="x", tags=["y"])

    def test_a_row_whose_text_cannot_be_made_is_a_bad_row_that_says_why(self) -> None:
        assert "ZeroDivisionError" in fault("{{ 1 / n }}", n=0)
        assert "has no attribute 'colour'" in fault("{{ meta.colour }}", meta={"size": 1})
        assert "empty text" in fault(" {{ a }}\n", a=" ")
        assert len(fault("{{ meta[a] }}", meta={}, a="x" * 10_000)) < 500


class TestNulls:
    @pytest.mark.parametrize(
        "use",
        [
            "{{ a }}",
            "{{ a|upper }}",
            "{{ 'x' ~ a }}",
            "{{ '%s'|format(a) }}",
            "{{ [a]|join }}",
            "{{ [a] }}",
            "{{ a|string }}",
            "{{ a|replace('b', 'c') }}",
            "{{ a|trim|title }}",
            "{{ a|e }}",
            "{{ a and 'x' }}",
        ],
    )
    def test_a_null_never_becomes_a_word_of_the_prompt(self, use: str) -> None:
        assert fault(f"text {use}", a=None) == (
            "column 'a' is null in this row; write {{ a or '' }} in prompt.user where it may be"
        )

    @pytest.mark.parametrize("use", ["{{ a.b }}", "{{ a|length }}", "{% for x in a %}{% endfor %}", "{{ a + 'x' }}"])
    def test_what_cannot_be_done_with_a_null_names_the_column(self, use: str) -> None:
        assert fault(f"text {use}", a=None, b=1).endswith("(null in this row: 'a')")

    def test_nulls_within_lists_and_structs_are_nulls_too(self) -> None:
        for value, use in ((["x", None], "{{ a|join }}"), ({"b": None}, "{{ a.b }}"), ([{"b": [None]}], "{{ a }}")):
            assert "column 'a' is null" in fault(use, a=value)
        assert "prints a value that is null" in fault("{{ a.get('c') }}", a={"b": 1})

    @pytest.mark.parametrize(
        ("use", "text"),
        [
            ("{{ a or 'none given' }}", "none given"),
            ("{{ a|default('d', true) }}", "d"),
            ("{% if a is none %}n{% endif %}", "n"),
            ("{% if a is not none %}n{% else %}m{% endif %}", "m"),
            ("{% if a == none %}n{% endif %}", "n"),
            ("{% if not a %}n{% endif %}", "n"),
            ("{{ 'yes' if a is defined }}", "yes"),
            ("{{ [1, a]|reject('none')|join }}", "1"),
            ("{{ a|tojson }}", "null"),
            ("{{ {'k': [a, 'é']}|tojson }}", '{"k": [null, "é"]}'),
        ],
    )
    def test_a_template_may_ask_for_nulls_and_go_round_them(self, use: str, text: str) -> None:
        assert rendered(use, a=None) == text


class TestUserColumn:
    def text(self, value: object) -> str:
        return made(UserText(job(None, prompt={"user_column": "q"}), ["id", "q"]), {"id": 1, "q": value})

    def test_the_column_is_the_prompt_as_it_is(self) -> None:
        assert self.text(" {{ id }} ") == " {{ id }} "

    @pytest.mark.parametrize(
        ("value", "why"),
        [(None, "is null"), ("", "is empty"), (" \n", "is empty"), (5, "holds int"), ([], "holds list")],
    )
    def test_what_is_no_text_is_a_bad_row(self, value: object, why: str) -> None:
        with pytest.raises(RowError, match=why) as caught:
            self.text(value)
        assert caught.value.kind is ErrorKind.BAD_ROW
        assert "column 'q'" in caught.value.message

    def test_a_column_that_is_not_there_is_refused_with_its_neighbour(self) -> None:
        with pytest.raises(JobError, match=r"prompt\.user_column: the manifest has no column 'q'; did you mean 'qq'\?"):
            UserText(job(None, prompt={"user_column": "q"}), ["qq"])


CAT, DOG = ImagePart("https://a.example/cat.jpg"), ImagePart("data:image/png;base64,AA==", b"k" * 16)


class TestRequests:
    def turns(self, asked: Job, parts: Any = (), **more: Any) -> tuple[Turn, ...]:
        return Asking(asked, shape_digest=b"", examples=more.pop("examples", ())).request("what?", parts, **more).turns

    def test_a_row_is_one_user_turn_after_the_system_text_and_the_examples(self) -> None:
        examples = (Turn("user", ("q",)), Turn("assistant", ("a",)))
        asked = job(prompt={"system": "Be brief."})
        assert self.turns(asked, (CAT,), examples=examples) == (
            Turn("system", ("Be brief.",)),
            *examples,
            Turn("user", ("what?", CAT)),
        )

    @pytest.mark.parametrize("system", [None, ""])
    def test_no_system_turn_is_sent_unless_there_is_a_text(self, system: str | None) -> None:
        assert self.turns(job(prompt={"system": system})) == (Turn("user", ("what?",)),)

    def test_pictures_stand_after_the_text_or_before_it(self) -> None:
        assert self.turns(job(), (CAT, DOG))[-1].parts == ("what?", CAT, DOG)
        assert self.turns(job(prompt={"images_first": True}), (CAT, DOG))[-1].parts == (CAT, DOG, "what?")

    def test_the_schemas_instruction_follows_the_text(self) -> None:
        assert self.turns(job(), (CAT,), instruction="Answer in JSON.")[-1].parts == ("what?\n\nAnswer in JSON.", CAT)

    def test_labels_number_the_pictures_where_there_are_several(self) -> None:
        labelled = job(images={"labels": True})
        assert self.turns(labelled, (CAT, "page text", DOG))[-1].parts == (
            "what?",
            *("Image 1:", CAT, "page text", "Image 2:", DOG),
        )
        assert self.turns(labelled, (CAT,))[-1].parts == ("what?", CAT)


def fingerprint(asked: Job | None = None, text: str = "t", pictures: Any = (b"p",), shape: bytes = b"s") -> bytes:
    return Asking(asked or job(), shape_digest=shape).fingerprint(text, pictures)


class TestFingerprints:
    def test_a_fingerprint_has_16_bytes_and_is_the_same_in_every_process(self) -> None:
        assert fingerprint().hex() == "57ff69ac0244ee4226b3b86039683369"

    @pytest.mark.parametrize(
        "changed",
        [
            {"model": {"name": "google/gemma-3-12b-it"}},
            {"model": {"fallback_models": ["x"]}},
            {"model": {"max_tokens": 255}},
            {"model": {"temperature": None}},
            {"model": {"temperature": 0.5}},
            {"model": {"top_p": 0.5}},
            {"model": {"top_k": 5}},
            {"model": {"seed": 0}},
            {"model": {"stop": "x"}},
            {"prompt": {"system": "s"}},
            {"prompt": {"images_first": True}},
            {"images": {"labels": True}},
            {"manifest": {"path": "m", "document_columns": ["d"]}},
            {"manifest": {"path": "m", "document_columns": ["d"]}, "documents": {"send": "text"}},
            {"output": {"path": "o", "max_chars": 5}},
        ],
    )
    def test_it_changes_with_all_that_decides_the_answer(self, changed: dict[str, Any]) -> None:
        assert fingerprint(job(**changed)) != fingerprint()

    @pytest.mark.parametrize(
        "changed",
        [
            {"name": "b"},
            {"manifest": {"path": "other", "id_column": "id", "keep_columns": []}},
            {"output": {"path": "other", "mode": "prompt", "max_reasks": 0, "rows_per_part": 5}},
            {"model": {"endpoint": "emulator", "api_key_env": "K", "price": {"prompt": 1, "completion": 1}}},
            {"model": {"provider": {"only": ["deepinfra"]}, "temperature": 0}},
            {"limits": {"requests_per_minute": 5}, "budget": {"usd": 1}, "retry": {"max_attempts": 1}},
            {"documents": {"send": "text"}},
            {"images": {"send": "inline", "max_side": 500}},
        ],
    )
    def test_it_does_not_change_with_what_does_not(self, changed: dict[str, Any]) -> None:
        assert fingerprint(job(**changed)) == fingerprint()

    def test_it_covers_text_pictures_shape_and_examples(self) -> None:
        example = (Turn("user", ("q", CAT)), Turn("assistant", ("a",)))
        prints = {
            fingerprint(),
            fingerprint(text="u"),
            fingerprint(pictures=(b"q",)),
            fingerprint(pictures=()),
            fingerprint(pictures=(b"p", b"p")),
            fingerprint(shape=b"r"),
            Asking(job(), shape_digest=b"s", examples=example).fingerprint("t", (b"p",)),
        }
        assert len(prints) == 7

    def test_the_order_of_pictures_counts(self) -> None:
        assert fingerprint(pictures=(b"a", b"b")) != fingerprint(pictures=(b"b", b"a"))

    @given(st.tuples(st.text(max_size=4), st.lists(st.binary(max_size=3), max_size=3)), st.data())
    def test_no_two_rows_that_differ_share_one(self, row: tuple[str, list[bytes]], data: st.DataObject) -> None:
        """Lengths are hashed with the values: moving a byte from one value to the next is seen."""
        other = data.draw(st.tuples(st.text(max_size=4), st.lists(st.binary(max_size=3), max_size=3)))
        same = fingerprint(None, *row) == fingerprint(None, *other)
        assert same == (row == other)

    def test_the_settings_digest_is_that_of_the_job_alone(self) -> None:
        one, two = Asking(job(), shape_digest=b"s"), Asking(job(), shape_digest=b"s")
        one.fingerprint("text", (b"p",))
        assert one.identity.digest == two.identity.digest
        assert one.identity.digest != Asking(job(), shape_digest=b"r").identity.digest
