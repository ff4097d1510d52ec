// Plots of two selections, as HTML: screen readers read the numbers, and the values are buttons.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function figure(title, detail, ...content) {
  return make("figure", {}, make("figcaption", {}, title, make("small", {}, detail)), ...content);
}

const spanAt = (name, left, width) =>
  make("span", { class: name, style: `left:${100 * left}%${width === undefined ? "" : `;width:${100 * width}%`}` });

function setNumbers(element, sums, estimate) {
  Object.assign(element.dataset, {
    n: sums.n, k: sums.k, rate: estimate.rate, lower: estimate.lower, upper: estimate.upper,
  });
}

// Failure rates by the values of one feature; each value is a button.
class RatesPlot {
  static MOST = 12;

  constructor(cells, feature, toggle) {
    const { noun, labels } = cells.features[feature];
    this.feature = feature;
    this.buttons = labels.map((label, value) => {
      const button = make("button", { type: "button", "aria-pressed": "false" });
      button.addEventListener("click", () => toggle(feature, value));
      return button;
    });
    this.labels = labels;
    this.list = make("ul", { class: "values" }, ...this.buttons.map((button) => make("li", {}, button)));
    this.scale = make("p", { class: "scale", "aria-hidden": "true" });
    this.more = make("button", { type: "button", class: "more", "aria-expanded": "false" });
    this.more.addEventListener("click", () => this.expand(this.more.getAttribute("aria-expanded") === "false"));
    this.element = figure(`Failure rate by ${noun}`, "With 95 % intervals.", this.list, this.scale);
    this.element.setAttribute("aria-label", `Failure rate by ${noun}`);
    this.element.setAttribute("role", "group");
    if (labels.length > RatesPlot.MOST) this.element.append(this.more);
    this.expand(false);
  }

  expand(isOpen) {
    this.more.setAttribute("aria-expanded", String(isOpen));
    this.more.textContent = isOpen ? "Show fewer" : `Show all ${this.labels.length}`;
    [...this.list.children].forEach((item, place) => { item.hidden = !isOpen && place >= RatesPlot.MOST; });
  }

  draw(view) {
    const sides = view.hasB ? [["a", view.facetsA], ["b", view.facetsB]] : [["a", view.facetsA]];
    const drawn = this.buttons.map((_, value) =>
      sides.map(([side, facets]) => {
        const sums = facets[this.feature][value];
        return { side, sums, estimate: rateOf(sums, view.design) };
      }));
    const uppers = drawn.flat().map(({ estimate }) => estimate.upper).filter(Number.isFinite);
    const highest = Math.max(view.rate || 0, ...uppers) || 1;
    const selected = view.active.get(this.feature);
    this.buttons.forEach((button, value) => {
      button.setAttribute("aria-pressed", String(Boolean(selected?.has(value))));
      for (const side of ["a", "b"]) button.classList.toggle(`in-${side}`, Boolean(view[side].get(this.feature)?.has(value)));
      setNumbers(button, drawn[value][0].sums, drawn[value][0].estimate);
      button.replaceChildren(
        make("span", { class: "label" }, this.labels[value]),
        ...drawn[value].flatMap(({ side, sums, estimate }) => this.line(side, sums, estimate, highest, view)),
      );
    });
    if (selected && [...selected].some((value) => value >= RatesPlot.MOST)) this.expand(true);
    this.scale.replaceChildren(make("span", {}, "0 %"), make("span", {}, `line: ${view.hasB ? "A, " : ""}${percent(view.rate)}`), make("span", {}, percent(highest)));
  }

  line(side, sums, estimate, highest, view) {
    const meter = make("span", { class: `meter side-${side}`, "aria-hidden": "true" });
    if (Number.isFinite(view.rate)) meter.append(spanAt("rest", view.rate / highest));
    if (sums.n > 0) {
      meter.append(
        spanAt("interval", estimate.lower / highest, (estimate.upper - estimate.lower) / highest),
        spanAt("rate", estimate.rate / highest),
      );
    }
    const letter = view.hasB ? `${side.toUpperCase()} ` : "";
    const interval = sums.n > 0 ? make("span", { class: "visually-hidden" }, ` (${percentRange(estimate.lower, estimate.upper)})`) : "";
    const text = sums.n > 0 ? percent(estimate.rate) : "no rows";
    return [meter, make("span", { class: "numbers" }, ` ${letter}${text}`, interval, " ", make("small", {}, sums.n > 0 ? `${count(sums.k)} of ${count(sums.n)}` : ""))];
  }
}

