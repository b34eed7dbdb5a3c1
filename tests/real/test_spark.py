"""Spark reads the output folder, nested columns by their paths."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kit import rehearsal, rows
from tests.real import software
from tests.real.conftest import or_skip

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("read_with_spark.py")
JAVA = 17
"""The oldest that Spark 4 runs on."""
TAG = {"type": "object", "properties": {"name": {"enum": ["old", "new"]}, "weight": {"type": "number"}}}
MAKER = {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "maker": MAKER,
        "tags": {"type": "array", "items": {**TAG, "required": ["name", "weight"]}, "minItems": 1},
    },
    "required": ["caption", "maker", "tags"],
}


@pytest.fixture(scope="session")
def python() -> Path:
    java = shutil.which("java")
    said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr if java else ""
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        pytest.skip(f"cannot be set up here: Spark needs Java {JAVA} or newer (Debian: openjdk-17-jre-headless)")
    with or_skip():
        return software.environment("spark", software.SPARK) / "python"


async def read(python: Path, folder: Path) -> dict[str, Any]:
    environ = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "TZ": "UTC", "PYSPARK_PYTHON": str(python)}
    process = await asyncio.create_subprocess_exec(
        *(python, SCRIPT, folder),
        env=environ,
        cwd=folder.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-3000:]
    found: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return found


async def test_spark_reads_nested_answers_lists_money_and_times(python: Path, tmp_path: Path) -> None:
    sections = {"output": {"schema": SCHEMA, "rows_per_part": 4}}
    async with rehearsal(tmp_path, sections=sections) as run:
        run.write(rows(10))
        assert (await run.run()).rows.ok == 10
        found = await read(python, run.output)
        answers = run.column("answer")
        tags = [tag for answer in answers for tag in answer["tags"]]
        assert (found["rows"], found["parts"], found["parts_there"]) == (10, 3, 3)
        assert found["types"]["answer"].startswith(
            "struct<caption:string,maker:struct<country:string>,tags:array<struct<"
        )
        assert found["types"]["cost_usd"] == "decimal(18,12)"
        assert found["types"]["answer_repairs"] == "array<string>"
        wanted = [[a["caption"], a["maker"]["country"], t["name"], t["weight"]] for a in answers for t in a["tags"]]
        assert found["exploded"] == wanted
        assert found["by_tag"] == sorted(map(list, Counter(tag["name"] for tag in tags).items()))
        assert Decimal(found["cost"]) == sum(run.column("cost_usd"))
        assert found["finished"] == [at.replace(tzinfo=None).isoformat() for at in run.column("finished_at")]
        assert (found["unanswered"], found["repaired"]) == (0, sum(map(bool, run.column("answer_repairs"))))
