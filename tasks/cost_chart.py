"""Draws a run's cost over time as a small self-contained SVG."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from parquill.money import dollars
from parquill.text import count, duration
from parquill.timeline import TimelineSample

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 240, 16, 28


def cost_curve(samples: Sequence[TimelineSample]) -> str | None:
    """Return the curve as SVG, None where there is no line to draw."""
    if len(samples) < 2 or samples[-1].t <= 0 or samples[-1].cost_pico <= 0:
        return None
    last = samples[-1]
    points = " ".join(f"{_x(one.t / last.t):.1f},{_y(one.cost_pico / last.cost_pico):.1f}" for one in samples)
    caption = f"{dollars(last.cost_pico)} for {count(last.rows)} rows in {duration(last.t)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<line x1="{LEFT}" y1="{_y(0):.1f}" x2="{WIDTH - LEFT}" y2="{_y(0):.1f}" stroke="#b0b7c3"/>'
        f'<polyline points="{points}" fill="none" stroke="#2563eb" stroke-width="2"/>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}" font-size="13" fill="#374151">{caption}</text></svg>'
    )


def as_address(svg: str) -> str:
    """Return a picture as an address that carries it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - 2 * LEFT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - LEFT)
