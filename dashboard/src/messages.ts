// The server's JSON: messages of proto/scalelaw/v1 as `scalelaw --json` prints them, as far as the page reads them.

export type RunState = "waiting" | "queued" | "running" | "succeeded" | "failed" | "cancelled" | "skipped";
export type Estimate = { value: number | null; low95: number | null; high95: number | null };
/** [value, low, high] of a 95 % interval; null for what is not finite. */
export type Interval = [number | null, number | null, number | null];

export interface Sweep {
  id: number;
  name: string;
  study: string;
  state: "running" | "succeeded" | "failed" | "cancelled";
  runs: { total: number } & Record<RunState, number>;
  flops_spent: number;
  flops_planned: number;
  seconds_left?: number;
  submitted?: string;
  finished?: string;
}
export interface Run {
  id: number;
  sweep_id: number;
  study: string;
  stage: string;
  name: string;
  state: RunState;
  params: Record<string, unknown>;
  budget_flops?: number;
  budget_samples?: number;
  budget_steps?: number;
  seed: number;
  holdout: boolean;
  command: string[];
  model_params: number;
  flops_per_sample: number;
  progress: number;
  step: number;
  samples: number;
  flops: number;
  latest: Record<string, number>;
  seconds_left?: number;
  attempts: number;
  worker: string;
  exit_code: number;
  reason: string;
  started?: string;
  finished?: string;
  slots: number;
}
export interface Snapshot {
  sweep: Sweep;
  runs: Run[];
}
export interface Study {
  study: string;
  slot_seconds: number;
  failed_attempts: number;
  lost_attempts: number;
  energy_joules?: number;
  laws: number;
  metrics: string[];
  sweeps: Sweep[];
}
export interface Curve {
  run_id: number;
  x: number[];
  y: number[];
}
export interface Curves {
  metric: string;
  extrema: boolean;
  curves: Curve[];
}
export interface RunDetails {
  run: Run;
  artifacts: { name: string; kind: string; path: string }[];
}
export interface LogChunks {
  chunks: { id: number; attempt: number; text: string }[];
}

export interface Parameter {
  name: string;
  value: number | null;
  se: number | null;
  ci95_low: number | null;
  ci95_high: number | null;
  identified: boolean;
  unbounded: string;
  fixed: boolean;
}
export interface Law {
  id: number;
  study: string;
  metric: string;
  form: string;
  formula: string;
  x: string[];
  n: number;
  objective: { kind: string; residual: string };
  parameters: Parameter[];
  r2: number | null;
  warnings: string[];
  ranges: { column: string; low: number; high: number }[];
  fitted: string;
  resample: string;
  intervals: string;
  rivals: { form: string; weight: number }[];
}
export interface Observation {
  run_id: number;
  run: string;
  params: number;
  samples: number;
  flops: number;
  value: number;
  seed: number;
  holdout: boolean;
  budget_flops: number;
}
export interface PathPoint {
  flops: number;
  params: Interval;
  samples: Interval;
  value: Interval;
}
export interface Surface {
  cost: { factor: number; exponent: number };
  steps: number;
  params: [number, number];
  samples: [number, number];
  values: (number | null)[];
  path: PathPoint[];
}
export interface IsoFlop {
  flops: number;
  points: [number, number][];
  curve: [number, number][];
  best: [number, number];
  bracketed: boolean;
  reason: string;
}
export interface LawView {
  law: Law;
  runs: Observation[];
  held_out: Observation[];
  score: boolean;
  chance?: number;
  ceiling?: number;
  noise: number;
  /** [fitted, residual, then the columns] */
  residuals: number[][];
  frontier: [number, number][];
  isoflop: IsoFlop[];
  /** [flops, value, low50, high50, low95, high95] */
  band?: number[][];
  surface?: Surface;
  no_surface?: string;
}
export interface Prediction {
  value: number;
  low50: number;
  high50: number;
  low95: number;
  high95: number;
  extrapolation: Record<string, number>;
  warnings: string[];
}
export interface Optimum {
  params: Estimate;
  samples: Estimate;
  prediction: Prediction;
  params_low: number;
  params_high: number;
  warnings: string[];
}
export interface Ranking {
  by: string;
  forms: {
    form: string;
    x: string[];
    error: number | null;
    bias: number | null;
    coverage95?: number | null;
    weight?: number | null;
    survives: boolean;
    failures: string[];
  }[];
  splits: { factor: number; fitted: number; held_out: number }[];
  warnings: string[];
}
export interface Comparison {
  a: string;
  b: string;
  metric: string;
  column: string;
  paired: boolean;
  unpaired_because: string;
  at: {
    at: number;
    a: Estimate;
    b: Estimate;
    multiplier: Estimate;
    unreachable: number;
    a_better?: number;
    inside: boolean;
  }[];
  crossings: { at: Estimate; share: number; inside: boolean; a_better_beyond: boolean }[];
  warnings: string[];
}
export interface Worker {
  id: number;
  name: string;
  host: string;
  state: "ready" | "draining" | "away" | "lost" | "gone";
  slots: number;
  slots_used: number;
  labels: Record<string, string>;
  last_seen: string;
  run_ids: number[];
  version: string;
}
export interface Cluster {
  workers: Worker[];
  queue: {
    sweep_id: number;
    sweep: string;
    stage: string;
    state: "queued" | "waiting";
    reason: string;
    slots: number;
    labels: Record<string, string> | null;
    runs: number;
  }[];
}