// Failure rates of each class under each version; each cell selects both.
class HeatMap {
  static ROWS = 20;
  static COLUMNS = 6;

  constructor(cells, row, column, choose) {
    [this.cells, this.row, this.column] = [cells, row, column];
    const rowLabels = cells.features[row].labels.slice(0, HeatMap.ROWS);
    const columnLabels = cells.features[column].labels.slice(0, HeatMap.COLUMNS);
    const [rowNoun, columnNoun] = [cells.features[row].noun, cells.features[column].noun];
    this.buttons = rowLabels.map((_, r) => columnLabels.map((__, c) => {
      const button = make("button", { type: "button", "aria-pressed": "false" });
      button.addEventListener("click", () => choose([[row, r], [column, c]]));
      return button;
    }));
    const head = make("tr", {}, make("td"), ...columnLabels.map((label) => make("th", { scope: "col" }, label)));
    const lines = this.buttons.map((line, r) =>
      make("tr", {}, make("th", { scope: "row" }, rowLabels[r]), ...line.map((button) => make("td", {}, button))));
    const title = `Failure rate by ${rowNoun} and ${columnNoun}`;
    const table = make("table", { class: "heat", "aria-label": title }, make("thead", {}, head), make("tbody", {}, ...lines));
    const hidden = [[cells.features[row], HeatMap.ROWS], [cells.features[column], HeatMap.COLUMNS]]
      .filter(([feature, most]) => feature.labels.length > most)
      .map(([feature, most]) => ` ${feature.labels.length - most} values of ${feature.noun} with fewer rows not shown.`);
    this.element = figure(title, `The higher the rate, the stronger the colour.${hidden.join("")}`, make("div", { class: "scroll plain" }, table));
  }

  draw(view) {
    const sums = this.cells.crossTabulated(view.a, this.row, this.column);
    const rates = this.buttons.flatMap((line, r) => line.map((_, c) => sums[r][c].k / sums[r][c].n)).filter(Number.isFinite);
    const highest = Math.max(...rates, 0) || 1;
    this.buttons.forEach((line, r) => line.forEach((button, c) => {
      const cell = sums[r][c];
      const rate = cell.k / cell.n;
      const name = `${this.cells.features[this.row].phrases[r]} and ${this.cells.features[this.column].phrases[c]}`;
      const isOn = isOnly(view.active.get(this.row), r) && isOnly(view.active.get(this.column), c);
      button.setAttribute("aria-pressed", String(isOn));
      button.setAttribute("aria-label", cell.n ? `${name}: ${percent(rate)}, ${count(cell.k)} of ${rows(cell.n)} failed` : `${name}: no rows`);
      button.style.setProperty("--strength", cell.n ? `${6 + 69 * rate / highest}%` : "0%");
      setNumbers(button, cell, rateOf(cell, view.design));
      button.replaceChildren(cell.n ? percent(rate) : "–", make("small", {}, cell.n ? `of ${count(cell.n)}` : ""));
    }));
  }
}

const isOnly = (values, value) => values?.size === 1 && values.has(value);

// Distribution of the rows of each version over the ranges of a feature.
class SpreadPlot {
  static COLUMNS = 4;

  constructor(cells, feature, version) {
    [this.cells, this.feature, this.version] = [cells, feature, version];
    const { noun } = cells.features[feature];
    const title = `${noun[0].toUpperCase()}${noun.slice(1)} by version`;
    this.table = make("table", { class: "spread", "aria-label": title });
    const hidden = cells.features[version].labels.length - SpreadPlot.COLUMNS;
    const detail = hidden > 0 ? ` ${hidden} versions with fewer rows not shown.` : "";
    this.element = figure(title, `Share of each version's rows in each range.${detail}`, make("div", { class: "scroll plain" }, this.table));
  }

  draw(view) {
    const sums = this.cells.crossTabulated(view.a, this.feature, this.version);
    const { labels } = this.cells.features[this.version];
    const columns = labels.slice(0, SpreadPlot.COLUMNS).map((label, place) => ({
      label, place, n: sums.reduce((total, line) => total + line[place].n, 0),
    }));
    const shares = sums.map((line) => columns.map(({ place, n }) => (n ? line[place].n / n : 0)));
    const highest = Math.max(...shares.flat(), 0) || 1;
    const head = columns.map(({ label, n }) => make("th", { scope: "col" }, label, make("small", {}, rows(n))));
    const lines = shares.map((line, value) =>
      make("tr", {}, make("th", { scope: "row" }, this.cells.features[this.feature].labels[value]),
        ...line.map((share, place) => make("td", { style: `--share:${100 * share / highest}%;--bar:var(--series-${place + 1})` }, percent(share)))));
    this.table.replaceChildren(make("thead", {}, make("tr", {}, make("td"), ...head)), make("tbody", {}, ...lines));
  }
}

