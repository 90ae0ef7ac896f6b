// The plots of a law: compute, isoFLOP, contours, residuals.
import { contours } from "d3-contour";
import { area, extent, frame, polyline, withLegend, type Option } from "../chart";
import { columnLabel, count, metricValue, scientific } from "../format";
import type { LawView, Observation, Surface } from "../messages";
import { orderedColor, scaleColor, type Theme } from "../palette";

const HELD_OUT_SIZE = 13;
const MOST_SIZES = 9;

function tip(run: Observation, metric: string): string {
  const element = document.createElement("span");
  element.textContent = run.run;
  return `<b>${element.innerHTML}</b><br>${metric} ${metricValue(run.value)}<br>${scientific(run.flops)} FLOPs, ${count(run.params)} parameters`;
}

function scatter(
  name: string,
  runs: Observation[],
  metric: string,
  at: (run: Observation) => [number, number],
  style: Option,
): Option {
  return {
    type: "scatter",
    name,
    data: runs.map(at),
    symbolSize: runs.length > 500 ? 5 : 8,
    ...style,
    tooltip: { formatter: (params: { dataIndex: number }) => tip(runs[params.dataIndex], metric) },
  };
}

function budgetLine(flops: number | undefined, y: [number, number] | undefined, theme: Theme): Option[] {
  if (!flops || !y) return [];
  return [
    polyline(
      "your budget",
      [
        [flops, y[0]],
        [flops, y[1]],
      ],
      { color: theme.faint, type: "dotted", width: 1.5 },
    ),
  ];
}

/** Runs by their sizes: one colour each where they are few, along a scale where they are many. */
function bySize(view: LawView, theme: Theme): { name: string; runs: Observation[]; color: string }[] {
  const sizes = [...new Set(view.runs.map((run) => run.params))].sort((a, b) => a - b);
  if (sizes.length <= 1) return [{ name: "run", runs: view.runs, color: theme.faint }];
  const bins = Math.min(sizes.length, MOST_SIZES);
  const bin = (params: number) => Math.floor((sizes.indexOf(params) * bins) / sizes.length);
  return Array.from({ length: bins }, (_, index) => {
    const own = sizes.filter((size) => bin(size) === index);
    const name = own.length === 1 ? count(own[0]) : `${count(own[0])} – ${count(own[own.length - 1])}`;
    return {
      name: index === 0 ? `${name} params` : name,
      runs: view.runs.filter((run) => bin(run.params) === index),
      color: orderedColor(index, bins, theme),
    };
  });
}

/** [flops, value, low50, high50, low95, high95]; a surface's best size has no 50 % interval. */
function bandOf(view: LawView): number[][] {
  if (view.band) return view.band;
  return (view.surface?.path ?? []).map(({ flops, value: [value, low, high] }) => [
    flops,
    value!,
    NaN,
    NaN,
    low!,
    high!,
  ]);
}

export function computePlot(view: LawView, budget: number | undefined, theme: Theme): Option {
  const { law } = view;
  const logY = !view.score;
  const runs = [...view.runs, ...view.held_out];
  const most = Math.max(...runs.map((run) => run.flops), budget ?? 0);
  const band = bandOf(view).filter(([flops]) => flops <= 2.5 * most);
  const x = extent(
    [...runs.map((run) => run.flops), ...band.map((row) => row[0]), ...(budget ? [budget] : [])],
    true,
    0.02,
  );
  const y = extent(
    [
      ...runs.map((run) => run.value),
      ...band.flatMap(([, value, , , low, high]) => [value, low, high]),
      ...[view.chance, view.ceiling].filter((bound): bound is number => bound !== undefined),
    ],
    logY,
    0.05,
  );
  const fittedTo = Math.max(...view.runs.map((run) => run.flops));
  const curve = (rows: number[][]) => rows.map(([flops, value]): [number, number] => [flops, value]);
  const bounds = (
    [
      ["chance", view.chance],
      ["ceiling", view.ceiling],
    ] as const
  ).filter(([, value]) => value !== undefined);
  const series: Option[] = [
    ...(band.length
      ? [
          area(
            "95 % of new runs",
            band.map(([f, , , , low, high]) => [f, low, high]),
            theme.law,
            0.14,
          ),
          ...(view.band
            ? [
                area(
                  "50 %",
                  band.map(([f, , low, high]) => [f, low, high]),
                  theme.law,
                  0.22,
                ),
              ]
            : []),
          polyline(
            view.band ? "fitted law" : "fitted law at its best size",
            curve(band.filter(([f]) => f <= fittedTo * 1.05)),
            { color: theme.law, width: 2.5 },
          ),
          polyline("extrapolated", curve(band.filter(([f]) => f >= fittedTo * 0.95)), {
            color: theme.law,
            width: 2.5,
            type: "dashed",
          }),
        ]
      : []),
    ...(view.frontier.length > 1 ? [polyline("frontier", view.frontier, { color: theme.faint, width: 1.2 })] : []),
    ...bounds.map(([name, value]) =>
      polyline(
        name,
        [
          [x![0], value!],
          [x![1], value!],
        ],
        { color: theme.faint, width: 1, type: "dotted" },
      ),
    ),
    ...bySize(view, theme).map(({ name, runs: own, color }) =>
      scatter(name, own, law.metric, (run) => [run.flops, run.value], { itemStyle: { color } }),
    ),
    ...(view.held_out.length
      ? [
          scatter("held out", view.held_out, law.metric, (run) => [run.flops, run.value], {
            symbol: "diamond",
            symbolSize: HELD_OUT_SIZE,
            itemStyle: { color: theme.heldOut, borderColor: theme.ground, borderWidth: 1.5 },
            z: 5,
          }),
        ]
      : []),
    ...budgetLine(budget, y, theme),
  ];
  return {
    ...frame({ label: columnLabel("flops"), log: true, range: x }, { label: law.metric, log: logY, range: y }, theme),
    ...withLegend(series, theme),
  };
}

