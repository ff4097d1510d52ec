// Format numbers as keras_otel.analysis.reports.numbers does.
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

// Python rounds numbers exactly halfway to the even digit, toFixed away from zero.
function fixed(value, digits) {
  const exact = value.toFixed(60);
  const kept = exact.slice(0, exact.length - 60 + digits).replace(/\.$/, "");
  const isHalfway = /^50*$/.test(exact.slice(exact.length - 60 + digits));
  return isHalfway && "02468".includes(kept.at(-1)) ? kept : value.toFixed(digits);
}

const count = (number) => (Number.isFinite(number) ? grouped.format(Number(fixed(number, 0))) : "n/a");
const rows = (number) => `${count(number)} ${count(number) === "1" ? "row" : "rows"}`;

function percent(share) {
  if (!Number.isFinite(share)) return "n/a";
  if (share === 0 || share === 1) return `${100 * share} %`;
  const value = 100 * share;
  if (Math.abs(value) < 0.1) return value > 0 ? "< 0.1 %" : "> -0.1 %";
  if (value > 99.9 && value < 100) return "> 99.9 %";
  const isWhole = Math.abs(value) >= 9.95 && Math.abs(value) < 90.05;
  return `${isWhole ? fixed(value, 0) : fixed(value, 1).replace(/\.0$/, "")} %`;
}

const percentRange = (lower, upper) =>
  Number.isFinite(lower) && Number.isFinite(upper) ? `${percent(lower)} to ${percent(upper)}` : "n/a";

function points(difference) {
  if (!Number.isFinite(difference)) return "n/a";
  if (difference !== 0 && Math.abs(difference) < 0.0005) return difference > 0 ? "< +0.1 points" : "> -0.1 points";
  return `${difference > 0 ? "+" : ""}${fixed(100 * difference, 1)} points`;
}

function ratio(value) {
  if (Number.isNaN(value)) return "n/a";
  if (!Number.isFinite(value)) return "infinite";
  return value >= 9.95 ? count(value) : value >= 0.95 ? fixed(value, 1) : fixed(value, 2);
}

const listed = (parts) =>
  parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
