"""The page as an explorer, in a real browser: what it computes is what Python computes."""

from __future__ import annotations

import math
from functools import cache
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest

from keras_otel import semconv
from keras_otel.analysis import slice_failures
from keras_otel.analysis.reports import numbers as written_numbers
from keras_otel.analysis.slices.comparison import compare
from keras_otel.analysis.slices.intervals import Z, wilson
from keras_otel.analysis.slices.rate_decomposition import mix_and_rate
from keras_otel.analysis.slices.sums import Summing
from tests.analysis.reports.results import answers, many_slices, sliced

CLASS, VERSION, CONFIDENCE = semconv.PREDICTION_CLASS, semconv.MODEL_VERSION, semconv.CONFIDENCE_BIN
LOW = ("[0,0.5)", "[0.5,0.6)")


@cache
def weighted():
    weights = np.random.default_rng(3).choice([1.0, 2.5, 16.0], len(answers()))
    return slice_failures(answers().assign(w=weights), failed="wrong", weight="w")


@cache
def clustered():
    """Sessions whose answers fail together."""
    random = np.random.default_rng(5)
    sessions = random.integers(0, 150, len(answers()))
    wrong = answers().wrong | (random.random(150) < 0.2)[sessions]
    frame = answers().assign(session=sessions, wrong=wrong)
    return slice_failures(frame, failed="wrong", cluster="session")


def address_of(**selections):
    """The part of an address that holds selections."""
    pairs = [
        (f"1.{letter}.{attribute}", value)
        for letter, selection in selections.items()
        for attribute, values in selection.items()
        for value in values
    ]
    return f"#{urlencode(pairs)}"


def chosen(cells, selection):
    """The cells of a selection."""
    mask = np.ones(len(cells.rows), dtype=bool)
    for attribute, values in selection.items():
        place = cells.index(attribute)
        known = cells.features[place].values  # noqa: PD011 - a feature is no data frame
        codes = [known.index(value) for value in values]
        mask &= np.isin(cells.codes[:, place], codes)
    return mask


def numbers(locator):
    data = locator.evaluate("(element) => ({...element.dataset})")
    return {name: float(value) for name, value in data.items() if value != ""}


def button(page, attribute, label):
    plot = page.get_by_role("group", name=f"Failure rate by {attribute}", exact=True)
    return plot.locator("button", has=page.locator(".label", has_text=label)).first


def panel(page, letter):
    return page.locator(f".panel.side-{letter} .numbers")


def same(found, **expected):
    expected = {name: float(value) for name, value in expected.items()}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("result", [sliced, weighted], ids=["rows", "weighted rows"])
@pytest.mark.parametrize(
    "selection",
    [
        {CLASS: ["refund"]},
        {CLASS: ["refund"], VERSION: ["v2"]},
        {CONFIDENCE: LOW, "tier": ["pro", "__missing__"]},
        {"letter": ["a", "b"], VERSION: ["v10"]},
    ],
)
def test_a_selection_has_python_s_numbers(opened, result, selection):
    """Rate, Wilson interval, difference and risk ratio against all other rows, to nine digits."""
    cells = result().evals[0].cells
    summing = Summing(cells)
    sums = summing.by(chosen(cells, selection).astype(np.int64), 2)
    expected = compare(sums.select([1]), summing.all, is_exact=not cells.is_weighted)

    page, said = opened(result(), "desktop", address=address_of(a=selection))

    same(
        numbers(panel(page, "a")),
        n=sums.n[1],
        k=sums.k[1],
        rate=expected.rate[0],
        lower=expected.rate_ci[0][0],
        upper=expected.rate_ci[1][0],
    )
    same(numbers(panel(page, "b")), n=sums.n[0], k=sums.k[0], rate=expected.rate_rest[0])
    same(
        numbers(page.get_by_role("status").first),
        difference=expected.difference[0],
        low=expected.difference_ci[0][0],
        high=expected.difference_ci[1][0],
        ratio=expected.ratio[0],
        ratioLow=expected.ratio_ci[0][0],
        ratioHigh=expected.ratio_ci[1][0],
    )
    assert said == []