export function isoflopPlot(view: LawView, theme: Theme): Option | undefined {
  const { isoflop, law } = view;
  if (isoflop.length === 0) return undefined;
  const logY = !view.score;
  const points = isoflop.flatMap((iso) => iso.points);
  const x = extent(
    points.map(([params]) => params),
    true,
    0.05,
  );
  // A steep parabola must not squeeze the others.
  const y = extent([...points.map(([, value]) => value), ...isoflop.map((iso) => iso.best[1])], logY, 0.08);
  return {
    ...frame({ label: columnLabel("params"), log: true, range: x }, { label: law.metric, log: logY, range: y }, theme),
    ...withLegend(
      isoflop.flatMap((iso, index) => {
        const color = orderedColor(index, isoflop.length, theme);
        const name = `${scientific(iso.flops)}${index === 0 ? " FLOPs" : ""}`;
        return [
          polyline(name, iso.curve, { color, width: 1.6, type: iso.bracketed ? "solid" : "dotted" }),
          {
            type: "scatter",
            name,
            data: iso.points,
            symbolSize: 7,
            itemStyle: { color },
            tooltip: {
              formatter: ({ value }: { value: [number, number] }) =>
                `${scientific(iso.flops)} FLOPs<br>${count(value[0])} parameters: ${metricValue(value[1])}`,
            },
          },
          ...(iso.bracketed
            ? [
                {
                  type: "scatter",
                  name,
                  data: [iso.best],
                  symbol: "diamond",
                  symbolSize: 13,
                  itemStyle: { color, borderColor: theme.text, borderWidth: 1.5 },
                  z: 5,
                  tooltip: {
                    formatter: () =>
                      `best size at ${scientific(iso.flops)} FLOPs<br>${count(iso.best[0])} parameters: ${metricValue(iso.best[1])}`,
                  },
                },
              ]
            : []),
        ];
      }),
      theme,
    ),
  };
}

function between([low, high]: [number, number], share: number): number {
  return low * (high / low) ** share;
}

/** Levels that stand about equally far apart on paper, as numbers of three digits. */
function levels(values: number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  const round = [0.02, 0.08, 0.16, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.93].map((share) =>
    Number(sorted[Math.floor(share * (sorted.length - 1))].toPrecision(3)),
  );
  return [...new Set(round)];
}

