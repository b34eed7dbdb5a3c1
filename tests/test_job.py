"""The job file: what is read, and how overrides and dates change it."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from parquill.errors import ErrorKind, JobError
from parquill.job import OPENROUTER_URL, Job, load_job, parse_kinds, state_home, zone
from tests.jobs import LEAK, SMALLEST, file, load, refused


class TestReading:
    def test_the_smallest_job_has_the_documented_defaults(self) -> None:
        job = load()
        assert job.model.model_dump() == {
            "name": "google/gemma-3-4b-it",
            "endpoint": "openrouter",
            "endpoints": None,
            "extra_headers": {},
            "extra_query": {},
            "extra_body": {},
            "request_tags": {"user": None, "metadata": {}},
            "api_key_header": "Authorization: Bearer",
            "api_key_env": "OPENROUTER_API_KEY",
            "max_tokens": 256,
            "max_tokens_field": "auto",
            "system_role": "auto",
            "temperature": 0.0,
            "top_p": None,
            "top_k": None,
            "seed": None,
            "stop": None,
            "provider": {},
            "fallback_models": (),
            "tokenizer": None,
            "price": None,
        }
        assert job.manifest.keep_columns == "all"
        assert (job.output.mode, job.output.max_reasks, job.output.rows_per_part) == ("auto", 1, 10_000)
        assert (job.images.send, job.images.max_side, job.documents.send) == ("url", 896, "pages")
        assert (job.limits.max_in_flight, job.limits.wait) == ("auto", False)
        assert (job.budget.usd, job.budget.per, job.budget.timezone) == (None, "run", "UTC")
        assert (job.retry.max_attempts, job.retry.deadline_seconds) == (6, 300.0)
        assert (job.failures.max_error_rate, job.failures.window) == (None, 500)

    def test_a_file_a_mapping_and_a_job_give_the_same_job(self, tmp_path: Path) -> None:
        job = load()
        assert load(file(tmp_path, yaml.safe_dump(SMALLEST))) == job
        assert load(str(file(tmp_path, json.dumps(SMALLEST, indent="\t"), "job.json"))) == job
        assert load(job) == job

    def test_the_mapping_that_was_given_stays_as_it_was(self) -> None:
        given_ = copy.deepcopy({**SMALLEST, "images": {"root": "in/{date}"}})
        load(given_, "model.max_tokens=5", "manifest.image_columns=[a]")
        assert given_ == {**SMALLEST, "images": {"root": "in/{date}"}}

    def test_a_job_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load().model.max_tokens = 5

    def test_a_byte_order_mark_before_the_file_does_no_harm(self, tmp_path: Path) -> None:
        assert load(file(tmp_path, b"\xef\xbb\xbf" + yaml.safe_dump(SMALLEST).encode())) == load()

    def test_money_keeps_every_digit_whether_it_was_a_number_or_a_text(self) -> None:
        assert load(SMALLEST, "budget.usd=0.1").budget.usd == Decimal("0.1")
        assert load(SMALLEST, "budget.usd='0.1'").budget.usd == Decimal("0.1")
        price = load(SMALLEST, "model.price={prompt: 0.00000002, completion: '0.00000004'}").model.price
        assert price is not None
        assert (price.prompt, price.completion) == (Decimal("0.00000002"), Decimal("0.00000004"))

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_a_base_url_loses_its_last_slash_and_openrouters_own_is_openrouter(self, slash: str) -> None:
        assert load(SMALLEST, f"model.endpoint=http://127.0.0.1:8000/v1{slash}").model.endpoint == (
            "http://127.0.0.1:8000/v1"
        )
        assert load(SMALLEST, f"model.endpoint={OPENROUTER_URL}{slash}").model.endpoint == "openrouter"


class TestOverrides:
    def test_an_override_wins_over_the_file_and_the_last_over_the_first(self, tmp_path: Path) -> None:
        path = file(tmp_path, yaml.safe_dump({**SMALLEST, "model": {"max_tokens": 5, "seed": 1}}))
        model = load(path, "model.max_tokens=6", "model.max_tokens=7").model
        assert (model.max_tokens, model.seed) == (7, 1)

    def test_values_are_yaml(self) -> None:
        job = load(SMALLEST, "manifest.image_columns=[a, b]", "limits.wait=true", "model.stop=", "prompt.system=a=b")
        assert job.manifest.image_columns == ("a", "b")
        assert (job.limits.wait, job.model.stop, job.prompt.system) == (True, None, "a=b")

    def test_a_mapping_of_overrides_takes_plain_values(self) -> None:
        job = load_job(SMALLEST, {"model.seed": 7, "manifest.keep_columns": ("a",)}, environ={})
        assert (job.model.seed, job.manifest.keep_columns) == (7, ("a",))

    def test_a_section_that_is_null_in_the_file_can_be_filled(self) -> None:
        job = load({**SMALLEST, "model": {"price": None}}, "model.price.prompt='1e-8'", "model.price.completion='2e-8'")
        assert job.model.price is not None
        assert job.model.price.completion == Decimal("2e-8")

    @pytest.mark.parametrize("text", ["model.name", "=x", " =x", ""])
    def test_an_override_that_is_no_pair_is_refused_with_an_example(self, text: str) -> None:
        assert refused(text) == (f"--set {text!r}: write it as key=value, for example --set model.endpoint=emulator")

    def test_an_override_below_a_value_is_refused(self) -> None:
        assert refused("name.x=1") == "--set name.x: 'name' is not a section of the job"

    def test_an_override_that_is_no_yaml_is_refused_without_showing_it(self) -> None:
        message = refused(f"nightly.notify.webhook=[{LEAK}")
        assert message.startswith("--set nightly.notify.webhook: the value is not valid YAML: expected ',' or ']'")
        assert LEAK not in message

    def test_an_override_of_a_loaded_job_is_checked_like_any_other(self) -> None:
        assert load(load(), "model.max_tokens=9").model.max_tokens == 9
        assert refused("model.max_tokens=0", source=load()).startswith("--set: model.max_tokens")


class TestDates:
    def test_the_runs_date_is_filled_in_paths(self) -> None:
        source = {
            **SMALLEST,
            "manifest": {"path": "in/{date}/*.parquet"},
            "output": {"path": "out/{date}", "reuse_from": ["old/{date}", "x"]},
            "images": {"root": "pics/{date}", "cache": "cache/{date}"},
        }
        job = load(source)
        assert job.manifest.path == "in/2026-11-23/*.parquet"
        assert (job.output.path, job.output.reuse_from) == ("out/2026-11-23", ("old/2026-11-23", "x"))
        assert (job.images.root, job.images.cache) == ("pics/2026-11-23", "cache/2026-11-23")

    def test_a_prompt_keeps_its_braces(self) -> None:
        assert load(SMALLEST, "prompt.system='{date} {{ title }}'").prompt.system == "{date} {{ title }}"


def test_a_job_goes_to_another_process_and_stays_the_same() -> None:
    job = load(SMALLEST, "model.endpoint=http://h/v1", "model.api_key_env=K", "budget.usd='0.1'")
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert "api_key_env" in again.model.model_fields_set


def test_state_lives_where_the_system_wants_it() -> None:
    assert state_home({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}) == Path("/state/parquill")
    assert state_home({"HOME": "/home/a"}) == Path("/home/a/.local/state/parquill")
    assert state_home({"XDG_STATE_HOME": "", "HOME": "/home/a"}) == Path("/home/a/.local/state/parquill")


def test_kinds_to_retry_are_parsed_and_an_unknown_one_is_named_with_its_neighbour() -> None:
    assert parse_kinds(" truncated, bad_row,,") == {ErrorKind.TRUNCATED, ErrorKind.BAD_ROW}
    assert parse_kinds("") == frozenset()
    with pytest.raises(JobError, match=r"'truncate' is no error kind; did you mean 'truncated'\?"):
        parse_kinds("bad_row,truncate")


def test_a_checked_zone_can_be_used() -> None:
    job = load(SMALLEST, "budget.timezone=Europe/Berlin")
    assert dt.datetime(2026, 7, 1, tzinfo=zone(job.budget.timezone)).utcoffset() == dt.timedelta(hours=2)


ROOM_FOR_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        f"{name}.{key}"
        for name, field in Job.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
    ]
    + list(Job.model_fields)
)


@given(st.dictionaries(KEYS, ROOM_FOR_ANYTHING, min_size=1, max_size=3))
def test_whatever_a_job_holds_it_is_loaded_or_refused_in_words(values: dict[str, Any]) -> None:
    sections = {key: value for key, value in values.items() if "." not in key}
    deeper = {key: value for key, value in values.items() if "." in key}
    try:
        job = load_job({**SMALLEST, **sections}, deeper, environ={})
    except JobError as error:
        assert str(error)
    else:
        assert load_job(job, environ={}) == job


def test_the_scheme_of_an_endpoint_may_be_written_in_capitals() -> None:
    job = load(SMALLEST, "model.endpoint=HTTP://127.0.0.1:8000/v1/")
    assert job.model.endpoint == "http://127.0.0.1:8000/v1"


def test_an_endpoint_that_names_the_route_itself_is_refused_with_what_to_leave_out() -> None:
    assert "without /chat/completions" in refused("model.endpoint=http://127.0.0.1:8000/v1/chat/completions")
