"""How a distortion was solved for, in tables; and the table of all that a catalog has."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from compute.stages.report.page import Section, row_table

__all__ = ["distortions_section", "solution_sections"]

_TERMS = 12  # least known, that are listed
_FREE = (
    "These terms are practically undetermined by the exposures, and what the correction has of them is arbitrary: a "
    "reference catalog, or exposures at other rolls, would determine them."
)
_SCATTER = (
    "Scatter per axis, from the median deviation. Reserved stars had no part in the solution: where theirs is larger, "
    "the solution follows the noise of the others."
)
_SUMMARY = (
    "Scatter of single positions about the averages of exposures, that of reserved stars, and what exposures left "
    "undetermined."
)
_KNOWN = (
    "Standard errors of large-scale terms at the detector's edge, the least known first; u and v run along x and y "
    "from edge to edge, as Legendre polynomials."
)
_TOLD = {  # of a solution: what it is called, factor
    "method": ("method", None),
    "exposures": ("exposures", None),
    "stars": ("stars", None),
    "known": ("stars of the reference catalog, reserved ones too", None),
    "positions": ("positions", None),
    "rounds": ("rounds", None),
    "change": ("last change [mpix]", 1e3),
    "shared": ("filters that share its fine structure", None),
    "scatter_before": ("uncorrected scatter about averages [mpix]", 1e3),
    "scatter": ("scatter about averages [mpix]", 1e3),
    "reserved_scatter": ("of reserved stars [mpix]", 1e3),
    "reference_scatter": ("scatter about the catalog [mpix]", 1e3),
    "reference_reserved_scatter": ("of reserved stars, about the catalog [mpix]", 1e3),
}
_INDEX = {"scatter_before": "before [mpix]", "scatter": "after [mpix]", "reserved_scatter": "reserved [mpix]"}


def solution_sections(told: Mapping[str, Any]) -> list[Section]:
    """What the manifest tells of a solution, undetermined terms first; nothing of a correction from elsewhere."""
    if not told:
        return []
    sections = []
    if free := told.get("free"):
        body = f"<p class=missed>{escape(', '.join(free))}</p>"
        sections.append(Section("Undetermined terms", _FREE, body=body))
    lines = [{"of the solution": what, "": _value(told[name], times)}
             for name, (what, times) in _TOLD.items() if told.get(name) is not None]  # fmt: skip
    sections.append(Section("The solution", _SCATTER, body=row_table(lines)))
    terms = sorted(told.get("terms", {}).items(), key=lambda term: -term[1])[:_TERMS]
    if terms:
        rows = [{"term": name, "error [mpix]": f"{1e3 * error:.3g}"} for name, error in terms]
        sections.append(Section("How well its terms are known", _KNOWN, body=row_table(rows)))
    return sections


def _value(value: Any, times: float | None) -> Any:
    return value if times is None else f"{times * value:.4g}"


def distortions_section(records: Mapping[str, Mapping[str, Any]], folder: str) -> list[Section]:
    """The table of a catalog's distortions, which leads to their pages in `folder`; nothing where there are none."""
    if not records:
        return []
    links = {record["title"]: f"{folder}/{name}.html" for name, record in records.items()}
    rows = [_row(record) for record in records.values() if "solution" in record]
    whole = [record["title"] for record in records.values() if "solution" not in record]
    return [Section("Distortions", _SUMMARY, body=row_table(rows, links) + _linked(whole, links))]


def _linked(titles: Sequence[str], links: Mapping[str, str]) -> str:
    """The way to pages of all filters of a detector."""
    return "".join(f"<p><a href='{escape(links[title])}'>{escape(title)}</a></p>" for title in titles)


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    told = record["solution"]
    numbers = {name: None if told.get(name) is None else f"{1e3 * told[name]:.2f}" for name in _INDEX}
    return {
        "distortion": record["title"],
        "method": told.get("method", "from elsewhere"),
        "exposures": told.get("exposures"),
        "stars": told.get("stars"),
        **{title: numbers[name] for name, title in _INDEX.items()},
        "undetermined": ", ".join(told.get("free", ())),
    }
