"""Foreign data of every kind, made up at random around what once did harm: it becomes a row's error or a value.

The short look is part of every run of the tests; `make fuzz` looks for minutes, at long texts as well: there no
input may take more time than its length allows, nor more than `MOST_MEMORY`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from yarl import URL

from parquill.answers import OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.client.redactor import Redactor
from parquill.clock import SystemClock
from parquill.errors import ErrorKind, ParquillError, RowError
from parquill.fetch import Fetcher, UrlRules, check_url, judge_url
from parquill.fetch.session import _Answer, _next_hop
from parquill.fetch.translated_errors import retry_after
from parquill.images import ImageLoader
from parquill.images.decoder_pool import DecodePool
from parquill.images.picture_cells import DataPicture, decode_data_url, identity, named, read_cell
from parquill.job import DocumentSettings, ImageSettings, OutputSettings, Secret, load_job
from parquill.job.syntax import parse
from parquill.limits.rate_limit_headers import read_quotas
from parquill.limits.retry_after import wait_seconds
from parquill.manifest import Columns, RowsDigest, places_in
from parquill.planning.rows import RowReader
from parquill.prompts import Asking, UserText
from parquill.replies import Exchange, classify, straighten
from parquill.results import row_values
from tests.hostile_files import HOSTILE, noise, saved
from tests.manifests import opened
from tests.pdfs import pdf
from tests.watched import Watched, watch

MOST_MEMORY = 600 * 10**6
"""Bytes by which one input may make the process grow."""
LONGEST = 30.0
"""Seconds after which an input is given up, on a loaded machine too."""
SECONDS, SECONDS_A_CHARACTER = 0.5, 60e-6
"""CPU time that an input may take here; a repair may take the most, on a loaded machine."""

_RULES = UrlRules()
_SHAPE = load_answer_schema(
    OutputSettings(path="out", schema=str(Path(__file__).parents[2] / "configs/schemas/tag.json"))
)
_PLAIN = load_answer_schema(OutputSettings(path="out"))
_REDACTOR = Redactor(Secret("sk-or-v1-0123456789abcdef+/CANARY"), {"A": "hunter2/hunter2+="})


def _around(*pieces: str) -> st.SearchStrategy[str]:
    """Texts made of pieces that mean something, with anything between them."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=4), max_size=14).map("".join)


