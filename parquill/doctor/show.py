"""The diagnosis as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parquill.doctor.diagnosis import REFUSED_PICTURES, Diagnosis, Health
from parquill.money import dollars
from parquill.text import printable

_STYLES = {Health.WORKS: "green", Health.MIND: "yellow", Health.FAILS: "bold red", Health.UNKNOWN: "dim"}


def render_diagnoses(diagnoses: Sequence[Diagnosis], console: Console) -> int:
    """Print what was found at each endpoint, and whether the job can run; return the exit status.

    It can run while one of its endpoints answers.
    """
    for one in diagnoses:
        render_diagnosis(one, console)
    well = [one for one in diagnoses if one.can_run]
    if len(diagnoses) > 1:
        verdict = f"{len(well)} of {len(diagnoses)} endpoints work: the job {'can' if well else 'cannot'} run"
        console.print(Text(verdict, _verdict_style(len(well), len(diagnoses))))
    return (well or diagnoses)[0].exit_status


def _verdict_style(well: int, of: int) -> str:
    return "green" if well == of else "yellow" if well else "bold red"


def render_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Print what was found at one endpoint, what it cost, and whether the job can run there."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column(Text(f"at {printable(diagnosis.base_url)}"), overflow="fold")
    for finding in diagnosis.findings:
        health = Text(finding.health.value, style=_STYLES[finding.health])
        table.add_row(finding.subject, health, Text(printable(finding.text)))
    console.print(table)
    cost = "cost unknown" if diagnosis.cost_pico is None else dollars(diagnosis.cost_pico)
    asked = f"{diagnosis.requests} request{'' if diagnosis.requests == 1 else 's'} sent ({cost}); nothing was written"
    console.print(Text(asked, style="dim"))
    refused = diagnosis.of(REFUSED_PICTURES)
    if not diagnosis.can_run:
        verdict = Text("the job cannot run as it is", "bold red")
    elif refused is not None:
        verdict = Text(f"the job can run, but {printable(refused.text.partition(':')[0])}", "yellow")
    else:
        verdict = Text("the job can run", "green")
    console.print(verdict)