def test_two_selections_that_overlap(opened):
    """Rows that are in both narrow the interval of the difference; the ratio has none."""
    cells = sliced().evals[0].cells
    one, other = {CLASS: ["refund"]}, {VERSION: ["v2"]}
    a, b = chosen(cells, one), chosen(cells, other)

    def rate(mask):
        return cells.failed[mask].sum() / cells.rows[mask].sum()

    # Each row's part in the difference of the two rates.
    part = {
        y: a * (y - rate(a)) / cells.rows[a].sum() - b * (y - rate(b)) / cells.rows[b].sum()
        for y in (0, 1)
    }
    variance = (cells.failed * part[1] ** 2 + (cells.rows - cells.failed) * part[0] ** 2).sum()

    page, _ = opened(sliced(), "desktop", address=address_of(a=one, b=other))

    found = numbers(page.get_by_role("status").first)
    difference = rate(a) - rate(b)
    spread = Z * math.sqrt(variance)
    same(found, difference=difference, low=difference - spread, high=difference + spread)
    assert "ratioLow" not in found
    shared = written_numbers.count(cells.rows[a & b].sum(), "row")
    assert f"{shared} are in both" in page.get_by_role("status").first.inner_text()


def test_every_plot_shows_the_rows_selected(opened):
    """A click on a version filters the rates, the heat map, the spread, and mix against rate."""
    page, said = opened(sliced(), "desktop")
    frame = answers()
    button(page, "version", "v1").click()

    v1 = frame[frame[VERSION] == "v1"]
    for attribute, noun, value, label in (
        (CLASS, "class", "refund", "refund"),
        (CONFIDENCE, "confidence", "[0,0.5)", "below 0.5"),
        ("tier", "tier", "pro", "pro"),
    ):
        wrong = v1[v1[attribute] == value].wrong
        lower, upper = wilson(wrong.mean(), len(wrong))
        found = numbers(button(page, noun, label))
        same(found, n=len(wrong), k=wrong.sum(), rate=wrong.mean(), lower=lower, upper=upper)
    # The other versions can still be chosen.
    same(numbers(button(page, "version", "v2")), n=(frame[VERSION] == "v2").sum())
    assert said == []

    button(page, "confidence", "below 0.5").click()
    low = v1[v1[CONFIDENCE] == "[0,0.5)"]
    heat = page.get_by_role("button", name="class refund and v1:")
    same(numbers(heat), n=(low[CLASS] == "refund").sum(), k=low[low[CLASS] == "refund"].wrong.sum())
    spread = page.get_by_role("table", name="Latency by version").locator("thead").inner_text()
    assert written_numbers.count(len(low), "row") in spread


def test_mix_and_rate_of_the_versions(opened):
    """Where nothing is selected, the version that fails most is taken apart, as in the drawn plot."""
    frame = answers()
    counts = frame.groupby([VERSION, CLASS]).wrong.agg(["size", "sum"])
    worst = frame.groupby(VERSION).wrong.mean().idxmax()
    one = {value: tuple(row) for value, row in counts.loc[worst].T.items()}
    others = counts.drop(index=worst, level=0).groupby(CLASS).sum()
    parts = mix_and_rate(one, {value: tuple(row) for value, row in others.T.items()})

    page, _ = opened(sliced(), "desktop")

    found = page.locator("figure", has=page.locator("table.mix"))
    same(numbers(found), mix=sum(p.mix for p in parts), rate=sum(p.rate for p in parts))
    assert found.inner_text().startswith(f"Why {worst} differs from the other versions")


