"""A report's page taken apart with the standard library's parser, for tests."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from parquill.report import Asked, build_report
from parquill.storage import Storage
from parquill.summary import RunRecord


class Page(HTMLParser):
    """Elements with their attributes in order, and the texts between them."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.raw = raw.decode("utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(self.raw)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All texts, white space made even; the style and the script are texts too."""
        return " ".join("\n".join(self.texts).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name that has these values."""
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]


def build(output: Storage, folder: Path, *records: RunRecord, job_name: str = "captions", **asked: Any) -> bytes:
    """Write the records where a run would, and build the report."""
    workspace = Storage.at(folder)
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for record in records:
        raw = record.dump()
        workspace.write_bytes(f"runs/{record.summary.run_id}.json", raw)
    return asyncio.run(build_report(output, workspace, job_name=job_name, asked=Asked(**asked)))
