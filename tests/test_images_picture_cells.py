"""Manifest cells as picture values, and what stands for them in a fingerprint."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from parquill.errors import ErrorKind, RowError
from parquill.fetch import UrlRules
from parquill.images.picture_cells import (
    BytesPicture,
    DataPicture,
    PathPicture,
    PictureValue,
    StoredPicture,
    WebPicture,
    decode_data_url,
    identity,
    is_path,
    read_cell,
)
from tests.hostile_files import HOSTILE, PNG

PDF = b"%PDF-1.7\n..."


def read(cell: Any) -> tuple[PictureValue, ...]:
    return read_cell(cell, UrlRules())


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (None, ()),
        ("", ()),
        ("  ", ()),
        ([], ()),
        ([None, ""], ()),
        ({"bytes": None, "path": None}, ()),
        ("https://a.example/x.jpg", (WebPicture("https://a.example/x.jpg"),)),
        ("HTTPS://A.example/x.jpg?q=1#f", (WebPicture("HTTPS://A.example/x.jpg?q=1#f"),)),
        (" http://a.example/x.jpg\n", (WebPicture("http://a.example/x.jpg"),)),
        ("pictures/a.jpg", (PathPicture("pictures/a.jpg"),)),
        ("./9:16.jpg", (PathPicture("./9:16.jpg"),)),
        ("2026-01-01T10:00.jpg", (PathPicture("2026-01-01T10:00.jpg"),)),
        ("/data/a.jpg", (PathPicture("/data/a.jpg"),)),
        ("//host/a.jpg", (PathPicture("//host/a.jpg"),)),
        ("data:image/png;base64,AAAA", (DataPicture("data:image/png;base64,AAAA"),)),
        ("s3://bucket/a/b c.jpg", (StoredPicture("s3://bucket/a/b c.jpg"),)),
        ("gs://bucket/a.jpg", (StoredPicture("gs://bucket/a.jpg"),)),
        ("az://account@container/a.jpg", (StoredPicture("az://account@container/a.jpg"),)),
        (PNG, (BytesPicture(PNG),)),
        (bytearray(PNG), (BytesPicture(PNG),)),
        ({"bytes": PNG, "path": "a.png"}, (BytesPicture(PNG),)),
        ({"bytes": None, "path": "a.png"}, (PathPicture("a.png"),)),
        ({"path": "https://a.example/x.png"}, (WebPicture("https://a.example/x.png"),)),
        (
            ["b.jpg", None, PNG, {"bytes": None, "path": "a.jpg"}],
            (PathPicture("b.jpg"), BytesPicture(PNG), PathPicture("a.jpg")),
        ),
        (("b.jpg", "a.jpg"), (PathPicture("b.jpg"), PathPicture("a.jpg"))),
    ],
)
def test_every_form_of_a_cell_is_read_in_order(cell: Any, values: tuple[PictureValue, ...]) -> None:
    assert read(cell) == values


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (7, ErrorKind.BAD_ROW),
        (1.5, ErrorKind.BAD_ROW),
        (True, ErrorKind.BAD_ROW),
        ({"url": "x"}, ErrorKind.BAD_ROW),
        ({"bytes": PNG, "path": "a", "more": 1}, ErrorKind.BAD_ROW),
        ([["a.jpg"]], ErrorKind.BAD_ROW),
        ("data:nonsense", ErrorKind.BAD_ROW),
        ("data:image/png;base64;AAAA", ErrorKind.BAD_ROW),
        ("https://", ErrorKind.BAD_ROW),
        ("file:///etc/passwd", ErrorKind.IMAGE_REFUSED),
        ("javascript:alert(1)", ErrorKind.IMAGE_REFUSED),
        ("photo:1.jpg", ErrorKind.IMAGE_REFUSED),
        ("a\0b.jpg", ErrorKind.IMAGE_REFUSED),
        ("http://127.0.0.1/x.jpg", ErrorKind.IMAGE_REFUSED),
        ("s3://bucket", ErrorKind.IMAGE_REFUSED),
        ("s3://bucket/../other/x", ErrorKind.IMAGE_REFUSED),
        ("s3://key:secret@bucket/x", ErrorKind.IMAGE_REFUSED),
        ("s3://bucket/x?endpoint_override=127.0.0.1:9000&scheme=http", ErrorKind.IMAGE_REFUSED),
        ("s3://127.0.0.1:9000/bucket/x", ErrorKind.IMAGE_REFUSED),
        ("gs://bucket/x?json_endpoint=127.0.0.1", ErrorKind.IMAGE_REFUSED),
        ("hdfs://namenode/x", ErrorKind.IMAGE_REFUSED),
        (b"", ErrorKind.IMAGE_INVALID),
        (b"<svg/>", ErrorKind.IMAGE_INVALID),
        (PDF, ErrorKind.IMAGE_INVALID),
    ],
)
def test_what_can_never_be_a_picture_is_a_fault_at_once(cell: Any, kind: ErrorKind) -> None:
    with pytest.raises(RowError) as fault:
        read(cell)
    assert fault.value.kind is kind
    assert "secret" not in fault.value.message


def test_messages_say_what_the_bytes_are() -> None:
    for name, words in (("an HTML page", "HTML"), ("an SVG", "SVG"), ("a PDF", "document_columns"), ("a HEIC", "HEIC")):
        with pytest.raises(RowError, match=words):
            read(HOSTILE[name][0]())


def test_a_document_cell_takes_pdfs_in_the_same_forms() -> None:
    assert read_cell([PDF, "a.pdf"], UrlRules(), "document") == (BytesPicture(PDF), PathPicture("a.pdf"))
    with pytest.raises(RowError, match="a PNG picture") as fault:
        read_cell(PNG, UrlRules(), "document")
    assert fault.value.kind is ErrorKind.DOCUMENT_INVALID


@given(st.binary(max_size=200))
def test_data_urls_are_decoded_in_every_usual_spelling(data: bytes) -> None:
    plain = base64.b64encode(data).decode()
    for body in (
        plain,
        plain.rstrip("="),
        base64.urlsafe_b64encode(data).decode(),
        "\n".join(plain),
        plain.replace("=", "%3D"),
    ):
        assert decode_data_url(f"data:image/png;base64,{body}") == data
    assert decode_data_url("data:;charset=utf-8," + "".join(f"%{byte:02x}" for byte in data)) == data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_the_bare_base64_of_a_picture_is_the_picture_of_its_data_url(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(file, kind)
    data = file.getvalue()
    packed = base64.b64encode(data).decode()
    url = f"data:image/{kind.lower()};base64,{packed}"
    for text in (packed, packed.rstrip("="), f"\n{packed}\n", base64.encodebytes(data).decode()):
        (value,) = read(text)
        assert isinstance(value, DataPicture)
        assert decode_data_url(value.url) == data
        assert not is_path(text)
    assert read(packed) == read(url)
    (safe,) = read([base64.urlsafe_b64encode(data).decode()])
    assert isinstance(safe, DataPicture)
    assert decode_data_url(safe.url) == data


def test_the_bare_base64_of_a_pdf_is_a_document() -> None:
    data = PDF + bytes(40)
    (value,) = read_cell(base64.b64encode(data).decode(), UrlRules(), "document")
    assert isinstance(value, DataPicture)
    assert decode_data_url(value.url) == data


@pytest.mark.parametrize(
    "path",
    [
        "/9j/a/photo",
        "/9j/" + "a" * 80 + ".jpg",
        "iVBORw0KGgo",
        "pictures/" + "a" * 80,
        base64.b64encode(b"some text of a writer" * 9).decode(),
        "R0lGOD" + "/folder" * 12 + "/a picture (1)",
    ],
)
def test_what_only_begins_alike_stays_a_path(path: str) -> None:
    assert read(path) == (PathPicture(path),)
    assert is_path(path)


def test_the_bare_base64_of_a_picture_has_the_bound_of_a_data_url() -> None:
    text = base64.b64encode(PNG + bytes(9_000)).decode()
    with pytest.raises(RowError) as fault:
        read_cell(text, UrlRules(file_bytes=8_000))
    with pytest.raises(RowError) as of_url:
        read_cell(f"data:image/png;base64,{text}", UrlRules(file_bytes=8_000))
    assert (fault.value.kind, fault.value.message) == (of_url.value.kind, of_url.value.message)


def test_a_data_url_of_something_else_is_invalid() -> None:
    for body in ("AAA!", "Ä", "A"):
        with pytest.raises(RowError) as fault:
            decode_data_url(f"data:image/png;base64,{body}")
        assert fault.value.kind is ErrorKind.IMAGE_INVALID


def _no_file(path: str) -> tuple[int, int]:
    raise FileNotFoundError(path)


VALUES = st.one_of(
    st.text(max_size=20).map(WebPicture),
    st.text(max_size=20).map(DataPicture),
    st.text(max_size=20).map(StoredPicture),
    st.text(max_size=20).map(PathPicture),
    st.binary(max_size=20).map(BytesPicture),
)


@given(VALUES, VALUES)
def test_two_values_have_one_identity_only_if_they_are_equal(one: PictureValue, other: PictureValue) -> None:
    first, second = identity(one, lambda path: (1, 2)), identity(other, lambda path: (1, 2))
    assert len(first) == 16
    assert (first == second) == (one == other)


def test_the_identity_of_a_file_is_its_path_size_and_time() -> None:
    seen = {identity(PathPicture("a"), lambda path, s=s, t=t: (s, t)) for s in (1, 2) for t in (1, 2)}
    seen |= {identity(PathPicture("b"), lambda path: (1, 1)), identity(PathPicture("a"), _no_file)}
    assert len(seen) == 6
