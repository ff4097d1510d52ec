// One explorer for each evaluation; the address contains the selections, so that a link shows the same.
class Explorer {
  static OPEN = 6; // features whose rates are shown at once

  constructor(root, embedded, number, changed) {
    this.cells = new Cells(embedded);
    [this.embedded, this.number, this.changed] = [embedded, number, changed];
    this.selections = { a: new Map(), b: new Map() };
    this.letter = "a";
    const toggle = (feature, value) => this.toggle(feature, value);
    this.plots = this.cells.features.map((_, feature) => new RatesPlot(this.cells, feature, toggle));
    const rates = this.plots.map((plot) => plot.element);
    const { class: byClass, version } = embedded;
    const others = [];
    if (byClass !== null && version !== null) others.push(new HeatMap(this.cells, byClass, version, (pairs) => this.choose(pairs)));
    if (version !== null) others.push(...embedded.spreads.map((feature) => new SpreadPlot(this.cells, feature, version)));
    if (byClass !== null) others.push(new MixPlot(this.cells, byClass, version));
    this.plots.push(...others);
    this.panels = { a: this.panel("a"), b: this.panel("b") };
    this.status = make("p", { class: "comparison", role: "status" });
    root.append(
      ...this.notes(),
      make("div", { class: "selections", role: "group", "aria-label": "Selections" }, this.panels.a.element, this.panels.b.element),
      this.status,
      make("div", { class: "plots" }, ...rates.slice(0, Explorer.OPEN), ...others.map((plot) => plot.element)),
    );
    if (rates.length > Explorer.OPEN) {
      const more = make("div", { class: "plots" }, ...rates.slice(Explorer.OPEN));
      root.append(make("details", {}, make("summary", {}, `Rates by ${rates.length - Explorer.OPEN} more attributes`), more));
    }
    this.addFindingButtons();
  }

  panel(letter) {
    const choose = make("button", { type: "button", class: "letter", "aria-pressed": "false", "aria-label": `Select for ${letter.toUpperCase()}` }, letter.toUpperCase());
    choose.addEventListener("click", () => { this.letter = letter; this.draw(); });
    const clear = make("button", { type: "button", class: "clear", "aria-label": `Clear ${letter.toUpperCase()}` }, "Clear");
    clear.addEventListener("click", () => this.set(letter, new Map()));
    const [chips, numbers] = [make("span", { class: "chips" }), make("span", { class: "numbers" })];
    return { element: make("div", { class: `panel side-${letter}` }, choose, make("div", {}, chips, numbers), clear), choose, clear, chips, numbers };
  }

  notes() {
    const notes = ["Choose values in the plots, or a finding above: every plot then shows those rows alone. Mark B to choose rows to compare A with; tables of two attributes show A."];
    if (this.embedded.isClustered) {
      notes.push(`Rows of one cluster depend on one another. The intervals here are approximate: all are widened by the design effect of the overall rate, ${ratio(this.embedded.design)}. Those of the findings are not.`);
    }
    if (this.embedded.leftOut.length) notes.push(`Left out, for the size of the page: ${listed(this.embedded.leftOut)}.`);
    return notes.map((text) => make("p", { class: "muted" }, text));
  }

  // Add a button to each finding's card that selects its rows.
  addFindingButtons() {
    this.buttons = this.embedded.findings.map((predicates, place) => {
      const card = document.getElementById(this.embedded.cards[place]);
      if (!predicates || !card) return null;
      const selection = new Map(predicates.map(([feature, values]) => [feature, new Set(values)]));
      const name = card.querySelector(".slice-name").textContent;
      const button = make("button", { type: "button", class: "show", "aria-pressed": "false", "aria-label": `Show in the plots: ${name}` }, "Show in the plots");
      button.addEventListener("click", () => this.set(this.letter, isSame(this.selections[this.letter], selection) ? new Map() : selection));
      card.append(button);
      return { button, selection };
    });
  }

  toggle(feature, value) {
    const values = new Set(this.selections[this.letter].get(feature));
    if (!values.delete(value)) values.add(value);
    this.set(this.letter, withValues(this.selections[this.letter], feature, values));
  }

  // Select exactly these values of these features, or clear these features if that is already selected.
  choose(pairs) {
    const before = this.selections[this.letter];
    const isOn = pairs.every(([feature, value]) => isOnly(before.get(feature), value));
    const after = pairs.reduce((selection, [feature, value]) => withValues(selection, feature, new Set(isOn ? [] : [value])), before);
    this.set(this.letter, after);
  }

  set(letter, selection) {
    this.selections[letter] = selection;
    this.draw();
    this.changed();
  }

  view() {
    const { a, b } = this.selections;
    const totals = this.cells.totals(a, b);
    const hasB = b.size > 0;
    return {
      a, b, hasB, totals,
      active: this.selections[this.letter],
      design: this.embedded.design,
      rate: totals.a.k / totals.a.n,
      facetsA: this.cells.facets(a),
      facetsB: hasB ? this.cells.facets(b) : null,
    };
  }

  draw() {
    const view = this.view();
    for (const plot of this.plots) plot.draw(view);
    const second = view.hasB ? view.totals.b : view.totals.rest;
    this.drawPanel("a", view.totals.a, view);
    this.drawPanel("b", second, view);
    this.drawComparison(view, second);
    for (const finding of this.buttons) {
      finding?.button.setAttribute("aria-pressed", String(isSame(view.active, finding.selection)));
    }
  }

