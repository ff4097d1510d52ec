// One explorer for each evaluation; what is selected stands in the address, so that a link shows the same.
class Explorer {
  static OPEN = 6; // features whose rates are shown at once

  constructor(root, carried, number, changed) {
    this.cells = new Cells(carried);
    [this.carried, this.number, this.changed] = [carried, number, changed];
    this.selections = { a: new Map(), b: new Map() };
    this.letter = "a";
    const toggle = (feature, value) => this.toggle(feature, value);
    this.plots = this.cells.features.map((_, feature) => new RatesPlot(this.cells, feature, toggle));
    const rates = this.plots.map((plot) => plot.element);
    const { class: byClass, version } = carried;
    const others = [];
    if (byClass !== null && version !== null) others.push(new HeatMap(this.cells, byClass, version, (pairs) => this.choose(pairs)));
    if (version !== null) others.push(...carried.spreads.map((feature) => new SpreadPlot(this.cells, feature, version)));
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
    this.findings();
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
    if (this.carried.isClustered) {
      notes.push(`Rows of one cluster depend on one another. The intervals here are approximate: all are widened by the design effect of the overall rate, ${ratio(this.carried.design)}. Those of the findings are not.`);
    }
    if (this.carried.leftOut.length) notes.push(`Left out, for the size of the page: ${listed(this.carried.leftOut)}.`);
    return notes.map((text) => make("p", { class: "muted" }, text));
  }

  // A button on each finding's card that selects its rows.
  findings() {
    this.buttons = this.carried.findings.map((predicates, place) => {
      const card = document.getElementById(this.carried.cards[place]);
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

  // Select exactly these values of these features, or nothing of them if that is what is selected.
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
    const hasOther = b.size > 0;
    return {
      a, b, hasOther, totals,
      active: this.selections[this.letter],
      design: this.carried.design,
      rate: totals.one.k / totals.one.n,
      facetsOne: this.cells.facets(a),
      facetsOther: hasOther ? this.cells.facets(b) : null,
    };
  }

  draw() {
    const view = this.view();
    for (const plot of this.plots) plot.draw(view);
    const other = view.hasOther ? view.totals.other : view.totals.rest;
    this.drawPanel("a", view.totals.one, view);
    this.drawPanel("b", other, view);
    this.drawComparison(view, other);
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

  drawComparison(view, other) {
    const { one, shared } = view.totals;
    for (const name of Object.keys(this.status.dataset)) delete this.status.dataset[name];
    if (!view.a.size && !view.hasOther) {
      this.status.textContent = `A, all rows: ${this.panels.a.numbers.textContent}.`;
      return;
    }
    const said = `A, ${this.name("a")}: ${this.panels.a.numbers.textContent}. B, ${this.name("b")}: ${this.panels.b.numbers.textContent || "no rows"}.`;
    if (!(one.n > 0 && other.n > 0)) {
      this.status.textContent = `${said} There is nothing to compare.`;
      return;
    }
    const both = view.hasOther ? shared : Cells.none();
    const found = compareSums(one, other, both, view.design);
    const [low, high] = found.differenceInterval;
    const interval = found.ratioInterval ? ` (${ratio(found.ratioInterval[0])} to ${ratio(found.ratioInterval[1])})` : "";
    const overlap = both.n > 0 ? ` ${rows(both.n)} are in both: the risk ratio has no interval.` : "";
    this.status.textContent = `${said} Difference: ${points(found.difference)} (${points(low).replace(" points", "")} to ${points(high)}); risk ratio: ${ratio(found.ratio)}${interval}.${overlap}`;
    Object.assign(this.status.dataset, {
      difference: found.difference, low, high, ratio: found.ratio,
      ratioLow: found.ratioInterval?.[0] ?? "", ratioHigh: found.ratioInterval?.[1] ?? "",
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

  // What the address names and the data does not have is passed over.
  read(parameters) {
    for (const letter of ["a", "b"]) {
      const found = this.cells.features.map(({ name, values }, feature) => {
        const places = parameters.getAll(`${this.number}.${letter}.${name}`).map((value) => values.indexOf(value));
        return [feature, new Set(places.filter((place) => place >= 0))];
      });
      this.selections[letter] = new Map(found.filter(([, values]) => values.size));
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

function isSame(one, other) {
  const holds = ([feature, values]) => {
    const there = other.get(feature);
    return there?.size === values.size && [...values].every((value) => there.has(value));
  };
  return one.size === other.size && [...one].every(holds);
}

{
  const carried = document.getElementById("cells");
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
      // In a frame without an address of its own the selection is kept in the page alone.
    }
  };
  (carried ? JSON.parse(carried.textContent) : []).forEach((family, place) => {
    if (!family) return;
    const root = document.getElementById(`section-${place + 1}-explorer`);
    explorers.push(new Explorer(root, family, place + 1, toAddress));
    root.hidden = false;
    document.getElementById(`section-${place + 1}-plots`).hidden = true;
  });
  fromAddress();
  addEventListener("hashchange", fromAddress);
}
