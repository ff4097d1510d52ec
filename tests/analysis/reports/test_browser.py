"""The page in a real browser: Chromium, as it is installed."""

from __future__ import annotations

import pytest

from tests.analysis.reports.conftest import SIZES
from tests.analysis.reports.results import RESULTS, many_slices, normal

WIDEST = """() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"""
OVERFLOWING = """() => [...document.querySelectorAll('body *')]
    .filter((e) => !e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map((e) => e.outerHTML.slice(0, 80))"""
SCROLLED = """() => [...document.querySelectorAll('.scroll')]
    .filter((e) => e.scrollWidth > e.clientWidth).map((e) => [e.scrollWidth, e.clientWidth])"""
CUT_LABELS = """() => [...document.querySelectorAll('svg text')].filter((text) => {
    const [inner, outer] = [text, text.ownerSVGElement].map((e) => e.getBoundingClientRect());
    return inner.left < outer.left - 1 || inner.right > outer.right + 1
        || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
}).map((text) => text.textContent)"""
CONTRAST = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((c) => {
        const part = Number(c) / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    const light = (c) => { const [r, g, b] = channels(c); return .2126 * r + .7152 * g + .0722 * b; };
    const probe = document.body.appendChild(document.createElement('i'));
    const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
    const ratio = (a, b) => {
        const [x, y] = [light(colour(a)), light(colour(b))].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
    };
    return [['ink', 'paper'], ['ink', 'panel'], ['muted', 'panel'], ['link', 'paper'], ['ink', 'notice']]
        .map(([a, b]) => [a, b, ratio(a, b)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", sorted(SIZES))
@pytest.mark.parametrize(
    "name",
    ["normal", "no row", "all failed", "long names", "unicode", "hostile", "many slices", "sliced"],
)
def test_fits_and_is_quiet(opened, name, size, scheme):
    """No console message, no request, no sideways scrolling, no label cut off."""
    page, said = opened(RESULTS[name](), size, scheme)

    assert said == []
    assert page.evaluate(WIDEST) <= SIZES[size]["width"]
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(CUT_LABELS) == []


@pytest.mark.parametrize(
    "name", ["normal", "many slices", "long names", "unicode", "hostile", "sliced"]
)
def test_tables_fit_a_desktop(opened, name):
    """At 1280 pixels no table has to be scrolled sideways."""
    page, _ = opened(RESULTS[name](), "desktop")
    page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")

    assert page.evaluate(SCROLLED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(opened, scheme):
    """Text has the contrast of WCAG 2.2 AA, 4.5 to 1, in both schemes."""
    page, _ = opened(normal(), scheme=scheme)

    assert [pair for pair in page.evaluate(CONTRAST) if pair[2] < 4.5] == []


def test_the_schemes_differ(opened):
    """The page and its plots follow the reader's system."""
    background = "() => getComputedStyle(document.body).backgroundColor"
    label = "() => getComputedStyle(document.querySelector('svg text')).fill"
    seen = set()
    for scheme in ("light", "dark"):
        page, _ = opened(normal(), scheme=scheme)
        seen.add((page.evaluate(background), page.evaluate(label)))

    assert len({b for b, _ in seen}) == len({f for _, f in seen}) == 2


def column(page, number):
    cells = page.locator(f"table.sortable >> nth=0 >> tbody tr > :nth-child({number})")
    return cells.evaluate_all("(cells) => cells.map((cell) => Number(cell.dataset.key))")


def test_sorts_by_a_click(opened):
    """The first click sorts a number's column downwards, the second upwards."""
    page, _ = opened(many_slices())
    heading = page.get_by_role("button", name="Failed", exact=True).first
    before = column(page, 4)

    heading.click()
    assert column(page, 4) == sorted(before, reverse=True) != before
    heading.click()
    assert column(page, 4) == sorted(before)


def test_sorts_by_the_keyboard(opened):
    """Headings are buttons: Tab reaches them, Enter sorts, and the order is announced."""
    page, _ = opened(many_slices())
    page.get_by_role("button", name="Rows", exact=True).first.focus()
    page.keyboard.press("Enter")
    assert column(page, 3) == sorted(column(page, 3), reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().strip() == "Rows"
    assert page.get_by_role("status").first.text_content() == "Sorted by Rows, descending."

    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("th[aria-sort]").inner_text().strip() == "Failed"


def test_needs_no_script(opened):
    """Without JavaScript everything is there, and nothing pretends to be a button."""
    page, said = opened(normal(), java_script_enabled=False)

    assert page.get_by_role("button").count() == 0
    assert page.locator("figure").get_by_role("img").count() == 6
    assert page.get_by_role("link").count() == 12
    assert said == []


def test_headings_tables_and_plots_have_names(opened):
    """A screen reader finds one level-1 heading, named regions and described plots."""
    page, _ = opened(normal())

    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("region", name="Slices", exact=True).count() == 1
    assert page.get_by_role("img", name="Failure rate by class", exact=True).count() == 1
