"""The linked view: what is embedded comes out whole, and what is selected in one panel is selected in all.

The page is driven in a headless Chromium, by the events that mouse and keys give; without one those tests are skipped.
"""

import base64
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compute.stages.report.linked import View, linked_page, motion_views
from compute.stages.report.motion_rows import choose_filters, moving_rows
from tests.stages import moving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
VIEWS = (
    View("Magnitudes", "colour", "mag", "colour", "mag", (-0.5, 1.5, -8.0, -1.0)),
    View("Motions", "pmra", "pmdec", "pmra", "pmdec", (2.3, 1.5, 0.8, 0.0)),  # some stars are out of sight
)
ALONE = {"pmra": (1.55, 2.25), "pmdec": (0.75, 0.75)}  # the last two stars; the first of them in the box drawn below
BOX = ((0.05, 0.05), (0.42, 0.55))  # corners of a box in a panel, of its width and height
# Without a screen animation frames are rare.
TIMED = "<script>window.requestAnimationFrame = (draw) => setTimeout(draw, 10);</script>"
STEPS = Path(__file__).with_name("linked_steps.js")


def stars(n=600, seed=4) -> pd.DataFrame:
    """Stars whose values are those of single precision, two of them far from all others in the second panel."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({
        "star_id": 2**53 + 1 + 2 * np.arange(n), "colour": rng.uniform(-0.4, 1.4, n), "mag": rng.uniform(-7.5, -1.5, n),
        "pmra": rng.normal(1.9, 0.16, n), "pmdec": rng.normal(0.4, 0.16, n),
    })  # fmt: skip
    rows.loc[n - 2 :, "pmra"], rows.loc[n - 2 :, "pmdec"] = ALONE["pmra"], ALONE["pmdec"]
    rows.loc[n - 2 :, ["colour", "mag"]] = [[0.0, -6.0], [1.2, -3.0]]
    rows.loc[5, "colour"] = np.nan
    return rows.astype(dict.fromkeys(("colour", "mag", "pmra", "pmdec"), np.float32))


def groups(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {"bright </script>": (rows["mag"] < -5).to_numpy()}


def payload(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def corners(view: View, box) -> np.ndarray:
    """Corners of a box of a panel in its data."""
    left, right, top, bottom = view.limits
    return np.array([(left + u * (right - left), top + v * (bottom - top)) for u, v in box])


def boxed(rows: pd.DataFrame, view: View, box) -> np.ndarray:
    """Stars in a box, one comparison after the other."""
    (x0, y0), (x1, y1) = corners(view, box)
    x, y = rows[view.x].to_numpy(float), rows[view.y].to_numpy(float)
    return (min(x0, x1) <= x) & (x <= max(x0, x1)) & (min(y0, y1) <= y) & (y <= max(y0, y1))


@pytest.fixture(scope="module")
def rows():
    return stars()


@pytest.fixture(scope="module")
def told(rows, tmp_path_factory):
    """What the page says after each step."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser to drive the page with (looked for {', '.join(BROWSERS)})")
    folder = tmp_path_factory.mktemp("linked")
    page = linked_page("lmc", rows["star_id"], rows, VIEWS, groups(rows))
    alone = [list(pair) for pair in zip(*ALONE.values(), strict=True)]
    script = STEPS.read_text("utf-8").replace("@box@", json.dumps(BOX)).replace("@alone@", json.dumps(alone))
    page = page.replace("<title>", f"{TIMED}<title>", 1).replace("</html>", f"<script>{script}</script></html>")
    (folder / "page.html").write_text(page, "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1366,768", f"--user-data-dir={folder}/own"]
    command = [browser, *options, "--virtual-time-budget=20000", "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    steps = json.loads(unescape(found[1]))
    assert "error" not in steps, steps["error"]
    return steps


def selected(state) -> list[int]:
    return [int(panel["selected"]) for panel in state["panels"]]


def in_view(rows: pd.DataFrame, view: View, mask: np.ndarray, margin: float = 0.01) -> np.ndarray:
    """Stars surely in sight; those within a hundredth of the frame may be cut by it."""
    return mask & boxed(rows, view, ((margin, margin), (1 - margin, 1 - margin)))


def test_linked__what_is_embedded_is_what_was_given(rows):
    data = payload(linked_page("lmc", rows["star_id"], rows, VIEWS, groups(rows)))
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(data["ids"]), "<i8"), rows["star_id"])
    for name, text in data["columns"].items():
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), rows[name])
    bits = np.frombuffer(base64.b64decode(data["groups"]["bright </script>"]), np.uint8)
    np.testing.assert_array_equal(np.unpackbits(bits, bitorder="little")[: len(rows)], groups(rows)["bright </script>"])