def test_a_finding_selects_its_rows(opened):
    """The button on its card selects its rows, whose numbers are those of the card; again, and none."""
    family = sliced().evals[0]
    page, _ = opened(sliced(), "desktop")
    for place, found in enumerate(family.slices):
        card = page.locator(f"#section-1-finding-{place + 1}")
        show = card.get_by_role("button")
        show.click()

        same(numbers(panel(page, "a")), n=found.n, k=found.failed, lower=found.ci[0])
        assert show.get_attribute("aria-pressed") == "true"
        assert page.locator(".card [aria-pressed=true]").count() == 1
    show.click()

    assert show.get_attribute("aria-pressed") == "false"
    same(numbers(panel(page, "a")), n=family.rows, k=family.failed)


def test_ranges_beside_one_another_are_one(opened):
    """Two neighbouring bins read as one range, and a third that is apart as another."""
    page, _ = opened(sliced(), "desktop")
    for label in ("below 0.5", "0.5 to 0.6", "0.9 to 0.95"):
        button(page, "confidence", label).click()

    status = page.get_by_role("status").first
    assert status.inner_text().startswith("A, confidence below 0.6 or 0.9 to 0.95: ")

    button(page, "tier", "pro").click()
    button(page, "tier", "not set").click()
    assert " and tier = pro or not set: " in status.inner_text()


def test_ranges_of_numbers_exclude_their_end(opened):
    """Of an attribute that the page knows nothing of, a range reads as in the report."""
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"age": random.integers(18, 80, 3000)})
    rate = np.where((frame.age >= 25) & (frame.age < 45), 0.3, 0.05)
    result = slice_failures(frame.assign(wrong=random.random(3000) < rate), failed="wrong")
    found = result.evals[0].slices[0]
    assert len(found.predicates[0].values) > 1

    page, _ = opened(result, "desktop")
    card = page.locator("#section-1-finding-1")
    card.get_by_role("button").click()

    same(numbers(panel(page, "a")), n=found.n, k=found.failed)
    name = card.locator(".slice-name").inner_text()
    assert page.get_by_role("status").first.inner_text().startswith(f"A, {name}: ")


def test_the_keyboard_and_a_screen_reader(opened):
    """Values are buttons that say whether they are chosen, and what changes is announced."""
    page, _ = opened(sliced())
    refund = button(page, "class", "refund")
    refund.focus()
    page.keyboard.press("Enter")
    assert refund.get_attribute("aria-pressed") == "true"
    assert refund.evaluate("(element) => element === document.activeElement")
    assert page.get_by_role("status").first.inner_text().startswith("A, class refund: ")

    page.get_by_role("button", name="Select for B").press("Space")
    button(page, "version", "v1").press("Space")
    status = page.get_by_role("status").first.inner_text()
    assert "B, v1: " in status
    assert "risk ratio: " in status

    page.get_by_role("button", name="Remove class refund from A").press("Enter")
    assert page.get_by_role("status").first.inner_text().startswith("A, all rows: ")
    page.get_by_role("button", name="Clear B").press("Enter")
    assert "B, " not in page.get_by_role("status").first.inner_text()
    nameless = page.get_by_role("button").evaluate_all(
        "(all) => all.filter((each) => !(each.ariaLabel || each.textContent.trim())).length"
    )
    assert nameless == 0


def test_the_address_holds_the_selections(opened):
    """A link shows the same, going back undoes, and what a link names and the data lacks is nothing."""
    page, _ = opened(sliced(), "desktop", address="#1.a.tier=gold&1.a.nothing=x&1.b=&9.a.tier=pro")
    assert numbers(panel(page, "a"))["n"] == len(answers())
    button(page, "class", "a,b&c=d").click()
    button(page, "version", "v2").click()
    page.get_by_role("button", name="Select for B").click()
    button(page, "tier", "not set").click()
    shown = page.get_by_role("status").first.inner_text()
    assert shown.startswith("A, class a,b&c=d and v2: ")

    page.reload()
    assert page.get_by_role("status").first.inner_text() == shown
    page.go_back()
    page.wait_for_function("!document.querySelector('.panel.side-b .chip')")
    assert "B, all other rows" in page.get_by_role("status").first.inner_text()