// Decomposition of the difference of two selections into the mix of classes and their rates.
class MixPlot {
  static MOST = 12;
  static FEWEST = 30; // rows of a version, to compare it with the others

  constructor(cells, feature, version) {
    [this.cells, this.feature, this.version] = [cells, feature, version];
    this.caption = make("figcaption");
    this.table = make("table", { class: "mix" });
    this.element = make("figure", {}, this.caption, make("div", { class: "scroll plain" }, this.table));
  }

  // Two groups of rows and their names: the selections, or without any the version that fails most and the others.
  sides(view) {
    if (view.a.has(this.feature) || view.b.has(this.feature)) return null;
    if (view.a.size) {
      const isFirst = this.cells.isIn(view.a);
      const isSecond = view.hasB ? this.cells.isIn(view.b) : (cell) => !isFirst(cell);
      return { isFirst, isSecond, firstName: this.cells.describe(view.a), secondName: view.hasB ? this.cells.describe(view.b) : "all other rows" };
    }
    if (view.hasB || this.version === null) return null;
    const { values, phrases } = this.cells.features[this.version];
    const sums = view.facetsA[this.version];
    const versions = values.map((_, value) => value).filter((value) => sums[value].n >= MixPlot.FEWEST);
    if (versions.length < 2) return null;
    const rate = (value) => sums[value].k / sums[value].n;
    const worst = versions.reduce((worstSoFar, next) => (rate(next) > rate(worstSoFar) || (rate(next) === rate(worstSoFar) && values[next] > values[worstSoFar]) ? next : worstSoFar));
    const isFirst = (cell) => this.cells.codes[this.version][cell] === worst;
    return { isFirst, isSecond: (cell) => !isFirst(cell), firstName: phrases[worst], secondName: "the other versions" };
  }

  draw(view) {
    const sides = this.sides(view);
    const [first, second] = sides ? [sides.isFirst, sides.isSecond].map((isIn) => this.cells.byValue(this.feature, isIn)) : [[], []];
    const hasRows = (sums) => sums.some(({ n }) => n > 0);
    this.element.hidden = !sides || !hasRows(first) || !hasRows(second);
    if (this.element.hidden) return;
    const { labels, noun } = this.cells.features[this.feature];
    const parts = mixAndRate(first, second).map((part, value) => ({ ...part, label: labels[value] }));
    const sum = (name) => parts.reduce((total, part) => total + part[name], 0);
    const size = (part) => Math.max(Math.abs(part.mix), Math.abs(part.rate));
    const shown = parts.filter(size).sort((a, b) => size(b) - size(a)).slice(0, MixPlot.MOST);
    const title = `Why ${sides.firstName} differs from ${sides.secondName}`;
    const detail = `Its failure rate differs by ${points(sum("mix") + sum("rate"))}: ${points(sum("mix"))} by the mix of values of ${noun}, ${points(sum("rate"))} by the rates within them.`;
    Object.assign(this.element.dataset, { mix: sum("mix"), rate: sum("rate") });
    this.caption.replaceChildren(title, make("small", {}, detail));
    const [low, high] = [Math.min(0, ...shown.flatMap((p) => [p.mix, p.rate])), Math.max(0, ...shown.flatMap((p) => [p.mix, p.rate]))];
    const span = high - low || 1;
    const cell = (value, series) => {
      const track = make("span", { class: "track", "aria-hidden": "true" }, spanAt("zero", -low / span), spanAt("part", (Math.min(value, 0) - low) / span, Math.abs(value) / span));
      return make("td", { style: `--bar:var(--series-${series})` }, track, points(value));
    };
    const head = make("tr", {}, make("td"), ...["By mix", "By rate"].map((text) => make("th", { scope: "col" }, text)));
    const lines = shown.map((part) => make("tr", {}, make("th", { scope: "row" }, part.label), cell(part.mix, 1), cell(part.rate, 2)));
    this.table.setAttribute("aria-label", title);
    this.table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...lines));
  }
}