def _long(texts: st.SearchStrategy[str], *pieces: str) -> st.SearchStrategy[str]:
    """A few characters again and again, up to 38,000 of them, between texts; `pieces` once took long."""
    repeated = st.sampled_from(pieces) | texts.filter(lambda text: len(text) <= 12)
    openings = st.sampled_from(["", "{", '{"a": ', '{"a": "', "data: "]) | texts
    return st.builds(
        lambda before, piece, size, after: before + piece * (size // max(1, len(piece))) + after,
        openings, repeated, st.sampled_from([400, 4_000, 38_000]), texts,
    )  # fmt: skip


_LOOSE_URLS = _around(
    "http://", "https://", "//", "a.b", "[", "]", "@", ":", "80", "/", "?", "#", "%", "%41", "xn--", "[::1]", "..",
    "data:image/png", ";base64", ",", "AA==", "s3://", "b/", "127.0.0.1", "0x7f", "\u3002", "\ud800", "[]@", "v1.a",
)  # fmt: skip
_HOSTS = st.lists(
    st.sampled_from(["a.b", "A.B", "[]", "[", "]", "[]@", "@", ":", ":80", ":99999", "[::1]", "%5b", "127.1", "xn--",
                     "\uff0e", ".", "-", "\ud800", "u:p@", " ", "\\", "0x7f.1", "[v1.a]", "[fe80::1%25eth0]"])
    | st.text(max_size=2), min_size=1, max_size=4,
).map("".join)  # fmt: skip
"""What stands between the slashes: where two parsers differ, and libraries stumble."""
_URLS = _LOOSE_URLS | st.builds(
    "{}{}{}".format, st.sampled_from(["http://", "https://", "HTTP://", "http:", "https:/\\"]), _HOSTS,
    st.sampled_from(["", "/x.png", "?q", "#f", "/%", "/..//"]) | _LOOSE_URLS,
)  # fmt: skip
_JSON_TEXT = _around(
    "{", "}", "[", "]", '"', '"choices"', ":", ",", "1", "-", "1e999", "NaN", "null", "\\u", "\\ud83d", '"message"',
    '"content"', '{"choices":[{"message":{"content":"x"}}]}', "data: ", "\n\n", "[DONE]", '"usage"', "\ufeff", "'",
    "\\u0073", "%2573", "&#115;", "sk-or-v1-0123456789abcdef+/CANARY",
)  # fmt: skip
_WORDS = _around(
    "{", "}", "[", "]", '"', "'", ":", ",", "# ", "// ", "/*", "*/", "\\", "```json", "<think>", "</think>", "<s>",
    "</s>", "<|im_end|>", '"label"', "label", "1", "True", "None", "\n", "\u201c", "\u201d", "(", ")", "2026-01-02",
    '{"label": "', '{"label": ', '"}', "1}{",
)  # fmt: skip
_TEMPLATES = _around(
    "{{", "}}", "{%", "%}", " a ", " b ", "|", "tojson", "upper", "join", "for x in", "endfor", "if", "endif", "[", "]",
    "(", ")", ".", "'", "0", "*", "%", "~", "__class__", "format", "x", "loop", "list", "map", "replace",
    "{{ 'a' * 10**9 }}", "{{ [1] * ", "10**9 }}", "{{ a * 999999999 }}",
)  # fmt: skip
_ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["stop", "429"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices message content usage error code metadata cost tool_calls function".split()  # noqa: SIM905 - a list of words
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_HEADER_NAMES = (
    "retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests", "content-type", "location", "x-generation-id",
)  # fmt: skip
_HEADER_VALUES = _around(
    "1", "0", "-", ".", "e", "9" * 40, "h", "m", "s", "ms", "\u00b5s", "inf", "nan", ",", " GMT",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "charset=", "utf-16", "idna", "unicode_escape",
    "text/event-stream", "\u0663", "+", ":",
)  # fmt: skip


def _cells() -> st.SearchStrategy[Any]:
    leaf = st.none() | _URLS | st.binary(max_size=20) | st.integers() | st.floats()
    return leaf | st.lists(leaf, max_size=3) | st.fixed_dictionaries({"bytes": leaf, "path": leaf})


def _url(text: str) -> None:
    for judge in (check_url, judge_url):
        try:
            judge(text, _RULES)
        except RowError as fault:
            assert fault.kind in (ErrorKind.BAD_ROW, ErrorKind.IMAGE_REFUSED)


def _location(text: str) -> None:
    response: Any = type("Response", (), {"headers": {"Location": text}})
    try:
        _next_hop(_Answer(response, URL("https://a.example/x"), 1.0))
    except RowError as fault:
        assert fault.kind is ErrorKind.IMAGE_UNREACHABLE
    retry_after(text, 0.0)


def _cell(cell: Any, rules: UrlRules = _RULES) -> None:
    for wanted in ("picture", "document"):
        try:
            for value in read_cell(cell, rules, wanted):  # type: ignore[arg-type]  # two of its words
                named(value)
                identity(value, lambda _: (0, 0))
                if isinstance(value, DataPicture):
                    assert len(decode_data_url(value.url)) <= rules.file_bytes + 3
        except RowError:
            pass


_JOB = load_job(
    {"name": "n", "manifest": {"path": "m"}, "output": {"path": "o"}, "prompt": {"user_column": "a"}}, environ={}
)
_LOADER = ImageLoader(
    ImageSettings(), DocumentSettings(), manifest_folder="/none", endpoint_fetches=True, clock=SystemClock()
)
_COLUMNS = Columns(pa.schema([("a", pa.string())]), pa.field("row", pa.int64()), False, (), (), ())
_READER = RowReader(UserText(_JOB, ["a"]), Asking(_JOB, shape_digest=b""), _LOADER, _COLUMNS)


def _size(one: tuple[str, int]) -> None:
    """Look at a cell, a prompt or a template's work of some size: what is too large is refused before it is copied."""
    kind, size = one
    if kind == "bytes":
        _cell(b"\xff\xd8\xff" + bytes(size))
    elif kind == "prompt":
        with contextlib.suppress(RowError):
            _READER._prepare_one("x" * size, (), ())
    elif kind == "template":
        _template(f"{{{{ 'a' * {size} }}}}")
    else:
        _cell(kind + "A" * size)


def _reply(one: tuple[int, Any, str]) -> None:
    status, body, kind = one
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    headers = {"Content-Type": kind}
    content, repairs = straighten(raw, headers)
    content = _REDACTOR.redact_body(content, status)
    verdict = classify(Exchange(status, headers, content, 1, repairs=repairs))
    assert sum(one is not None for one in (verdict.completion, verdict.kind, verdict.stop)) == 1
    assert "unexpected" not in verdict.message
    assert b"CANARY" not in content


def _headers(headers: Mapping[str, str]) -> None:
    wait = wait_seconds(headers, None, 1.7e9)
    assert wait is None or 0 <= wait.seconds <= 300
    read_quotas(headers, 1.7e9)
    classify(Exchange(429, _REDACTOR.redact_headers(headers), b"{}", 1))


def _answer(text: str) -> None:
    completion = ChatCompletion(None, None, None, text, (), "stop", None)
    for shape in (_SHAPE, _PLAIN):
        answer = shape.parse(completion, OutputMode.TEXT)
        assert answer.ok or answer.errors
        assert not any("unexpected" in error and "Error" in error for error in answer.errors)


def _template(source: str) -> None:
    base: Mapping[str, Any] = {"name": "n", "manifest": {"path": "m"}, "output": {"path": "o"}}
    try:
        text = UserText(load_job({**base, "prompt": {"user": source}}, environ={}), ["a", "b", "x"])
    except Exception as fault:
        assert type(fault).__module__ == "parquill.errors", fault
        return
    for made in text.render_all({name: ["t", None, [1, {"b": b"\0"}]] for name in text.columns}, 3):
        assert isinstance(made, (str, RowError))


def _job_file(text: str) -> None:
    try:
        parse(text)
    except Exception as fault:
        assert isinstance(fault, ValueError) or type(fault).__module__.startswith("yaml"), fault


_KINDS: dict[pa.DataType, pa.DataType] = {
    pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view(),
    pa.binary(): pa.binary(), pa.date32(): pa.int32(), pa.date64(): pa.int64(), pa.time32("ms"): pa.int32(),
    pa.time64("us"): pa.int64(), pa.timestamp("us"): pa.int64(), pa.timestamp("ns", "UTC"): pa.int64(),
    pa.timestamp("us", "Mars/Olympus"): pa.int64(), pa.timestamp("ms", "Europe/Berlin"): pa.int64(),
    pa.duration("s"): pa.int64(), pa.float16(): pa.int16(), pa.float64(): pa.int64(), pa.bool_(): pa.bool_(),
    pa.decimal128(3, 2): pa.binary(16), pa.uint64(): pa.uint64(), pa.null(): pa.null(),
}  # fmt: skip
"""Types of columns, and those that hold any bits at all for them."""
_OF_STORAGE: Mapping[str, st.SearchStrategy[Any]] = {
    "int16": st.integers(-(2**15), 2**15 - 1), "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1), "uint64": st.integers(0, 2**64 - 1), "bool": st.booleans(),
    "null": st.none(), "fixed_size_binary[16]": st.binary(min_size=16, max_size=16),
}  # fmt: skip
_BYTES = st.binary(max_size=8) | st.sampled_from(
    [b"\xff", b"http://a.b[]@", b"s3://b/k", b"\xf0\x9f", b"../x", b"%PDF-"]
)


def _arrays(kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    storage = _KINDS[kind]
    values = st.lists(st.none() | _OF_STORAGE.get(str(storage), _BYTES), min_size=4, max_size=4)
    return values.map(lambda made: pa.array(made, storage).view(kind) if kind != storage else pa.array(made, storage))


def _nested(array: pa.Array) -> st.SearchStrategy[pa.Array]:
    ways = [lambda one: one, lambda one: pa.ListArray.from_arrays([0, 1, 1, 3, 4], one)]
    if not pa.types.is_null(array.type):
        ways += [
            lambda one: pa.StructArray.from_arrays([one, one], names=["path", "bytes"]),
            lambda one: pa.MapArray.from_arrays([0, 1, 2, 3, 4], pa.array(list("abcd")), one),
            lambda one: pa.FixedSizeListArray.from_arrays(one, 1),
            lambda one: pa.DictionaryArray.from_arrays(pa.array([0, 3, None, 1], pa.int32()), one),
        ]
    return st.sampled_from(ways).map(lambda way: way(array))


_ARROW = st.sampled_from(list(_KINDS)).flatmap(_arrays).flatmap(_nested)
_LINES = (
    b'{"x": ', b'"a"', b"}", b"\n", b'{"x": "\\ud83d"}\n', b'{"x": "\xff"}\n', b"[", b",", b"x,y\n", b"a,b\n", b'"',
    b"\xff\xfe,1\n", b"\r", b"1e999", b"9" * 30, b"\0", b"\xef\xbb\xbf", b'{"x": 1}\n', b'{"x": [[{"y": null}]]}\n',
)  # fmt: skip
_TEXT_FILES = st.tuples(
    st.sampled_from([".jsonl", ".csv"]),
    st.lists(st.sampled_from(_LINES) | st.binary(max_size=4), max_size=14).map(b"".join),
)
_NAMES = st.lists(
    st.sampled_from(["x=1", "x=%ff", "x=", "=", "..a", "a b", "\x1b]0;t\x07", "\u202e", "\u00e9", "\udcff", "n\nl"]),
    min_size=1, max_size=3,
)  # fmt: skip


def _read_all(path: Path) -> None:
    """Read a manifest as a run does: digests, places of pictures, cells, texts."""
    try:
        manifest = opened(path)
        digest = RowsDigest(b"")
        for chunk in manifest.read(manifest.columns.schema.names):
            chunk.table.validate(full=True)
            digest.add(chunk.table)
            for name in chunk.table.schema.names:
                list(places_in(chunk.table.column(name)))
                values, faults = chunk.cells(name)
                assert len(values) == chunk.table.num_rows and all(0 <= place < len(values) for place in faults)
                for value in values:
                    _cell(value)
            for batch in chunk.table.to_batches():
                row_values(batch, 0)
        digest.hexdigest()
    except ParquillError:
        pass


@dataclass
class Lab:
    """What a look needs beside its data."""

    folder: Path
    runner: asyncio.Runner
    pool: DecodePool

    def arrow(self, array: pa.Array) -> None:
        """Read a column of Parquet that holds any bits for its type."""
        path = self.folder / "m.parquet"
        try:
            pq.write_table(pa.table({"x": array, "id": list("abcd")}), path)
        except (pa.ArrowException, ValueError, OverflowError):
            return  # no file of Parquet holds it
        _read_all(path)

    def text_file(self, one: tuple[str, bytes]) -> None:
        """Read JSON lines or CSV."""
        path = self.folder / f"m{one[0]}"
        path.write_bytes(one[1])
        _read_all(path)

    def names(self, steps: list[str]) -> None:
        """Read a folder whose files and folders have odd names."""
        folder = self.folder / "names"
        place = folder.joinpath(*[step.replace("/", "_") for step in steps])
        try:
            place.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"id": ["a"]}), str(place / "m.parquet"))
        except (OSError, ValueError, UnicodeError):
            return
        try:
            _read_all(folder)
        finally:
            (place / "m.parquet").unlink()

    def picture(self, data: bytes) -> None:
        """Open what may be a picture."""
        self._decode("picture", data, ErrorKind.IMAGE_INVALID, max_side=64)

    def document(self, data: bytes) -> None:
        """Draw and read what may be a PDF."""
        pages: dict[str, Any] = {"wanted": None, "max_pages": 2, "take": "first"}
        self._decode("pages", data, ErrorKind.DOCUMENT_INVALID, max_side=64, **pages)
        self._decode("text", data, ErrorKind.DOCUMENT_INVALID, **pages)

    def _decode(self, op: str, data: bytes, kind: ErrorKind, **options: Any) -> None:
        try:
            pieces = self.runner.run(self.pool.run(op, data, kind, **options))
        except RowError as fault:
            assert fault.kind in (kind, ErrorKind.IMAGE_REFUSED)
            assert fault.message.isascii()
        else:
            assert all(len(piece.payload) < 10**7 for piece in pieces)