  name(letter) {
    const selection = this.selections[letter];
    if (letter === "b" && !selection.size) return this.selections.a.size ? "all other rows" : "nothing";
    return this.cells.describe(selection);
  }

  drawPanel(letter, sums, view) {
    const { choose, clear, chips, numbers } = this.panels[letter];
    const selection = this.selections[letter];
    choose.setAttribute("aria-pressed", String(this.letter === letter));
    clear.hidden = !selection.size;
    const made = [...selection].map(([feature, values]) => {
      const phrase = this.cells.phrase(feature, values);
      const chip = make("button", { type: "button", class: "chip", "aria-label": `Remove ${phrase} from ${letter.toUpperCase()}` }, `${phrase} ×`);
      chip.addEventListener("click", () => { this.set(letter, withValues(selection, feature, new Set())); choose.focus(); });
      return chip;
    });
    chips.replaceChildren(...(made.length ? made : [this.name(letter)]));
    const estimate = rateOf(sums, view.design);
    setNumbers(numbers, sums, estimate);
    numbers.textContent = sums.n > 0
      ? `${count(sums.k)} of ${rows(sums.n)} failed, ${percent(estimate.rate)} (${percentRange(estimate.lower, estimate.upper)})`
      : letter === "a" || selection.size ? "no rows" : "";
  }

  drawComparison(view, second) {
    const { a: first, shared } = view.totals;
    for (const name of Object.keys(this.status.dataset)) delete this.status.dataset[name];
    if (!view.a.size && !view.hasB) {
      this.status.textContent = `A, all rows: ${this.panels.a.numbers.textContent}.`;
      return;
    }
    const summary = `A, ${this.name("a")}: ${this.panels.a.numbers.textContent}. B, ${this.name("b")}: ${this.panels.b.numbers.textContent || "no rows"}.`;
    if (!(first.n > 0 && second.n > 0)) {
      this.status.textContent = `${summary} There is nothing to compare.`;
      return;
    }
    const both = view.hasB ? shared : Cells.zeroSums();
    const comparison = compareSums(first, second, both, view.design);
    const [low, high] = comparison.differenceInterval;
    const interval = comparison.ratioInterval ? ` (${ratio(comparison.ratioInterval[0])} to ${ratio(comparison.ratioInterval[1])})` : "";
    const overlap = both.n > 0 ? ` ${rows(both.n)} are in both: the risk ratio has no interval.` : "";
    this.status.textContent = `${summary} Difference: ${points(comparison.difference)} (${points(low).replace(" points", "")} to ${points(high)}); risk ratio: ${ratio(comparison.ratio)}${interval}.${overlap}`;
    Object.assign(this.status.dataset, {
      difference: comparison.difference, low, high, ratio: comparison.ratio,
      ratioLow: comparison.ratioInterval?.[0] ?? "", ratioHigh: comparison.ratioInterval?.[1] ?? "",
    });
  }

  write(parameters) {
    for (const letter of ["a", "b"]) {
      for (const [feature, values] of this.selections[letter]) {
        const { name, values: known } = this.cells.features[feature];
        for (const value of values) parameters.append(`${this.number}.${letter}.${name}`, known[value]);
      }
    }
  }

  // Names and values in the address that the data does not have are ignored.
  read(parameters) {
    for (const letter of ["a", "b"]) {
      const entries = this.cells.features.map(({ name, values }, feature) => {
        const places = parameters.getAll(`${this.number}.${letter}.${name}`).map((value) => values.indexOf(value));
        return [feature, new Set(places.filter((place) => place >= 0))];
      });
      this.selections[letter] = new Map(entries.filter(([, values]) => values.size));
    }
    this.draw();
  }
}

function withValues(selection, feature, values) {
  const changed = new Map(selection);
  if (values.size) changed.set(feature, values);
  else changed.delete(feature);
  return changed;
}

function isSame(first, second) {
  const isEqual = ([feature, values]) => {
    const others = second.get(feature);
    return others?.size === values.size && [...values].every((value) => others.has(value));
  };
  return first.size === second.size && [...first].every(isEqual);
}

{
  const embedded = document.getElementById("cells");
  const explorers = [];
  const fromAddress = () => {
    const parameters = new URLSearchParams(location.hash.slice(1));
    for (const explorer of explorers) explorer.read(parameters);
  };
  const toAddress = () => {
    const parameters = new URLSearchParams();
    for (const explorer of explorers) explorer.write(parameters);
    try {
      history.pushState(null, "", `#${parameters}`);
    } catch {
      // A frame without an address of its own, as in a notebook: the selection is not in the address.
    }
  };
  (embedded ? JSON.parse(embedded.textContent) : []).forEach((family, place) => {
    if (!family) return;
    const root = document.getElementById(`section-${place + 1}-explorer`);
    explorers.push(new Explorer(root, family, place + 1, toAddress));
    root.hidden = false;
    document.getElementById(`section-${place + 1}-plots`).hidden = true;
  });
  fromAddress();
  addEventListener("hashchange", fromAddress);
}
