"""`parquill` and `python -m parquill`: sets environment defaults before any import, then runs the command line."""

from __future__ import annotations

from parquill.bootstrap import open_standard_files, set_environment_defaults
from parquill.gc_tuning import load_undisturbed


def main() -> None:
    """Run the command line; what the script `parquill` calls."""
    open_standard_files()
    load_undisturbed()
    # Pydantic reads every installed package's metadata for plugins: a tenth of a run's start, and nothing here has one.
    set_environment_defaults({"PYDANTIC_DISABLE_PLUGINS": "__all__"})
    from parquill.cli import main as command  # noqa: PLC0415 - defaults first, imports then

    command()


if __name__ == "__main__":
    main()
