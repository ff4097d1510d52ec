// The cells of one evaluation. A selection is a Map from the place of a feature to a Set of places of its
// values: it contains the rows that have one of these values in each of these features.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

class Cells {
  constructor(embedded) {
    this.features = embedded.features;
    this.codes = embedded.codes.map((column) =>
      Uint16Array.from(column, typeof column === "string" ? (letter) => LETTERS.indexOf(letter) : undefined));
    this.n = Float64Array.from(embedded.n);
    this.k = Float64Array.from(embedded.k);
    this.nn = embedded.nn ? Float64Array.from(embedded.nn) : this.n;
    this.kk = embedded.kk ? Float64Array.from(embedded.kk) : this.k;
  }

  static zeroSums() {
    return { n: 0, k: 0, nn: 0, kk: 0 };
  }

  add(sums, cell) {
    sums.n += this.n[cell];
    sums.k += this.k[cell];
    sums.nn += this.nn[cell];
    sums.kk += this.kk[cell];
  }

  // In how many features of the selection a cell has none of its values, and the last of these features.
  mismatches(selection, cell) {
    let [mismatched, last] = [0, -1];
    for (const [feature, values] of selection) {
      if (!values.has(this.codes[feature][cell])) {
        mismatched += 1;
        last = feature;
      }
    }
    return [mismatched, last];
  }

  // Sums of selection A, of all other rows, of selection B, and of the rows in both.
  totals(a, b) {
    const sums = { a: Cells.zeroSums(), rest: Cells.zeroSums(), b: Cells.zeroSums(), shared: Cells.zeroSums() };
    const [isInA, isInB] = [this.isIn(a), this.isIn(b)];
    for (let cell = 0; cell < this.n.length; cell += 1) {
      this.add(isInA(cell) ? sums.a : sums.rest, cell);
      if (isInB(cell)) this.add(sums.b, cell);
      if (isInA(cell) && isInB(cell)) this.add(sums.shared, cell);
    }
    return sums;
  }

  // Sums by the values of every feature. The selection of a feature does not apply to its own values, so that
  // the others can be selected next.
  facets(selection) {
    const sums = this.features.map((feature) => feature.values.map(Cells.zeroSums));
    for (let cell = 0; cell < this.n.length; cell += 1) {
      const [mismatched, last] = this.mismatches(selection, cell);
      if (mismatched > 1) continue;
      if (mismatched === 1) {
        this.add(sums[last][this.codes[last][cell]], cell);
        continue;
      }
      for (let place = 0; place < sums.length; place += 1) this.add(sums[place][this.codes[place][cell]], cell);
    }
    return sums;
  }

  // Sums by the values of two features, [row][column]; the selection of these two does not apply.
  crossTabulated(selection, row, column) {
    const others = new Map([...selection].filter(([feature]) => feature !== row && feature !== column));
    const sums = this.features[row].values.map(() => this.features[column].values.map(Cells.zeroSums));
    for (let cell = 0; cell < this.n.length; cell += 1) {
      if (this.mismatches(others, cell)[0] === 0) this.add(sums[this.codes[row][cell]][this.codes[column][cell]], cell);
    }
    return sums;
  }

  // Sums by the values of one feature, over the cells that `isIn` accepts.
  byValue(feature, isIn) {
    const sums = this.features[feature].values.map(Cells.zeroSums);
    for (let cell = 0; cell < this.n.length; cell += 1) {
      if (isIn(cell)) this.add(sums[this.codes[feature][cell]], cell);
    }
    return sums;
  }

  isIn(selection) {
    return (cell) => this.mismatches(selection, cell)[0] === 0;
  }

  describe(selection) {
    const parts = [...selection].map(([feature, values]) => this.phrase(feature, values));
    return parts.length ? listed(parts) : "all rows";
  }

  // Adjacent ranges are described as one: "confidence below 0.9".
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

  range(lower, upper, [prefix, separator]) {
    if (lower === null && upper === null) return "of any value";
    if (lower === null) return `below ${upper}`;
    return upper === null ? `at least ${lower}` : `${prefix}${lower}${separator}${upper}`;
  }
}
