"""Job files as text: YAML 1.2 and JSON, and where a text that is neither goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from parquill.errors import JobError
from parquill.job import load_job
from tests.jobs import SMALLEST, file, load, refused


class TestYaml:
    """YAML 1.2: only true and false are booleans, a time of day and a date are texts, 1e-3 is a number."""

    @pytest.mark.parametrize(
        "word", ["yes", "no", "on", "off", "Y", "n", "22:30", "2026-01-01", "007", "1_000", "0x1F"]
    )
    def test_words_that_older_yaml_turns_into_something_else_stay_texts(self, tmp_path: Path, word: str) -> None:
        text = yaml.safe_dump(SMALLEST).replace("output:", f"output:\n  schema: {{enum: [{word}]}}")
        assert load(file(tmp_path, text)).output.schema_ == {"enum": [word]}

    @pytest.mark.parametrize(
        ("text", "value"),
        [("1e-3", 0.001), ("1E2", 100.0), ("-.5", -0.5), ("3.", 3.0), ("-7", -7), ("+7", 7), ("0", 0), ("~", None)],
    )
    def test_numbers_and_nothing_are_what_json_says(self, text: str, value: object) -> None:
        found = load(SMALLEST, f"model.provider.x={text}").model.provider["x"]
        assert (found, type(found)) == (value, type(value))

    def test_every_json_value_is_read_as_itself(self, tmp_path: Path) -> None:
        provider: dict[str, Any] = {"a": [1, 2.5, -1e20, True, None, "é 😀 \t", {"b": {}}], "c": "no"}
        for name, indent in (("job.json", "\t"), ("job.yaml", "  ")):
            text = json.dumps({**SMALLEST, "model": {"provider": provider}}, indent=indent)
            assert load(file(tmp_path, text, name)).model.provider == provider

    def test_a_key_is_the_text_that_is_written(self, tmp_path: Path) -> None:
        text = yaml.safe_dump(SMALLEST).replace("output:", "output:\n  schema: {true: 1, null: 2, 1.0: 3, <<: 4}")
        assert load(file(tmp_path, text)).output.schema_ == {"true": 1, "null": 2, "1.0": 3, "<<": 4}

    def test_a_sign_written_as_two_escapes_in_yaml_is_one_sign(self) -> None:
        assert load(SMALLEST, r'prompt.system="\ud83d\ude00 é"').prompt.system == "😀 é"

    @pytest.mark.parametrize(
        ("text", "place", "words"),
        [
            ("name: a\nname: b\n", "2:1", "the key 'name' stands twice"),
            ('{"a": 1,\n "a": 2}', "2:2", "the key 'a' stands twice"),
            ("a: {b: 1, b: 2}", "1:11", "the key 'b' stands twice"),
            ("a: &x 1\nb: *x\n", "2:4", "aliases"),
            ("a: [1, 2\nb: 3\n", "2:2", "expected ',' or ']'"),
            ("name: a\n\tb: 1\n", "2:1", "\\t"),
            ("a: b\nc: \x07\n", "2:4", "U+0007"),
            ("[1]: 2", "1:1", "a key must be a plain text"),
            ("a: !!python/object:os.system x", "1:4", "os.system"),
            ("a: 1\n---\nb: 2\n", "2:1", "another document"),
            ("a: " + "9" * 5000, "1:4", "limit"),
            (b"a: b\ncde: f\xffg", "2:7", "not UTF-8"),
        ],
    )
    def test_what_is_no_yaml_is_told_with_file_line_and_column(
        self, tmp_path: Path, text: str | bytes, place: str, words: str
    ) -> None:
        path = file(tmp_path, text)
        message = refused(source=path)
        assert message.startswith(f"{path}:{place}: ")
        assert words in message

    def test_broken_json_is_told_with_line_and_column_too(self, tmp_path: Path) -> None:
        path = file(tmp_path, '{"name": "a",\n "b" 1}', "job.json")
        assert refused(source=path).startswith(f"{path}:2:")

    def test_nesting_without_end_is_refused(self, tmp_path: Path) -> None:
        assert "nested more than 100 deep" in refused(source=file(tmp_path, "a: " + "[" * 5_000))
        assert "nested more than 100 deep" in refused(source=file(tmp_path, '{"a": ' + "[" * 5_000))

    @pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "null"])
    def test_a_file_that_is_no_mapping_is_refused_with_what_belongs_there(self, tmp_path: Path, text: str) -> None:
        assert "a job file is a mapping with keys like name" in refused(source=file(tmp_path, text))

    def test_a_file_that_is_not_there_or_is_a_folder_is_named(self, tmp_path: Path) -> None:
        assert refused(source=tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: no such job file"
        assert refused(source=tmp_path) == f"{tmp_path}: cannot be read: Is a directory"

    @given(st.text(max_size=40))
    def test_no_text_makes_the_reader_fail_in_another_way(self, text: str) -> None:
        try:
            load_job(SMALLEST, [f"prompt.system={text}"], environ={})
        except JobError as error:
            assert str(error).startswith("--set")