def test_clusters_widen_the_intervals(opened):
    """Intervals take the design effect of the overall rate, and the page says that this is approximate."""
    family = clustered().evals[0]
    page, _ = opened(clustered(), "desktop")
    cohort = next(each for each in family.plot_cohorts if each.value == "refund")

    whole = numbers(panel(page, "a"))
    variances = Summing(family.cells).all
    rate = family.failed / family.rows
    clustered_variance = (
        variances.kk[0] - 2 * rate * variances.nk[0] + rate**2 * variances.nn[0]
    ) / family.rows**2
    effective = rate * (1 - rate) / clustered_variance
    assert effective < family.rows / 2
    lower, upper = wilson(rate, effective)
    same(whole, n=family.rows, rate=rate, lower=lower, upper=upper)

    found = numbers(button(page, "class", "refund"))
    same(found, n=cohort.n, rate=cohort.rate)
    assert found["upper"] - found["lower"] > 1.2 * np.subtract(*wilson(cohort.rate, cohort.n)[::-1])
    assert "approximate" in page.locator(".explorer").inner_text()


def test_written_numbers_are_python_s(opened):
    """Rounding, limits and signs: the same text for the same number in both languages."""
    page, _ = opened(sliced())
    random = np.random.default_rng(1)
    shares = [0, 1, 0.0625, 0.0005, 0.00125, 0.9995, 0.9985, 0.095, 0.0995, 0.09949, 0.9005, 0.125]
    shares += [
        0.625,
        0.015,
        -0.0004,
        -0.0625,
        -0.3,
        *random.random(300),
        *(random.random(100) / 20),
    ]
    values = [*shares, *(10 * each for each in shares), 0.5, 1.5, 2.5, 9.95, 1234567.5, 20.5]
    for name, function in (
        ("percent", written_numbers.percent),
        ("points", written_numbers.points),
        ("count", written_numbers.count),
        ("ratio", written_numbers.ratio),
    ):
        used = [float(each) for each in (values if name in ("count", "ratio") else shares)]
        used = [each for each in used if each >= 0 or name in ("percent", "points")]
        shown = page.evaluate(f"(values) => values.map((value) => {name}(value))", used)
        assert shown == [function(each) for each in used], name


def test_the_drawn_plots_make_room(opened):
    """With scripts the explorer stands in the place of the plots, without them they are there."""
    page, _ = opened(sliced())
    assert page.locator("figure svg:visible").count() == 0
    assert page.locator(".values:visible").count() >= 5

    page, said = opened(sliced(), java_script_enabled=False)
    assert page.locator("figure svg:visible").count() >= 5
    assert page.get_by_role("button").count() == 0
    assert said == []


def test_a_notebook_s_frame_explores_too(browser, tmp_path):
    """Inside a frame without an address of its own, selections work and nothing is complained about."""
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>n</title>{sliced()._repr_html_()}", "utf-8")
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Show in the plots").first.click()

    expected = sliced().evals[0].slices[0]
    same(numbers(frame.locator(".panel.side-a .numbers")), n=expected.n, k=expected.failed)
    assert said == []
    page.close()


def test_many_values_are_shown_on_demand(opened):
    """Twelve values are shown, the rest by a button, or where an address selects one of them."""
    page, _ = opened(sliced(), "desktop")
    plot = page.get_by_role("group", name="Failure rate by letter")
    assert plot.locator("li:visible").count() == 12
    plot.get_by_role("button", name="Show all 20").click()
    assert plot.locator("li:visible").count() == 20

    rarest = answers().letter.value_counts().index[-1]
    page, _ = opened(sliced(), "desktop", address=address_of(a={"letter": [rarest]}))
    assert button(page, "letter", rarest).is_visible()


def test_a_result_without_cells_has_its_plots(opened):
    """Where no cells travel, the drawn plots stay."""
    page, said = opened(many_slices(), "desktop")

    assert page.locator("figure svg:visible").count() > 0
    assert page.locator(".explorer:visible").count() == 0
    assert said == []
