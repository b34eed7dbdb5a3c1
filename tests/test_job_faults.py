"""A refused job in words: the key, what belongs there, its neighbour, and never a secret."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import yaml

from parquill.errors import JobError
from parquill.job import Secret, read_api_key
from tests.jobs import LEAK, SMALLEST, file, load, refused


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("override", "key", "near"),
        [
            ("modle.name=x", "modle", "model"),
            ("model.max_token=1", "model.max_token", "max_tokens"),
            ("output.shcema={}", "output.shcema", "schema"),
            ("model.price={prompt: 1, completion: 1, promt: 1}", "model.price.promt", "prompt"),
            ("output.functions=[{name: f, descripton: a}]", "output.functions[0].descripton", "description"),
            ("prompt.examples=[{user: a, answer: b, image: []}]", "prompt.examples[0].image", "images"),
            ("nightly.notify.webhok=x", "nightly.notify.webhok", "webhook"),
        ],
    )
    def test_an_unknown_key_is_named_with_its_nearest_neighbour(self, override: str, key: str, near: str) -> None:
        assert refused(override) == f"--set: unknown key {key!r}; did you mean {near!r}?"

    def test_without_a_near_neighbour_the_known_keys_are_listed(self) -> None:
        assert refused("failures.xyz=1") == "--set: unknown key 'failures.xyz'; known are max_error_rate, window"

    @pytest.mark.parametrize("key", ["list", "str", "a(b)"])
    def test_an_unknown_key_named_like_a_type_is_still_named(self, key: str) -> None:
        assert f"unknown key 'limits.{key}'" in refused(source={**SMALLEST, "limits": {key: 1}})

    def test_a_missing_key_is_named(self) -> None:
        lines = refused(source={"name": "a", "manifest": {}, "prompt": {"user": "x"}}).splitlines()
        assert lines == ["job: the key 'manifest.path' is missing", "job: the key 'output' is missing"]

    def test_the_file_is_named_for_its_own_faults_and_the_command_line_for_others(self, tmp_path: Path) -> None:
        path = file(tmp_path, yaml.safe_dump({**SMALLEST, "limit": {}}))
        lines = refused("budgte.usd=1", source=path).splitlines()
        assert lines == [
            f"{path}: unknown key 'limit'; did you mean 'limits'?",
            "--set: unknown key 'budgte'; did you mean 'budget'?",
        ]


class TestWrongValues:
    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("limits.max_in_flight=0", "limits.max_in_flight: should be at least 1 or 'auto', not 0"),
            ("limits.max_in_flight=1.5", "limits.max_in_flight: should be a whole number or 'auto', not 1.5"),
            ("limits.max_in_flight=true", "limits.max_in_flight: should be a number or 'auto', not true"),
            ("limits.max_in_flight=none", "limits.max_in_flight: should be a whole number or 'auto', not 'none'"),
            ("budget.usd=-1", "budget.usd: should be more than 0, not -1"),
            ("budget.usd=0", "budget.usd: should be more than 0, not 0"),
            ("budget.usd=true", "budget.usd: should be a number, not true"),
            ("budget.usd=ten", "budget.usd: should be a number, not 'ten'"),
            ("budget.usd=.nan", "budget.usd: should be a finite number, not nan"),
            ("budget.usd=.inf", "budget.usd: should be a finite number, not inf"),
            ("budget.per=week", "budget.per: should be 'run' or 'day', not 'week'"),
            (
                "budget.timezone=Mars",
                "budget.timezone: should be a time zone like 'Europe/Berlin' or 'UTC', not 'Mars'",
            ),
            ("limits.requests_per_minute=1.5", "limits.requests_per_minute: should be a whole number, not 1.5"),
            ("limits.requests_per_minute=0", "limits.requests_per_minute: should be at least 1, not 0"),
            ("limits.wait=maybe", "limits.wait: should be true or false, not 'maybe'"),
            ("limits=", "limits: should be a section with keys of its own, not null"),
            ("limits=3", "limits: should be a section with keys of its own, not 3"),
            ("manifest.path=''", "manifest.path: should be a text that is not empty, not ''"),
            ("manifest.keep_columns=some", "manifest.keep_columns: should be 'all' or a list, not 'some'"),
            ("manifest.keep_columns=[a, 1]", "manifest.keep_columns[1]: should be a text, not 1"),
            ("manifest.image_columns=url", "manifest.image_columns: should be a list, not 'url'"),
            ("model.stop=5", "model.stop: should be a text or a list, not 5"),
            ("model.temperature=3", "model.temperature: should be at most 2, not 3"),
            ("model.top_p=0", "model.top_p: should be more than 0, not 0"),
            ("model.provider=x", "model.provider: should be a mapping, not 'x'"),
            ("model.price={prompt: -1, completion: 1}", "model.price.prompt: should be at least 0, not -1"),
            ("output.schema=[1]", "output.schema: should be a text or a mapping, not a list"),
            ("output.rows_per_part=0", "output.rows_per_part: should be at least 1, not 0"),
            (
                "prompt.examples=[{user: a, answer: 5}]",
                "prompt.examples[0].answer: should be a text, a mapping or a list, not 5",
            ),
            ("images.send=urls", "images.send: should be 'url', 'inline' or 'auto', not 'urls'"),
            ("images.allow_ports=[80, true]", "images.allow_ports[1]: should be a number, not true"),
            ("images.allow_private=3", "images.allow_private: should be true or false or a list, not 3"),
            (
                "images.allow_private=[10.0.0.0/8, 8.8.8.8]",
                "images.allow_private[1]: should be a network inside a private range, like '10.1.0.0/16' or "
                "'192.168.7.5/32', not '8.8.8.8'",
            ),
            ("documents.pages=x", "documents.pages: should be page numbers and ranges like '1-3, 7, 9-', not 'x'"),
            ("nightly.until=24:00", "nightly.until: should be a time of day like '22:30', not '24:00'"),
            ("prompt.user_column=text", "prompt: give exactly one of `user` and `user_column`"),
            ("prompt.user=", "prompt: give exactly one of `user` and `user_column`"),
        ],
    )
    def test_a_wrong_value_is_told_in_one_line_that_says_what_belongs_there(self, override: str, message: str) -> None:
        assert refused(override) == f"--set: {message}"

    def test_schema_and_functions_exclude_each_other(self) -> None:
        assert "not both" in refused("output.schema={}", "output.functions=[{name: f}]")

    def test_every_fault_is_told_at_once(self) -> None:
        lines = refused("budget.usd=-1", "images.send=x", "modle=1").splitlines()
        assert len(lines) == 3

    @pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "a\n", "é", "a" * 101])
    def test_a_name_that_could_not_name_a_file_is_refused(self, name: str) -> None:
        assert "should be at most 100 letters" in refused(source={**SMALLEST, "name": name})

    @pytest.mark.parametrize(
        "endpoint",
        [
            *(
                "",
                "openruter",
                "ftp://h/v1",
                "http://",
                "http:///v1",
                "http://:80/v1",
                "http://h /v1",
                "http://[::1/v1",
            ),
            *("https://u:p@h/v1", "http://h/v1?key=u:p", "http://h:99999/v1", "http://h:x/v1"),
            f"http://{'a' * 64}.example/v1",
        ],
    )
    def test_an_endpoint_is_a_known_name_or_a_base_url_without_credentials(self, endpoint: str) -> None:
        message = refused(source={**SMALLEST, "model": {"endpoint": endpoint}})
        assert "should be 'openrouter', 'emulator' or a base URL" in message
        assert "u:p" not in message

    def test_a_long_value_is_cut_in_the_message(self) -> None:
        assert len(refused(source={**SMALLEST, "images": {"send": "x" * 10_000}})) < 200


class TestEnvironment:
    def test_variables_are_filled_in_every_string_and_only_there(self) -> None:
        source = {
            **SMALLEST,
            "output": {"path": "${BASE}/x/${RUN_1}", "schema": {"${BASE}": ["${RUN_1}"]}},
            "model": {"seed": 5},
        }
        job = load(source, "prompt.system=in ${BASE}", environ={"BASE": "s3://b", "RUN_1": "7"})
        assert job.output.path == "s3://b/x/7"
        assert job.output.schema_ == {"${BASE}": ["7"]}
        assert job.prompt.system == "in s3://b"

    def test_a_variable_that_is_not_set_is_told_with_its_key_and_what_to_do(self) -> None:
        source = {**SMALLEST, "prompt": {"user": "x", "examples": [{"user": "a", "answer": "${NOPE}"}]}}
        assert refused(source=source) == (
            "job: prompt.examples[0].answer: the environment variable NOPE is not set; "
            "set it, or write $${NOPE} where this very text is meant"
        )
        assert refused("output.path=${NOPE}").startswith("--set: output.path: the environment variable NOPE")

    def test_a_doubled_dollar_stands_for_the_text_itself_also_when_the_job_is_loaded_again(self) -> None:
        job = load(SMALLEST, "prompt.system=pay $${PRICE} or ${}", environ={"PRICE": "9"})
        assert job.prompt.system == "pay ${PRICE} or ${}"
        assert load(job, environ={"PRICE": "9"}) == job

    def test_what_a_variable_holds_is_not_searched_for_variables(self) -> None:
        assert load(SMALLEST, "prompt.system=${A}", environ={"A": "${B}", "B": "no"}).prompt.system == "${B}"

    @pytest.mark.parametrize(
        "override",
        [
            "budget.usd=${KEY}",
            "budget.timezone=${KEY}",
            "model.endpoint=https://user:${KEY}@host/v1",
            "model.api_key_env=${KEY}",
            "model.stop={a: '${KEY}'}",
            "images.send=${KEY}",
            "images.allow_ports=[80, '${KEY}']",
            "limits.max_in_flight=${KEY}",
            "manifest.keep_columns=${KEY}",
            "output.functions=[{name: 'a ${KEY}'}]",
            "output.schema=['${KEY}']",
            "name=a ${KEY}",
            "nightly.until=${KEY}",
            "documents.pages=${KEY}",
            "prompt.examples=[{user: a, answer: b, images: '${KEY}'}]",
            "model.price={prompt: '${KEY}', completion: 1}",
            "model.price='${KEY}'",
            "unknown=${KEY}",
        ],
    )
    def test_a_value_from_the_environment_is_never_shown(self, override: str) -> None:
        message = refused(override, environ={"KEY": LEAK})
        assert LEAK not in message

    def test_instead_the_variable_is_named(self) -> None:
        assert refused("budget.usd=${SPEND}", environ={"SPEND": LEAK}) == (
            "--set: budget.usd: should be a number; the value of ${SPEND} is not"
        )

    def test_a_key_written_where_its_variables_name_belongs_is_not_shown(self) -> None:
        assert refused("model.api_key_env=sk-or-v1-0123") == (
            "--set: model.api_key_env: should be the name of an environment variable, never the key itself"
        )

    def test_the_traceback_of_a_refused_job_holds_no_value_either(self) -> None:
        with pytest.raises(JobError) as caught:
            load(SMALLEST, "budget.usd=${KEY}", environ={"KEY": LEAK})
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


class TestApiKey:
    def test_the_key_is_read_from_the_variable_that_the_job_names(self) -> None:
        key = read_api_key(load(SMALLEST, "model.api_key_env=MY_KEY").model, {"MY_KEY": f" {LEAK}\n"})
        assert key is not None
        assert key.reveal() == LEAK

    def test_without_a_key_openrouter_is_refused_with_a_way_to_rehearse(self) -> None:
        for environ in ({}, {"OPENROUTER_API_KEY": " "}):
            with pytest.raises(JobError, match=r"OPENROUTER_API_KEY is not set.*--set model\.endpoint=emulator"):
                read_api_key(load().model, environ)

    @pytest.mark.parametrize("endpoint", ["emulator", "http://127.0.0.1:1/v1"])
    def test_openrouters_key_goes_to_openrouter_only(self, endpoint: str) -> None:
        model = load(SMALLEST, f"model.endpoint={endpoint}").model
        assert read_api_key(model, {"OPENROUTER_API_KEY": LEAK}) is None

    def test_another_server_gets_a_key_when_the_job_names_the_variable_and_it_is_set(self) -> None:
        model = load(SMALLEST, "model.endpoint=http://h/v1", "model.api_key_env=OPENROUTER_API_KEY").model
        assert read_api_key(model, {}) is None
        key = read_api_key(load(load(SMALLEST).model_copy(update={"model": model})).model, {"OPENROUTER_API_KEY": LEAK})
        assert key is not None
        assert key.reveal() == LEAK

    @pytest.mark.parametrize("bad", [f"{LEAK}\nX-Evil: 1", f"{LEAK}é", f"a {LEAK}", f"{LEAK}\x00"])
    def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown(self, bad: str) -> None:
        with pytest.raises(JobError) as caught:
            read_api_key(load().model, {"OPENROUTER_API_KEY": bad})
        assert "OPENROUTER_API_KEY holds characters that no API key has" in str(caught.value)
        assert LEAK not in str(caught.value)

    def test_a_secret_shows_itself_nowhere(self) -> None:
        secret = Secret(LEAK)
        texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr([secret]), repr({"a": secret})]
        assert not any(LEAK in text for text in texts)
        for leak in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                leak(secret)
        with pytest.raises(TypeError):
            vars(secret)
