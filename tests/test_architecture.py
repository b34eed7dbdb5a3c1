"""Checks the project's rules: import directions, one importer for each library, sizes, names.

Every rule is a pure function from sources to offences, so the rule is tested, too: after each
test that reads the code comes one that gives the rule a fault.
"""

from __future__ import annotations

import ast
import functools
import re
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "threads",
        "bootstrap clock cost_range days errors finish_reasons gc_tuning histogram money open_files"
        " signal_exit store_calls timeline",
        "job",
        "hints chat identity event_loop nightly_schedule storage templates text",
        "answers budget prices prompts redacted_settings replaced_answers replies tokens",
        "client documents fetch ledger limits results retry summary workspace",
        "booking images manifest notify run_state",
        "endpoint observers progress",
        "emulator timeline_sampling",
        "init_job planning run_dependencies",
        "calibration publishing",
        "asking",
        "feeding",
        "deduplication",
        "portions",
        "running",
        "estimation verification",
        "interruptible_call",
        "api doctor report terminal",
        "cli",
    )
)
"""Packages from the bottom up: a package imports only from layers below its own."""

IMPORTERS: Mapping[str, frozenset[str]] = {
    library: frozenset(packages.split())
    for library, packages in {
        "prefect": "flows tasks",
        "prefect_dask": "tasks",
        "prefect_ray": "tasks",
        "dask": "",
        "distributed": "",
        "ray": "",
        "tenacity": "retry",
        "aiohttp": "client fetch notify emulator",
        "pyarrow": "manifest results storage answers asking planning publishing running estimation verification report",
        "leather": "report",
        "sqlite3": "ledger",
        "yaml": "job",
        "PIL": "images emulator",
        "pypdfium2": "documents",
        "jinja2": "templates report",
        "jsonschema": "answers",
        "jsonschema_rs": "answers",
        "json_repair": "answers",
        "tokenizers": "tokens",
        "pandas": "summary report cli",
        "rich": "progress doctor estimation verification terminal cli",
        "typer": "cli",
    }.items()
}
"""The only packages that may import each library."""

TIMELESS = frozenset({"limits", "budget", "retry", "ledger", "summary"})
"""Packages that get the time as an argument (`parquill.clock.Clock`) and never look for themselves."""

MODULE_LINES = 350
FUNCTION_LINES = 60
MEDIAN_LINES = 12
VAGUE = re.compile(r"manager|handler|helper|processor|service|utils|\.values$", re.IGNORECASE)

Sources = Mapping[str, str]
"""Dotted module name -> its source."""


@functools.cache
def _tree(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def _nodes(source: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(source)))


def _none(faults: list[str]) -> None:
    """Fail with every offender on a line of its own."""
    if faults:
        pytest.fail("\n".join(["", *faults]), pytrace=False)


