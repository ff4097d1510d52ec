// The formulas of keras_otel.analysis.slices.intervals and comparison: the page must show the same numbers.
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

// Sum of the squared residuals of rows with these sums at this rate.
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
function compareSums(first, second, shared, design) {
  const [rate, rest] = [first.k / first.n, second.k / second.n];
  let variance = squaredResiduals(first, rate) / first.n ** 2 + squaredResiduals(second, rest) / second.n ** 2;
  const across = shared.kk * (1 - rate - rest) + rate * rest * shared.nn;
  variance -= 2 * across / (first.n * second.n);
  const spread = Z * Math.sqrt(Math.max(variance, 0) * design);
  const [n1, n0] = [effectiveRows(first, design), effectiveRows(second, design)];
  return {
    difference: rate - rest,
    differenceInterval: [rate - rest - spread, rate - rest + spread],
    ratio: rest > 0 ? rate / rest : rate > 0 ? Infinity : 1,
    // With rows in both selections the logarithms of the rates are not independent.
    ratioInterval: shared.n > 0 ? null : riskRatioInterval(rate * n1, n1, rest * n0, n0),
  };
}

// Decompose the difference of two rates: what each value contributes by its frequency (mix) and by its rate
// (E. M. Kitagawa, 1955). `firstSums` and `secondSums` are sums by value.
function mixAndRate(firstSums, secondSums) {
  const total = (sums) => sums.reduce(([n, k], value) => [n + value.n, k + value.k], [0, 0]);
  const [[n1, k1], [n0, k0]] = [total(firstSums), total(secondSums)];
  const meanRate = (k1 / n1 + k0 / n0) / 2;
  return firstSums.map((first, place) => {
    const second = secondSums[place];
    if (!first.n && !second.n) return { mix: 0, rate: 0 };
    const firstRate = first.n ? first.k / first.n : second.k / second.n;
    const secondRate = second.n ? second.k / second.n : firstRate;
    const [firstShare, secondShare] = [first.n / n1, second.n / n0];
    return {
      mix: (firstShare - secondShare) * ((firstRate + secondRate) / 2 - meanRate),
      rate: (firstRate - secondRate) * (firstShare + secondShare) / 2,
    };
  });
}
