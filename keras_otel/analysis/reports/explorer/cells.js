// The cells of one evaluation. A selection is a Map from the place of a feature to a Set of values'
// places: rows match that have one of the values in each feature named.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

class Cells {
  constructor(carried) {
    this.features = carried.features;
    this.codes = carried.codes.map((column) =>
      Uint16Array.from(column, typeof column === "string" ? (letter) => LETTERS.indexOf(letter) : undefined));
    this.n = Float64Array.from(carried.n);
    this.k = Float64Array.from(carried.k);
    this.nn = carried.nn ? Float64Array.from(carried.nn) : this.n;
    this.kk = carried.kk ? Float64Array.from(carried.kk) : this.k;
  }

  static none() {
    return { n: 0, k: 0, nn: 0, kk: 0 };
  }

  add(sums, cell) {
    sums.n += this.n[cell];
    sums.k += this.k[cell];
    sums.nn += this.nn[cell];
    sums.kk += this.kk[cell];
  }

  // How many features of the selection a cell has no wanted value of, and the last of them.
  misses(selection, cell) {
    let [missed, last] = [0, -1];
    for (const [feature, values] of selection) {
      if (!values.has(this.codes[feature][cell])) {
        missed += 1;
        last = feature;
      }
    }
    return [missed, last];
  }

  // Sums of a selection, of all other rows, of those of another selection, and of those in both.
  totals(selection, other) {
    const found = { one: Cells.none(), rest: Cells.none(), other: Cells.none(), shared: Cells.none() };
    for (let cell = 0; cell < this.n.length; cell += 1) {
      const isOne = this.misses(selection, cell)[0] === 0;
      const isOther = this.misses(other, cell)[0] === 0;
      this.add(isOne ? found.one : found.rest, cell);
      if (isOther) this.add(found.other, cell);
      if (isOne && isOther) this.add(found.shared, cell);
    }
    return found;
  }

  // Sums by the values of every feature. What is selected in a feature itself does not hide its other
  // values: they can be chosen next.
  facets(selection) {
    const sums = this.features.map((feature) => feature.values.map(Cells.none));
    for (let cell = 0; cell < this.n.length; cell += 1) {
      const [missed, last] = this.misses(selection, cell);
      if (missed > 1) continue;
      if (missed === 1) {
        this.add(sums[last][this.codes[last][cell]], cell);
        continue;
      }
      for (let place = 0; place < sums.length; place += 1) this.add(sums[place][this.codes[place][cell]], cell);
    }
    return sums;
  }

  // Sums by the values of two features, [row][column], whatever is selected in these two.
  crossed(selection, row, column) {
    const others = new Map([...selection].filter(([feature]) => feature !== row && feature !== column));
    const sums = this.features[row].values.map(() => this.features[column].values.map(Cells.none));
    for (let cell = 0; cell < this.n.length; cell += 1) {
      if (this.misses(others, cell)[0] === 0) this.add(sums[this.codes[row][cell]][this.codes[column][cell]], cell);
    }
    return sums;
  }

  // Sums by the values of one feature of the rows that `isIn` accepts.
  by(feature, isIn) {
    const sums = this.features[feature].values.map(Cells.none);
    for (let cell = 0; cell < this.n.length; cell += 1) {
      if (isIn(cell)) this.add(sums[this.codes[feature][cell]], cell);
    }
    return sums;
  }

  isIn(selection) {
    return (cell) => this.misses(selection, cell)[0] === 0;
  }

  describe(selection) {
    const parts = [...selection].map(([feature, values]) => this.phrase(feature, values));
    return parts.length ? listed(parts) : "all rows";
  }

  // Neighbouring ranges are one: "confidence below 0.9".
  phrase(feature, values) {
    const { noun, labels, phrases, ends, between } = this.features[feature];
    const chosen = [...values].sort((a, b) => a - b);
    if (chosen.length === 1) return phrases[chosen[0]];
    const runs = [];
    for (const value of chosen) {
      const run = runs.at(-1);
      if (run && run[1] === value - 1 && ends[value] && ends[run[0]]) run[1] = value;
      else runs.push([value, value]);
    }
    return runs.map(([from, to], place) => {
      if (from === to) return place ? labels[from] : phrases[from];
      const range = this.range(ends[from][0], ends[to][1], between);
      return place ? range : `${noun} ${range}`;
    }).join(" or ");
  }

  range(lower, upper, [before, middle]) {
    if (lower === null && upper === null) return "of any value";
    if (lower === null) return `below ${upper}`;
    return upper === null ? `at least ${lower}` : `${before}${lower}${middle}${upper}`;
  }
}
