"""Endpoints that want requests in another form: no system turn, another name for the answer's limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
from aiohttp import web

from parquill.asking.request_forms import Form, FormChoice, first_form
from parquill.chat import ChatRequest, ImagePart, Turn, turn_content
from parquill.doctor import Health, examine
from parquill.job import ModelSettings
from parquill.planning import RunOptions
from parquill.running import run_job
from parquill.verification import verify_job
from tests.e2e.odd import completion, odd_endpoint, odd_job, output

GOOGLE = "Developer instruction is not enabled for models/gemma-3-4b-it"
OPENAI = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."

NO_SYSTEM = [
    GOOGLE,
    "System role not supported",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "Only user and assistant roles are supported!",
    "This model does not support system messages",
    "Please use a valid role: user, model.",
]
OTHERS = [
    "This model's maximum context length is 8192 tokens",
    "max_tokens or max_completion_tokens is too large: 100000",
    "max_tokens must be at least 1",
    "No endpoints found that support image input",
    "the system is not available",
    "",
]

REQUEST = ChatRequest((Turn("system", ("Be brief.",)), Turn("user", ("Describe it.",))))


def picky(message: str, refuses: Any) -> Any:
    """Refuse bodies of a form, as a 400 with these words."""

    def reply(_: str, __: int) -> Any:
        body = odd.bodies[-1]
        if refuses(body):
            return web.json_response({"error": {"code": 400, "message": message, "status": "INVALID"}}, status=400)
        return completion()

    odd: Any = None

    def bind(endpoint: Any) -> None:
        nonlocal odd
        odd = endpoint

    reply.bind = bind  # type: ignore[attr-defined]  # an attribute of the test's own
    return reply


def has_system(body: dict[str, Any]) -> bool:
    return body["messages"][0]["role"] in ("system", "developer")


async def test_a_system_turn_that_is_refused_goes_before_the_users_text_for_the_whole_run(tmp_path: Path) -> None:
    reply = picky(GOOGLE, has_system)
    async with odd_endpoint(reply) as odd:
        reply.bind(odd)
        prompt = {"system": "Be brief.", "examples": [{"user": "Say x.", "answer": "x"}]}
        job = odd_job(odd, tmp_path, [f"Row {at}" for at in range(12)], prompt=prompt)
        summary = await run_job(job)
        assert summary.rows.ok == 12
        refused = [body for body in odd.bodies if has_system(body)]
        assert 1 <= len(refused) <= 4  # those that were under way together
        taken = [body for body in odd.bodies if not has_system(body)]
        assert all(body["messages"][0]["content"] == "Be brief.\n\nSay x." for body in taken)
        assert [body["messages"][1]["role"] for body in taken] == ["assistant"] * 12
        assert sum("no system turn" in notice for notice in summary.notices) == 1
        sent = len(odd.bodies)
        assert (await run_job(job)).requests == len(odd.bodies) - sent == 0
        assert verify_job(job).holds


async def test_a_limit_that_is_refused_is_sent_under_its_newer_name(tmp_path: Path) -> None:
    reply = picky(OPENAI, lambda body: "max_tokens" in body)
    async with odd_endpoint(reply) as odd:
        reply.bind(odd)
        job = odd_job(odd, tmp_path, [f"Row {at}" for at in range(6)])
        summary = await run_job(job)
        assert summary.rows.ok == 6
        assert {body.get("max_completion_tokens") for body in odd.bodies} == {None, 64}
        assert not [body for body in odd.bodies if {"max_tokens", "max_completion_tokens"} <= body.keys()]
        assert sum("max_completion_tokens" in notice for notice in summary.notices) == 1


async def test_a_cut_answer_gets_more_tokens_under_either_name(tmp_path: Path) -> None:
    replies = {64: completion("A red b", "length"), 128: completion("A red boat.")}
    async with odd_endpoint(lambda _, times: replies[64 * times]) as odd:
        job = odd_job(odd, tmp_path, ["a"], model={"max_tokens_field": "max_completion_tokens"})
        await run_job(job)
        assert [body["max_completion_tokens"] for body in odd.bodies] == [64, 128]
    assert [row["answer"] for row in output(tmp_path)] == ["A red boat."]


async def test_a_role_that_the_job_names_is_kept_and_its_rows_fail_in_the_endpoints_words(tmp_path: Path) -> None:
    reply = picky(GOOGLE, has_system)
    async with odd_endpoint(reply) as odd:
        reply.bind(odd)
        model = {"system_role": "developer"}
        await run_job(odd_job(odd, tmp_path, ["a", "b"], prompt={"system": "Be brief."}, model=model))
        assert {body["messages"][0]["role"] for body in odd.bodies} == {"developer"}


async def test_another_role_asks_again_and_another_name_of_the_limit_does_not(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        asked = []
        for role in ("auto", "system", "user", "developer"):
            before = len(odd.bodies)
            job = odd_job(odd, tmp_path, ["a"], prompt={"system": "Be brief."}, model={"system_role": role})
            await run_job(job, RunOptions(replace=True))
            asked.append(len(odd.bodies) - before)
        for field in ("max_tokens", "max_completion_tokens"):
            model = {"system_role": "developer", "max_tokens_field": field}
            await run_job(odd_job(odd, tmp_path, ["a"], prompt={"system": "Be brief."}, model=model))
        assert asked == [1, 1, 1, 1]
        assert len(odd.bodies) == 4


@pytest.mark.parametrize("refuses", ["system", "limit"])
async def test_doctor_tries_the_form_that_the_job_sends_and_says_what_the_endpoint_takes(
    refuses: str, tmp_path: Path
) -> None:
    message, refused = (GOOGLE, has_system) if refuses == "system" else (OPENAI, lambda body: "max_tokens" in body)
    reply = picky(message, refused)
    async with odd_endpoint(reply) as odd:
        reply.bind(odd)
        diagnosis = await examine(odd_job(odd, tmp_path, ["a"], prompt={"system": "Be brief."}))
    form, answers = diagnosis.of("form"), diagnosis.of("answers")
    assert form is not None
    assert form.health is Health.MIND
    assert answers is not None
    assert answers.health is Health.WORKS
    assert diagnosis.can_run


@pytest.mark.parametrize("message", NO_SYSTEM)
def test_every_known_refusal_of_a_system_turn_is_understood(message: str) -> None:
    said: list[str] = []
    choice = FormChoice(ModelSettings(), None, said.append)
    used = choice.form
    assert choice.adapts(REQUEST, used, message)
    assert choice.adapts(REQUEST, used, message)  # another row that was under way
    assert choice.form == Form("user", "max_tokens")
    assert len(said) == 1
    assert not choice.adapts(REQUEST, choice.form, message)
    assert not FormChoice(ModelSettings(system_role="system"), None, said.append).adapts(REQUEST, used, message)
    assert not FormChoice(ModelSettings(), None, said.append).adapts(ChatRequest(REQUEST.turns[1:]), used, message)


@pytest.mark.parametrize("message", OTHERS)
def test_other_refusals_change_no_form(message: str) -> None:
    choice = FormChoice(ModelSettings(), None, lambda _: None)
    assert not choice.adapts(REQUEST, choice.form, message)
    assert choice.form == Form("system", "max_tokens")


def test_an_endpoint_that_lists_only_the_newer_limit_gets_it_at_once() -> None:
    assert first_form(ModelSettings(), frozenset({"max_completion_tokens"})).limit == "max_completion_tokens"
    assert first_form(ModelSettings(), frozenset({"max_tokens", "max_completion_tokens"})).limit == "max_tokens"
    assert first_form(ModelSettings(), None) == Form("system", "max_tokens")


TEMPLATE = """{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}
{%- set prefix = messages[0]['content'] + '\\n\\n' -%}{%- set turns = messages[1:] -%}
{%- else -%}{%- set prefix = '' -%}{%- set turns = messages -%}{%- endif -%}
{%- for message in turns -%}
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}
{{- prefix if loop.first else '' }}
{%- if message['content'] is string -%}{{ message['content'] | trim }}
{%- else -%}{%- for item in message['content'] -%}
{{ '<start_of_image>' if item['type'] == 'image_url' else item['text'] | trim }}{%- endfor -%}{%- endif -%}
{{ '<end_of_turn>\\n' }}{%- endfor -%}{{ '<start_of_turn>model\\n' }}"""
"""Gemma 3's chat template, without its checks."""