@contextlib.contextmanager
def _lab(folder: Path) -> Iterator[Lab]:
    with asyncio.Runner() as runner:
        lab = Lab(folder, runner, DecodePool(workers=1))
        _answer('{"a" 1')  # loads what is loaded for the first damaged answer: no input's time
        yield lab
        runner.run(lab.pool.close())


def _damaged(files: list[bytes], *pieces: bytes) -> st.SearchStrategy[bytes]:
    """Files with some of their bytes replaced by others, cut, or repeated: the lengths within them are near right."""
    step = st.tuples(st.floats(0, 1), st.sampled_from(["flip", "put", "cut", "twice"]), st.sampled_from(pieces))

    def made(file: bytes, steps: list[tuple[float, str, bytes]]) -> bytes:
        for where, what, piece in steps:
            at = int(where * max(0, len(file) - 1))
            if what == "cut":
                file = file[: max(8, at)]
            elif what == "twice":
                file = file[:at] + file[at : at + 64] + file[at:]
            else:
                new = piece if what == "put" else bytes([file[at] ^ 0xFF])
                file = file[:at] + new + file[at + len(new) :]
        return file

    return st.builds(made, st.sampled_from(files), st.lists(step, max_size=5))


_SMALL = noise(24, 16)
_PICTURES = _damaged(
    [saved(_SMALL, kind) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF")]
    + [saved(noise(24, 16, "CMYK"), "JPEG"), saved(_SMALL.convert("P"), "PNG"), saved(noise(24, 16, "I;16"), "PNG")]
    + [data for name, (make, _) in HOSTILE.items() if "mega" not in name and len(data := make()) < 20_000],
    b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\0", b"IDAT", b"iCCP", b"\xff\xda",
    b"\xff\xe2\0\x10ICC_PROFILE", b"VP8X",
)  # fmt: skip
_PDFS = _damaged(
    [pdf(["one", "two"]), pdf([""]), pdf(["x"], box="0 0 1e9 1e9"), pdf(["x"], box="0 0 0 0"), pdf(["x"] * 9)],
    b"/Kids [4 0 R]", b"/Count -1", b"/Count 999999999", b"<<", b">>", b"endobj", b"stream", b"1e38", b"2 0 R",
    b"/Length 9",
    b"/Type /Pages", b"/Parent 4 0 R", b"0 0 -5 -5", b"\xff\xff", b"/FlateDecode", b"startxref\n0",
)  # fmt: skip

_REPLIES = st.tuples(
    st.sampled_from([200, 200, 302, 400, 402, 404, 408, 429, 500, 529, 999]),
    st.binary(max_size=40) | _JSON_TEXT | _ODD.map(json.dumps),
    st.sampled_from(["", "application/json", "text/event-stream", "text/html; charset=idna", "x; charset=utf-16"]),
)
_LONG_REPLIES = st.tuples(
    st.sampled_from([200, 500]), _long(_JSON_TEXT, "\\u0073", "[", "<"), st.sampled_from(["", "text/event-stream"])
)


@dataclass(frozen=True)
class Place:
    """One place where foreign data come in: what is made up for it, and what looks at it."""

    made: st.SearchStrategy[Any]
    look: Callable[[Lab, Any], None]
    long: st.SearchStrategy[Any] | None = None
    """What is made up besides by `make fuzz`."""
    examples: int = 60


def _alone(look: Callable[[Any], None]) -> Callable[[Lab, Any], None]:
    return lambda _, value: look(value)


_KINDS_OF_SIZE = st.sampled_from(
    ["bytes", "prompt", "template", "data:image/png;base64,", "data:image/png,", "data:image/png;base64,%41", ""]
)
_LARGE = st.tuples(_KINDS_OF_SIZE, st.sampled_from([10**6, 5 * 10**7, 3 * 10**8]))
"""Larger than any row needs, and small beside `MOST_MEMORY` while it is not copied."""

_PLACES = {
    "url": Place(_URLS, _alone(_url), _long(_URLS, "/", ":", "@")),
    "location": Place(_URLS, _alone(_location), _long(_URLS, "/", ":", "@")),
    "cell": Place(_cells(), _alone(_cell), _long(_URLS, ";", "%41")),
    "reply": Place(_REPLIES, _alone(_reply), _LONG_REPLIES),
    "headers": Place(st.dictionaries(st.sampled_from(_HEADER_NAMES), _HEADER_VALUES), _alone(_headers)),
    "answer": Place(
        _WORDS, _alone(_answer), _long(_WORDS, "# ", "// ", "/* ", "1}{", "{", "[", '{"a" ', "<think>", "</s>", ", ")
    ),
    "template": Place(_TEMPLATES, _alone(_template)),
    "job_file": Place(_WORDS, _alone(_job_file), _long(_WORDS, "[", "{", "- ", "? ")),
    "arrow": Place(_ARROW, Lab.arrow, examples=40),
    "text_file": Place(_TEXT_FILES, Lab.text_file, examples=30),
    "names": Place(_NAMES, Lab.names, examples=15),
    "picture": Place(_PICTURES, Lab.picture, examples=25),
    "document": Place(_PDFS, Lab.document, examples=25),
    "size": Place(st.tuples(_KINDS_OF_SIZE, st.integers(0, 10_000)), _alone(_size), _LARGE, examples=10),
}


def _bounded(look: Callable[[Lab, Any], None], lab: Lab, value: Any) -> None:
    """Look, and hold the time that it took against the value's length."""
    start = time.thread_time()
    look(lab, value)
    seconds, size = time.thread_time() - start, _length(value)
    assert seconds <= SECONDS + SECONDS_A_CHARACTER * size, f"{seconds:.1f} s for {size} characters"


def _length(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(max(0, part) if isinstance(part, int) else _length(part) for part in value)
    return len(value) if isinstance(value, (str, bytes)) else 0


def _how(examples: int, *phases: Phase) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=checks, phases=phases)


@pytest.mark.parametrize("name", _PLACES)
def test_foreign_data_becomes_a_value_or_a_row_s_error(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = _PLACES[name]
    seconds = float(request.config.getoption("--fuzz-seconds")) / len(_PLACES)
    if seconds:
        found = _look_for(name, seconds, int(request.config.getoption("--fuzz-seed")), tmp_path)
        assert found is None, found
        return
    with _lab(tmp_path) as lab:
        how = settings(_how(place.examples, Phase.generate, Phase.shrink), derandomize=True)  # the same in every run
        how(given(place.made)(lambda value: place.look(lab, value)))()


def _look_for(name: str, seconds: float, first_seed: int, folder: Path) -> str | None:
    """Look at inputs of a place for so long, in a process that is ended when one takes too much; say what was found."""
    place = _PLACES[name]
    made = place.made if place.long is None else place.made | place.long

    def look(watched: Watched) -> None:
        with _lab(folder) as lab:
            end, number = time.monotonic() + seconds, first_seed
            while number == first_seed or time.monotonic() < end:

                def one(value: Any) -> None:
                    watched.begin(f"{name}, --fuzz-seed {number}", value)  # noqa: B023 - used at once
                    _bounded(place.look, lab, value)

                seed(number)(_how(300, Phase.generate)(given(made)(one)))()  # what is slow is not made smaller
                number += 1

    return watch(look, seconds=LONGEST, bytes_grown=MOST_MEMORY)


@pytest.mark.parametrize("text", ["http://a.b[]@", "https://a.b[]@/x.png"])
def test_an_address_that_the_url_library_stumbles_over_is_its_row_s_error(text: str) -> None:
    with pytest.raises(RowError) as caught:
        check_url(text, _RULES)
    assert caught.value.kind is ErrorKind.BAD_ROW
    with pytest.raises(RowError):
        read_cell(text, _RULES)
    _location(text)


def test_whatever_a_library_raises_over_a_fetch_is_the_row_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stumble(*_: object, **__: object) -> None:
        raise IndexError("https://a.example/x?signature=secret")

    monkeypatch.setattr(aiohttp.ClientSession, "request", stumble)

    async def get() -> None:
        fetcher, lease = Fetcher(_RULES, SystemClock()), Any
        try:
            await fetcher.get("https://a.example/x?signature=secret", lease)  # type: ignore[arg-type]  # never held
        finally:
            await fetcher.close()

    with pytest.raises(RowError) as caught:
        asyncio.run(get())
    assert caught.value.kind is ErrorKind.IMAGE_UNREACHABLE
    assert caught.value.message == "https://a.example/x cannot be fetched: unexpected IndexError"
