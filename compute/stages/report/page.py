"""An HTML page of sections, each a heading, a sentence or two and a picture; and numbers with what they should be."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.7rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } img { width: 100% }
p { max-width: 50rem } table { border-collapse: collapse }
td, th { padding: .15rem 1.2rem .15rem 0; text-align: left; font-weight: normal; border-bottom: 1px solid #e4e4e4 }
td:nth-child(2) { text-align: right } .missed { color: #c0392b }
.rows { font-size: .85rem; display: block; overflow-x: auto } .rows th { vertical-align: bottom; font-weight: bold }
.rows td { white-space: nowrap; padding-right: .9rem; text-align: right }
.rows td.text { white-space: normal; min-width: 7rem; text-align: left }
"""
_NUMBER = re.compile(r"[-+0-9.,]+")


class Section(NamedTuple):
    """One part of a page; `picture` is the name of a PNG file beside it."""

    title: str
    text: str
    picture: str = ""
    body: str = ""


def page(title: str, sections: Sequence[Section]) -> str:
    """The page."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{escape(title)}</h1>")
    for each in sections:
        parts.append(f"<h2>{escape(each.title)}</h2><p>{escape(each.text)}</p>{each.body}")
        if each.picture:
            parts.append(f"<img src='{escape(each.picture)}' alt='{escape(each.title)}'>")
    return "\n".join(parts) + "\n</html>\n"


def number_table(numbers: Mapping[str, float], bars: Mapping[str, tuple[float, float]]) -> str:
    """Rows of numbers; those with a bar say which, and whether it is met."""
    rows = []
    for name, value in numbers.items():
        told = f"<th>{escape(name)}</th><td>{value:,.4g}</td>" if isinstance(value, float) else (
            f"<th>{escape(name)}</th><td>{value:,}</td>")  # fmt: skip
        rows.append(f"<tr>{told}<td>{_verdict(value, bars[name]) if name in bars else ''}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def row_table(rows: Sequence[Mapping[str, Any]], links: Mapping[str, str] = MappingProxyType({})) -> str:
    """Rows under the names of their values: text to the left, numbers to the right, None left empty.

    Texts that are keys of `links` lead there.
    """
    if not rows:
        return ""
    names = list(rows[0])
    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>"]
    lines += [f"<tr>{''.join(_cell(row.get(name), links) for name in names)}</tr>" for row in rows]
    return f"<table class=rows>{''.join(lines)}</table>"


def _cell(value: Any, links: Mapping[str, str]) -> str:
    if value is None:
        return "<td></td>"
    if not isinstance(value, str):
        return f"<td>{value:,}</td>"
    text = f"<a href='{escape(links[value])}'>{escape(value)}</a>" if value in links else escape(value)
    return f"<td>{text}</td>" if _NUMBER.fullmatch(value) else f"<td class=text>{text}</td>"


def met(value: float, bar: tuple[float, float]) -> bool:
    """Whether a value lies within its bar."""
    return bar[0] <= value <= bar[1]


def _verdict(value: float, bar: tuple[float, float]) -> str:
    said = f"expected {bar[0]:g} to {bar[1]:g}"
    return f"{said}: met" if met(value, bar) else f"<span class=missed>{said}: not met</span>"