def rendered(request: ChatRequest) -> str:
    messages = [{"role": turn.role, "content": turn_content(turn)} for turn in request.turns]
    return jinja2.Environment(autoescape=False).from_string(TEMPLATE).render(messages=messages, bos_token="<bos>")


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("user", ("Describe it.",)),),
        (Turn("user", ("Describe it.", ImagePart("data:image/png;base64,AA"))),),
        (Turn("user", ("Say x.",)), Turn("assistant", ("x",)), Turn("user", ("Say y.",))),
    ],
)
def test_gemmas_own_template_makes_the_same_prompt_of_a_folded_system_text(turns: tuple[Turn, ...]) -> None:
    request = ChatRequest((Turn("system", ("Be brief.\nBe kind.",)), *turns))
    folded = Form("user", "max_tokens").written(request)
    assert [turn.role for turn in folded.turns] == [turn.role for turn in turns]
    assert rendered(folded) == rendered(request)


def test_a_picture_that_comes_first_stays_behind_the_system_text() -> None:
    request = ChatRequest((Turn("system", ("Be brief.",)), Turn("user", (ImagePart("data:x"), "Describe it."))))
    (turn,) = Form("user", "max_tokens").written(request).turns
    assert turn.parts == ("Be brief.", ImagePart("data:x"), "Describe it.")
