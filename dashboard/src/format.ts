// Numbers as people read them, with their units.

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
export function powerOfTen(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPT[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** 1.64×10¹² */
export function scientific(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const short = String(Number(mantissa));
  return short === "1" ? powerOfTen(Number(exponent)) : `${short}×${powerOfTen(Number(exponent))}`;
}

/** 183k, 1.2M */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  for (const [unit, suffix] of [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (Math.abs(value) >= unit) return `${trim((value / unit).toPrecision(3))}${suffix}`;
  return trim(value.toPrecision(3));
}
function trim(text: string): string {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

/** A metric's value: four digits. */
export function metricValue(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3)) return scientific(value, 4);
  return trim(value.toPrecision(4));
}

export function percent(share: number): string {
  // 100 % is said of what is complete only.
  return `${share >= 1 ? 100 : Math.min(99, Math.round(100 * share))} %`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
export function hours(seconds: number): string {
  return seconds < 3600 ? duration(seconds) : `${trim((seconds / 3600).toPrecision(3))} h`;
}
export function energy(joules: number): string {
  return joules >= 3.6e6
    ? `${trim((joules / 3.6e6).toPrecision(3))} kWh`
    : `${trim((joules / 3600).toPrecision(3))} Wh`;
}
export function time(iso: string | undefined): string {
  return iso ? new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–";
}
export function ago(iso: string | undefined): string {
  if (!iso) return "–";
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  return seconds < 10 ? "just now" : `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}
/** `params` -> `Parameters`, with units; a metric is itself. */
export function columnLabel(column: string): string {
  const labels: Record<string, string> = {
    flops: "Training compute (FLOPs)",
    params: "Parameters",
    samples: "Samples seen",
    step: "Step",
    unique_samples: "Unique samples",
  };
  return labels[column] ?? column;
}