export function contourPlot(view: LawView, surface: Surface, budget: number | undefined, theme: Theme): Option {
  const side = surface.steps + 1;
  const values = surface.values.map((value) => value ?? NaN);
  const drawn = levels(values.filter(Number.isFinite));
  const found = contours().size([side, side]).thresholds(drawn)(values);
  const grid = ([i, j]: number[]): [number, number] => [
    between(surface.params, (i - 0.5) / surface.steps),
    between(surface.samples, (j - 0.5) / surface.steps),
  ];
  const edge = (at: number) => at <= 0.501 || at >= side - 0.501;
  const lines = found.flatMap((contour, index) =>
    contour.coordinates.flatMap((polygon) =>
      polygon.flatMap((ring) => {
        // The frame of the grid is no part of a level's line.
        const pieces: [number, number][][] = [[]];
        for (const point of ring) {
          if (edge(point[0]) && edge(point[1])) pieces.push([]);
          else if (edge(point[0]) || edge(point[1])) {
            pieces[pieces.length - 1].push(grid(point));
            if (pieces[pieces.length - 1].length > 1) pieces.push([]);
          } else pieces[pieces.length - 1].push(grid(point));
        }
        // A ring begins anywhere: its last piece goes on in its first.
        if (pieces.length > 1 && !edge(ring[0][0]) && !edge(ring[0][1]))
          pieces[0] = [...pieces.pop()!, ...pieces[0].slice(1)];
        return pieces.filter((piece) => piece.length > 2).map((piece) => ({ level: contour.value, index, piece }));
      }),
    ),
  );
  const path = surface.path.filter(
    (point) =>
      point.params[0]! >= surface.params[0] * 0.999 &&
      point.params[0]! <= surface.params[1] * 1.001 &&
      point.samples[0]! >= surface.samples[0] * 0.999 &&
      point.samples[0]! <= surface.samples[1] * 1.001,
  );
  const cost = (params: number) => surface.cost.factor * params ** surface.cost.exponent;
  const equal = (flops: number): [number, number][] =>
    surface.params.map((params): [number, number] => [params, flops / cost(params)]);
  return {
    ...frame(
      { label: columnLabel("params"), log: true, range: surface.params },
      { label: columnLabel("samples"), log: true, range: surface.samples },
      theme,
    ),
    grid: { left: 70, right: 60, top: 62, bottom: 48 },
    ...withLegend(
      [
        ...lines.map(({ level, index, piece }) => {
          const color = scaleColor(index / Math.max(1, drawn.length - 1), theme);
          const last = piece.reduce((a, b) => (b[0] > a[0] ? b : a));
          const label = {
            show: true,
            formatter: metricValue(level),
            position: "right",
            color: theme.text,
            fontSize: 11,
          };
          return polyline(
            view.law.metric,
            piece,
            { color, width: 1.4 },
            {
              data: piece.map((value) => (value === last ? { value, label } : value)),
              // Labels belong to symbols: one that cannot be seen.
              showSymbol: true,
              symbol: "circle",
              symbolSize: 0.1,
            },
          );
        }),
        {
          type: "scatter",
          name: "run",
          data: view.runs.map((run) => [run.params, run.samples]),
          symbolSize: 5,
          itemStyle: { color: theme.faint, opacity: 0.7 },
          tooltip: { formatter: (params: { dataIndex: number }) => tip(view.runs[params.dataIndex], view.law.metric) },
        },
        polyline(
          "best size",
          path.map((point): [number, number] => [point.params[0]!, point.samples[0]!]),
          { color: theme.law, width: 3 },
        ),
        ...(["low", "high"] as const).map((_, side95) =>
          polyline(
            "95 % interval",
            path
              .filter((point) => (point.params[side95 + 1] ?? 0) > 0)
              .map((point): [number, number] => [
                point.params[side95 + 1]!,
                point.flops / cost(point.params[side95 + 1]!),
              ]),
            { color: theme.law, width: 1.2, type: "dashed" },
          ),
        ),
        ...(budget ? [polyline("your budget", equal(budget), { color: theme.faint, type: "dotted", width: 1.5 })] : []),
      ],
      theme,
    ),
  };
}

export function residualPlot(view: LawView, theme: Theme): Option {
  const { law } = view;
  const log = law.objective.residual === "log";
  const noise = log
    ? [100 * Math.expm1(-1.96 * view.noise), 100 * Math.expm1(1.96 * view.noise)]
    : [-1.96 * view.noise, 1.96 * view.noise];
  const column = law.x.includes("flops") ? law.x.indexOf("flops") : 0;
  const points = view.residuals.map((row): [number, number] => [row[2 + column], row[1]]);
  const x = extent(
    points.map(([at]) => at),
    true,
  );
  const y = extent([...points.map(([, value]) => value), ...noise], false, 0.08);
  return {
    ...frame(
      { label: columnLabel(law.x[column]), log: true, range: x },
      { label: log ? "Measured above fitted (%)" : "Measured − fitted", log: false, range: y },
      theme,
    ),
    ...withLegend(
      [
        ...(x
          ? [
              area(
                "95 % of the noise",
                [
                  [x[0], noise[0], noise[1]],
                  [x[1], noise[0], noise[1]],
                ],
                theme.law,
                0.14,
              ),
            ]
          : []),
        ...(x
          ? [
              polyline(
                "fitted",
                [
                  [x[0], 0],
                  [x[1], 0],
                ],
                { color: theme.law, width: 1.5 },
              ),
            ]
          : []),
        {
          type: "scatter",
          name: "point",
          data: points,
          symbolSize: points.length > 500 ? 4 : 7,
          itemStyle: { color: theme.text, opacity: 0.75 },
          tooltip: {
            formatter: ({ value }: { value: [number, number] }) =>
              `${scientific(value[0])}<br>${metricValue(value[1])}${log ? " %" : ""}`,
          },
        },
      ],
      theme,
    ),
  };
}