def _sources(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path.read_text(encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def engine() -> dict[str, str]:
    return _sources("parquill")


@pytest.fixture(scope="module")
def program() -> dict[str, str]:
    return _sources("parquill", "flows", "tasks")


def _package(module: str) -> str:
    """`parquill.limits.gate` -> limits, `flows.batch` -> flows, `parquill` -> parquill."""
    parts = module.split(".")
    return parts[1] if parts[0] == "parquill" and len(parts) > 1 else parts[0]


def _imports(source: str) -> Iterator[str]:
    """Every module that `source` names, wherever the import stands; `from a import b` gives a.b."""
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _level(package: str) -> int | None:
    return next((level for level, packages in enumerate(LAYERS) if package in packages), None)


def upward(sources: Sources) -> list[str]:
    """Return the imports that do not go down; `parquill` itself, the public list, is above all packages."""
    faults = []
    for module, source in sources.items():
        package = _package(module)
        if package in {"parquill", "__main__"} or module.endswith(".__main__"):
            continue
        for name in _imports(source):
            other = _package(name)
            if not name.startswith("parquill") or other == package:
                continue
            mine, theirs = _level(package), _level(other)
            if mine is None or theirs is None or theirs >= mine:
                faults.append(f"{module} imports {name}")
    return faults


def wrong_importers(sources: Sources) -> list[str]:
    """Return the imports of a library by a package that may not import it."""
    return [
        f"{module} imports {name}"
        for module, source in sources.items()
        for name in _imports(source)
        if _package(module) not in IMPORTERS.get(name.partition(".")[0], {_package(module)})
    ]


READ = {"environ", "environb", "getenv"}


def environment_readers(sources: Sources) -> list[str]:
    """Return the modules that read the environment."""
    names = {f"os.{name}" for name in READ}
    faults = []
    for module, source in sources.items():
        used = {ast.unparse(node) for node in _nodes(source) if isinstance(node, ast.Attribute) and node.attr in READ}
        if names & (used | set(_imports(source))):
            faults.append(module)
    return faults


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(source: str) -> Iterator[Function]:
    for node in _nodes(source):
        if isinstance(node, Function):
            yield node


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def too_long(sources: Sources) -> list[str]:
    """Return the modules and functions that do not fit."""
    faults = []
    for module, source in sources.items():
        lines = len(source.splitlines())
        if lines > MODULE_LINES:
            faults.append(f"{module}: {lines} lines")
        faults += [
            f"{module}.{function.name}: {_length(function)} lines"
            for function in _functions(source)
            if _length(function) > FUNCTION_LINES
        ]
    return faults


def vague_names(sources: Sources) -> list[str]:
    """Return modules, classes and functions named after nothing in particular."""
    faults = [module for module in sources if VAGUE.search(module)]
    for module, source in sources.items():
        definitions = [node for node in _nodes(source) if isinstance(node, Function | ast.ClassDef)]
        faults += [f"{module}.{node.name}" for node in definitions if VAGUE.search(node.name)]
    return faults


def sleepers(sources: Sources) -> list[str]:
    """Return the calls that wait for real time; `asyncio.sleep(0)` only lets others run."""
    faults = []
    for module, source in sources.items():
        for node in _nodes(source):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "sleep":
                continue
            if ast.unparse(node.func) not in {"time.sleep", "asyncio.sleep"}:
                continue
            if [ast.unparse(argument) for argument in node.args] != ["0"]:
                faults.append(f"{module}, line {node.lineno}")
    return faults


TASK_MAKERS = {"create_task", "ensure_future", "TaskGroup"}


def task_makers(sources: Sources) -> list[str]:
    """Return the calls that make a task outside the one module whose tasks are all watched."""
    return [
        f"{module}, line {node.lineno}: {ast.unparse(node.func)}"
        for module, source in sources.items()
        if module != "parquill.event_loop"
        for node in _nodes(source)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in TASK_MAKERS
    ]


def test_every_package_has_a_layer(engine: Sources) -> None:
    known = frozenset().union(*LAYERS)
    packages = {_package(module) for module in engine} - {"parquill", "__main__"}
    assert not packages - known, "add these packages to LAYERS"


def test_no_package_has_two_layers() -> None:
    assert sum(map(len, LAYERS)) == len(frozenset().union(*LAYERS))


def test_packages_import_only_from_layers_below(engine: Sources) -> None:
    _none(upward(engine))


def test_an_import_that_goes_up_or_sideways_is_found() -> None:
    assert upward({"parquill.chat": "from parquill.running import run_job"})
    assert upward({"parquill.ledger": "def f():\n    import parquill.results"})
    assert upward({"parquill.ledger.groups": "from parquill import results"})
    assert upward({"parquill.attic": "from parquill.errors import Stop"})
    assert not upward({"parquill.ledger.groups": "from parquill.ledger.rows import Row\nimport parquill.errors"})


def test_the_engine_imports_nothing_that_is_built_on_it(engine: Sources) -> None:
    above = {"flows", "tasks", "tests", "benchmarks"}
    _none([f"{m}: {n}" for m, source in engine.items() for n in _imports(source) if n.split(".")[0] in above])


def past_facades(sources: Sources) -> list[str]:
    """Return imports of a module of another package, where the package's facade is what others import."""
    faults = []
    for module, source in sources.items():
        for node in ast.walk(_tree(source)):
            if isinstance(node, ast.ImportFrom) and re.match(r"parquill\.\w+\.", node.module or ""):
                owner = ".".join(str(node.module).split(".")[:2])
                if module != owner and not module.startswith(f"{owner}."):
                    faults.append(f"{module} imports {node.module}")
    return faults


def _needs(sources: Sources) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports when it is loaded; a facade needs what it lists."""
    needs: dict[str, set[str]] = {}
    for module, source in sources.items():
        found: set[str] = set()
        for node in _tree(source).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found.add(inner if inner in sources else node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        needs[module] = found & sources.keys() - {module}
    return needs


def circles(sources: Sources) -> list[str]:
    """Return modules that lie on a circle of imports."""
    needs = _needs(sources)
    while leaves := {module for module, found in needs.items() if not found & needs.keys()}:
        needs = {module: found for module, found in needs.items() if module not in leaves}
    while free := needs.keys() - set().union(*needs.values()):
        needs = {module: found for module, found in needs.items() if module not in free}
    return sorted(needs)


def test_a_package_is_imported_by_its_facade(program: Sources) -> None:
    _none(past_facades(program))


def test_an_import_past_a_facade_is_found() -> None:
    assert past_facades({"parquill.report.m": "from parquill.images.loader import ImageLoader"})
    assert not past_facades({"parquill.images.m": "from parquill.images.loader import ImageLoader"})


def test_no_modules_import_each_other_in_a_circle(program: Sources) -> None:
    _none(circles(program))


def test_a_circle_of_imports_is_found() -> None:
    found = circles({"a.b": "from a.c import x", "a.c": "from a.d import y", "a.d": "from a.b import z", "a.e": ""})
    assert found == ["a.b", "a.c", "a.d"]


def test_tasks_do_not_import_flows() -> None:
    _none([f"{m}: {n}" for m, s in _sources("tasks").items() for n in _imports(s) if n.split(".")[0] == "flows"])


def test_a_library_is_imported_by_its_own_packages_only(program: Sources) -> None:
    _none(wrong_importers(program))


def test_an_import_by_another_package_is_found() -> None:
    assert wrong_importers({"parquill.running": "import aiohttp"})
    assert wrong_importers({"parquill.images.sandbox.child": "from pyarrow.parquet import read_table"})
    assert wrong_importers({"flows.batch": "def f():\n    import tenacity"})
    assert not wrong_importers({"flows.batch": "from prefect import flow", "parquill.fetch.session": "import aiohttp"})


def test_only_the_job_reads_the_environment(program: Sources) -> None:
    """`bootstrap` writes there what is not for Parquill."""
    others = {module: source for module, source in program.items() if _package(module) not in {"job", "bootstrap"}}
    _none(environment_readers(others))


def test_a_reader_of_the_environment_is_found() -> None:
    assert environment_readers({"parquill.cli": "import os\nkey = os.environ['KEY']"})
    assert environment_readers({"parquill.cli": "from os import getenv"})
    assert not environment_readers({"parquill.job": "def load(environ): return environ"})


def test_packages_about_money_and_waiting_get_the_time_as_an_argument(engine: Sources) -> None:
    timeless = {module: source for module, source in engine.items() if _package(module) in TIMELESS}
    _none([f"{m}: {n}" for m, source in timeless.items() for n in _imports(source) if n.split(".")[0] == "time"])


def test_modules_and_functions_fit(program: Sources) -> None:
    _none(too_long(program))


def test_a_module_and_a_function_that_do_not_fit_are_found() -> None:
    body = "\n".join("    x = 1" for _ in range(FUNCTION_LINES))
    assert too_long({"parquill.m": f"def f():\n{body}"})
    assert too_long({"parquill.m": "\n" * (MODULE_LINES + 1)})


def test_half_of_all_functions_are_short(program: Sources) -> None:
    lengths = [_length(function) for source in program.values() for function in _functions(source)]
    assert statistics.median(lengths) < MEDIAN_LINES


def test_names_say_what_a_thing_is(program: Sources) -> None:
    _none(vague_names(program))


def test_a_vague_name_is_found() -> None:
    assert vague_names({"parquill.m": "class RowManager: ..."})
    assert vague_names({"parquill.utils": ""})


def test_every_module_says_what_it_is_for(program: Sources) -> None:
    bare = [module for module, source in program.items() if source.strip() and not ast.get_docstring(_tree(source))]
    _none(bare)


def missing_modules(sources: Sources) -> list[str]:
    """Return files that a docstring names and that do not exist."""
    files = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    return [
        f"{module}: {name}"
        for module, source in sources.items()
        for node in _nodes(source)
        if isinstance(node, Function | ast.ClassDef | ast.Module)
        for name in re.findall(r"\b\w+\.py\b", ast.get_docstring(node) or "")
        if name not in files
    ]


def test_docstrings_name_modules_that_exist(program: Sources) -> None:
    _none(missing_modules(program))


def test_a_docstring_that_names_no_module_is_found() -> None:
    assert missing_modules({"parquill.m": '"""See `no_such_module.py`."""'})


def test_no_test_sleeps_and_none_replaces_our_own_code() -> None:
    tests = _sources("tests")
    _none(sleepers(tests))
    _none([m for m, source in tests.items() for n in _imports(source) if n.startswith(("unittest.mock", "mock."))])


def test_a_sleeper_is_found() -> None:
    assert sleepers({"tests.test_m": "import time\ntime.sleep(0.1)"})
    assert not sleepers({"tests.test_m": "await asyncio.sleep(0)\nawait clock.sleep(5)"})


def test_tasks_are_made_in_one_module(program: Sources) -> None:
    """A task made elsewhere lost its exception, and with it half the attempts of a run."""
    _none(task_makers(program))


def test_a_task_made_elsewhere_is_found() -> None:
    assert task_makers({"parquill.running": "import asyncio\nasyncio.create_task(work())"})
    assert task_makers({"flows.batch": "async with TaskGroup() as group:\n    group.create_task(work())"})
    assert not task_makers(
        {"parquill.event_loop": "asyncio.create_task(work())", "parquill.running": "tasks.start(work())"}
    )


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "parquill" / "py.typed").is_file()


TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".lock", ".html", ".txt", ".cfg", ""}
BUILT = {"out", "build", "dist", "node_modules", "__pycache__"}
FOREIGN = ("../" + "shared", "/work" + "/", "pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js")
"""What a clone elsewhere cannot follow: places beside the repository, download addresses."""


def _texts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != ".ci"
        if hidden or path.name in BUILT or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _texts(path)
        elif path.suffix in TEXTS:
            yield path


def test_nothing_points_outside_the_repository() -> None:
    faults = []
    for path in _texts(ROOT):
        text = path.read_text(encoding="utf-8", errors="replace")
        faults += [f"{path.relative_to(ROOT)}: {place}" for place in FOREIGN if place in text]
    _none(faults)
