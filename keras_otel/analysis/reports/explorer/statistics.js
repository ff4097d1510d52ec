// The formulas of keras_otel.analysis.slices.intervals and comparison: the page must say the same numbers.
const Z = 1.959963984540054;

function wilson(rate, n) {
  if (!(n > 0)) return [NaN, NaN];
  const spread = Z * Math.sqrt(rate * (1 - rate) / n + Z ** 2 / (4 * n ** 2));
  const scale = 1 + Z ** 2 / n;
  const centre = rate + Z ** 2 / (2 * n);
  return [rate === 0 ? 0 : (centre - spread) / scale, rate === 1 ? 1 : (centre + spread) / scale];
}

function riskRatioInterval(failed, n, failedRest, nRest) {
  const [k1, n1, k0, n0] = [failed + 0.5, n + 0.5, failedRest + 0.5, nRest + 0.5];
  const logRatio = Math.log(k1 / n1) - Math.log(k0 / n0);
  const spread = Z * Math.sqrt(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0);
  return [Math.exp(logRatio - spread), Math.exp(logRatio + spread)];
}

// The sum of the squared residuals of rows with these sums at this rate.
const squaredResiduals = (sums, rate) => sums.kk * (1 - 2 * rate) + rate ** 2 * sums.nn;

function effectiveRows(sums, design) {
  const rate = sums.k / sums.n;
  const squared = squaredResiduals(sums, rate);
  const byVariance = rate > 0 && rate < 1 && squared > 0;
  const rows = byVariance ? rate * (1 - rate) * sums.n ** 2 / squared : sums.n ** 2 / sums.nn;
  return rows / design;
}

function rateOf(sums, design) {
  if (!(sums.n > 0)) return { rate: NaN, lower: NaN, upper: NaN };
  const rate = sums.k / sums.n;
  const [lower, upper] = wilson(rate, effectiveRows(sums, design));
  return { rate, lower, upper };
}

// Compare two selections; `shared` are the sums of the rows that are in both.
function compareSums(one, other, shared, design) {
  const [rate, rest] = [one.k / one.n, other.k / other.n];
  let variance = squaredResiduals(one, rate) / one.n ** 2 + squaredResiduals(other, rest) / other.n ** 2;
  const across = shared.kk * (1 - rate - rest) + rate * rest * shared.nn;
  variance -= 2 * across / (one.n * other.n);
  const spread = Z * Math.sqrt(Math.max(variance, 0) * design);
  const [n1, n0] = [effectiveRows(one, design), effectiveRows(other, design)];
  return {
    difference: rate - rest,
    differenceInterval: [rate - rest - spread, rate - rest + spread],
    ratio: rest > 0 ? rate / rest : rate > 0 ? Infinity : 1,
    // Of rows that are in both, the logarithms of the rates depend on one another.
    ratioInterval: shared.n > 0 ? null : riskRatioInterval(rate * n1, n1, rest * n0, n0),
  };
}

// How much each value adds to the difference of two rates by its frequency (mix) and by its rate
// (E. M. Kitagawa, 1955); `one` and `other` hold sums by value.
function mixAndRate(one, other) {
  const total = (sums) => sums.reduce((all, each) => [all[0] + each.n, all[1] + each.k], [0, 0]);
  const [[n1, k1], [n0, k0]] = [total(one), total(other)];
  const usual = (k1 / n1 + k0 / n0) / 2;
  return one.map((here, place) => {
    const there = other[place];
    if (!here.n && !there.n) return { mix: 0, rate: 0 };
    const rateHere = here.n ? here.k / here.n : there.k / there.n;
    const rateThere = there.n ? there.k / there.n : rateHere;
    const [shareHere, shareThere] = [here.n / n1, there.n / n0];
    return {
      mix: (shareHere - shareThere) * ((rateHere + rateThere) / 2 - usual),
      rate: (rateHere - rateThere) * (shareHere + shareThere) / 2,
    };
  });
}