def test_linked__needs_no_network_and_cannot_be_broken_by_names(rows):
    page = linked_page("<b>lmc</b></title>", rows["star_id"], rows, VIEWS, groups(rows))
    assert "<b>lmc" not in page
    assert page.count("</script>") == 2
    assert not re.search(r"https?:|\bsrc=|<link|@import|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b", page)
    assert "default-src 'none'" in page


def test_linked__is_compact():
    rows = moving_rows(moving.motions(50_000), choose_filters(moving.motions(9), moving.WAVES), moving.CENTRE)
    filters = choose_filters(moving.motions(9), moving.WAVES)
    page = linked_page("lmc", rows["star_id"], rows, motion_views(rows, filters))
    assert len(page) < 4 / 3 * len(rows) * (8 + 6 * 4) + 40_000  # an id and six columns in base64, and the page itself


def test_views__of_one_filter_show_errors_instead_of_colours():
    motions = moving.motions(300, filters=("F090W",))
    filters = choose_filters(motions, moving.WAVES)
    rows = moving_rows(motions, filters, moving.CENTRE)
    assert [(view.x, view.y) for view in motion_views(rows, filters)][0] == ("error", "mag")
    for view in motion_views(rows, filters):
        assert np.isfinite(view.limits).all()
        assert in_view(rows, view, np.ones(len(rows), bool), 0.0).mean() > 0.97


def test_page__a_box_among_magnitudes_selects_the_same_stars_among_motions(told, rows):
    mine = boxed(rows, VIEWS[0], BOX)
    assert 0 < mine.sum() < len(rows)
    assert selected(told["start"]) == [0, 0]
    assert told["box"]["count"] == f"{mine.sum()} of {len(rows)} stars selected"
    shown = selected(told["box"])
    assert shown[0] == mine.sum()
    every, sure = boxed(rows, VIEWS[1], ((0, 0), (1, 1))) & mine, in_view(rows, VIEWS[1], mine)
    assert sure.sum() <= shown[1] <= every.sum() < mine.sum()


def test_page__selected_stars_are_red_in_the_other_panel_and_others_are_not(told):
    (red, green, blue, _), other = told["colours"]
    assert red > 2 * green
    assert red > 2 * blue
    assert other[0] == other[1] == other[2] < 255  # a grey dot


def test_page__saves_the_ids_that_are_selected(told, rows):
    first, *ids = told["csv"].split()
    assert first == "star_id"
    assert [int(one) for one in ids] == rows["star_id"][boxed(rows, VIEWS[0], BOX)].tolist()


def test_page__selects_within_what_is_selected(told, rows):
    mine = boxed(rows, VIEWS[0], BOX) & boxed(rows, VIEWS[1], BOX)
    assert mine.sum() > 0
    assert told["within"]["count"].startswith(f"{mine.sum()} of")


def test_page__selects_a_population_by_name(told, rows):
    assert told["group"]["count"].startswith(f"{groups(rows)['bright </script>'].sum()} of")


def test_page__selects_with_a_lasso(told, rows):
    left, right, top, bottom = VIEWS[0].limits
    u = (rows["colour"].to_numpy(float) - left) / (right - left)
    v = (rows["mag"].to_numpy(float) - top) / (bottom - top)
    mine = (u > 0.1) & (v > 0.1) & (u + v < 1.0)
    assert told["lasso"]["count"].startswith(f"{mine.sum()} of")


def test_page__keys_select_a_box_and_clear_it(told, rows):
    mine = boxed(rows, VIEWS[1], ((0.5, 0.5), (0.7, 0.7)))  # ten steps of a fiftieth from the middle
    assert mine.sum() > 0
    assert told["keys"]["count"].startswith(f"{mine.sum()} of")
    assert told["cleared"]["count"].startswith("0 of")


def test_page__zooms_about_the_cursor_moves_and_resets(told):
    limits = {name: np.array(told[name]["panels"][1]["limits"].split(), float) for name in ("zoomed", "reset", "moved")}
    about = corners(VIEWS[1], [(0.7, 0.7)])[0].repeat(2)
    np.testing.assert_allclose(limits["zoomed"], about + (np.array(VIEWS[1].limits) - about) / 1.25**3, rtol=1e-9)
    np.testing.assert_allclose(limits["reset"], VIEWS[1].limits, rtol=1e-12)
    left, right, top, bottom = VIEWS[1].limits
    step = np.array([-0.1 * (right - left)] * 2 + [0.25 * (bottom - top)] * 2)
    np.testing.assert_allclose(limits["moved"], VIEWS[1].limits + step, rtol=1e-9)
    assert told["moved"]["panels"][0]["limits"] == told["start"]["panels"][0]["limits"]
