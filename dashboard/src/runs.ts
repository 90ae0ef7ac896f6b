// Which runs are shown, in which order, and what tells them apart.
import type { Run } from "./messages";

/** A run's value by the name that filters, columns and colours use: a parameter, a metric, or a field of its own. */
export function fieldOf(run: Run, name: string): string | number | undefined {
  if (name in run.params) {
    const value = run.params[name];
    return typeof value === "number" || typeof value === "string" ? value : JSON.stringify(value);
  }
  if (name in run.latest) return run.latest[name];
  switch (name) {
    case "id":
    case "name":
    case "state":
    case "stage":
    case "seed":
    case "progress":
    case "flops":
    case "step":
    case "worker":
    case "reason":
    case "attempts":
    case "seconds_left":
    case "model_params":
      return run[name];
    case "budget":
      return run.budget_flops ?? run.budget_samples ?? run.budget_steps;
  }
  return undefined;
}

/** Parameters (and budget, seed, stage) that are not the same for all runs. */
export function varying(runs: Run[]): string[] {
  const names = new Set<string>();
  for (const run of runs) for (const name of Object.keys(run.params)) names.add(name);
  return [...names, "budget", "seed", "stage"].filter(
    (name) => new Set(runs.map((run) => fieldOf(run, name))).size > 1,
  );
}

export function metricsOf(runs: Run[]): string[] {
  const names = new Set<string>();
  for (const run of runs) for (const name of Object.keys(run.latest)) names.add(name);
  return [...names].sort();
}

const TERM = /^([\w.]+)(<=|>=|!=|=|<|>)(.*)$/;
type Test = (run: Run) => boolean;

function testOf(term: string): Test {
  const parts = TERM.exec(term);
  if (!parts) {
    const text = term.toLowerCase();
    return (run) => `${run.name} ${run.state} ${run.stage}`.toLowerCase().includes(text);
  }
  const [, name, operator, wanted] = parts;
  const number = Number(wanted);
  return (run) => {
    const value = fieldOf(run, name);
    if (value === undefined) return operator === "!=";
    const same = typeof value === "number" ? value === number : value.toLowerCase() === wanted.toLowerCase();
    switch (operator) {
      case "=":
        return same;
      case "!=":
        return !same;
      case "<":
        return Number(value) < number;
      case ">":
        return Number(value) > number;
      case "<=":
        return Number(value) <= number;
      default:
        return Number(value) >= number;
    }
  };
}

/** `width=64 loss<2 failed`: all terms must hold; a term without an operator is looked for in name, state and stage. */
export function filterRuns(runs: Run[], filter: string): Run[] {
  const tests = filter.split(/\s+/).filter(Boolean).map(testOf);
  return tests.length === 0 ? runs : runs.filter((run) => tests.every((test) => test(run)));
}

/** `-loss` is descending. Runs without the value come last. */
export function sortRuns(runs: Run[], order: string): Run[] {
  if (!order) return runs;
  const down = order.startsWith("-");
  const name = down ? order.slice(1) : order;
  return runs
    .map((run) => ({ run, value: fieldOf(run, name) }))
    .sort((a, b) => {
      if (a.value === undefined || b.value === undefined)
        return Number(a.value === undefined) - Number(b.value === undefined);
      const less =
        typeof a.value === "number" && typeof b.value === "number"
          ? a.value - b.value
          : String(a.value).localeCompare(String(b.value), undefined, { numeric: true });
      return down ? -less : less;
    })
    .map(({ run }) => run);
}
