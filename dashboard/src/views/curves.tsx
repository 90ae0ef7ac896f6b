// Curves of a sweep's runs, live: what the server has thinned for this view, one line per run.
import type { ECharts } from "echarts/core";
import * as echarts from "echarts/core";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Chart, extent, frame, type Option } from "../chart";
import { columnLabel, metricValue, scientific } from "../format";
import { getJson } from "../live";
import { useParam } from "../location";
import type { Curve, Curves, Run } from "../messages";
import { categoryColor, MOST_CATEGORIES, orderedColor, useTheme, type Theme } from "../palette";
import { Check, Choice, Note } from "../parts";
import { fieldOf } from "../runs";

// More runs than this are not named one by one: the sweep's curves are asked for, and those of other runs left out.
const MOST_NAMED = 400;
// How near to a line the pointer must be, in pixels.
const REACH = 24;

interface CurveQuestion {
  sweep: number;
  metric: string;
  axis: string;
  log: boolean;
  zoom: [number, number] | null;
  /** Of these runs only; null: of all that the sweep has. */
  runs: number[] | null;
}

function urlOf(question: Omit<CurveQuestion, "sweep"> & { sweep: number | string }, runs: number[] | null): string {
  const params = new URLSearchParams({
    ...(question.metric ? { metric: question.metric } : {}),
    axis: question.axis,
    ...(question.log ? { log: "1" } : {}),
    ...(question.zoom ? { from: String(question.zoom[0]), to: String(question.zoom[1]) } : {}),
    ...(runs ? { runs: runs.join(",") } : {}),
  });
  return `/api/sweeps/${question.sweep}/curves?${params}`;
}

let ahead: { axis: string; log: boolean; answer: Promise<Curves> } | null = null;

/** Asks for the curves that the address is of, before the sweep's runs are known. */
export function askAhead(sweep: string) {
  const params = new URLSearchParams(location.search);
  if (params.get("filter")) return;
  const axis = params.get("x") ?? "step";
  const log = (params.get("log") ?? "").includes("x");
  const question = {
    sweep: encodeURIComponent(sweep),
    metric: params.get("metric") ?? "",
    axis,
    log,
    zoom: null,
    runs: null,
  };
  ahead = { axis, log, answer: getJson<Curves>(urlOf(question, null)) };
  ahead.answer.catch(() => {});
}
/** That answer, if it is one to this question; else the server's. */
async function curvesOf(question: CurveQuestion, signal: AbortSignal): Promise<Curves> {
  const first = ahead;
  ahead = null;
  if (first && !question.runs && !question.zoom && first.axis === question.axis && first.log === question.log) {
    const answer = await first.answer.catch(() => null);
    if (answer?.metric === question.metric) return answer;
  }
  return getJson<Curves>(urlOf(question, question.runs), signal);
}

interface Drawn {
  curves: Map<number, Curve>;
  extrema: boolean;
}

/** The curves, and from then on those of runs that have gone on. */
function useCurves(question: CurveQuestion, runs: Run[]): { drawn: Drawn | null; error: string } {
  const [drawn, setDrawn] = useState<Drawn | null>(null);
  const [error, setError] = useState("");
  const key = JSON.stringify(question);
  const steps = useRef(new Map<number, number>());
  const busy = useRef(false);
  const settled = useRef("");

  useEffect(() => {
    const abort = new AbortController();
    const asked = new Map(runs.map((run) => [run.id, run.step]));
    busy.current = true;
    curvesOf(question, abort.signal)
      .then((answer) => {
        steps.current = asked;
        settled.current = key;
        setDrawn({ curves: new Map(answer.curves.map((curve) => [curve.run_id, curve])), extrema: answer.extrema });
        setError("");
      })
      .catch((reason) => {
        if (!abort.signal.aborted && !(reason instanceof TypeError)) setError(reason.message);
      })
      .finally(() => (busy.current = false));
    return () => abort.abort();
  }, [key]);

  useEffect(() => {
    if (busy.current || settled.current !== key) return;
    const gone = runs.filter((run) => steps.current.get(run.id) !== run.step && run.step > 0);
    if (gone.length === 0) return;
    const asked = new Map(runs.map((run) => [run.id, run.step]));
    const some = gone.length <= MOST_NAMED;
    busy.current = true;
    getJson<Curves>(urlOf(question, some ? gone.map((run) => run.id) : null))
      .then((answer) => {
        if (settled.current !== key) return;
        steps.current = asked;
        setDrawn((old) => {
          const curves = new Map(some ? old?.curves : undefined);
          for (const curve of answer.curves) curves.set(curve.run_id, curve);
          return { curves, extrema: answer.extrema };
        });
      })
      .catch(() => {
        // The next change asks again.
      })
      .finally(() => (busy.current = false));
  }, [runs]);
  return { drawn, error };
}

/** Exponential moving average that does not begin at zero. */
function smooth(values: number[], weight: number): number[] {
  if (weight <= 0) return values;
  let mean = 0;
  let total = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

interface Group {
  label: string;
  color: string;
}

/** Colours by a field of the runs: along a scale where it is a number, else apart. */
function groupsOf(runs: Run[], field: string, theme: Theme): { of: Map<number, number>; groups: Group[] } {
  const values = [...new Set(runs.map((run) => fieldOf(run, field)))];
  const numeric = values.every((value) => typeof value === "number" || value === undefined);
  values.sort((a, b) => (numeric ? Number(a) - Number(b) : String(a).localeCompare(String(b))));
  const groups = values.map((value, index) => ({
    label: value === undefined ? "–" : typeof value === "number" ? metricValue(value) : value,
    color: numeric && values.length > 2 ? orderedColor(index, values.length, theme) : categoryColor(index, theme),
  }));
  const place = new Map(values.map((value, index) => [value, index]));
  return { of: new Map(runs.map((run) => [run.id, place.get(fieldOf(run, field))!])), groups };
}

interface Line {
  run: Run;
  x: number[];
  y: number[];
  group: number;
}

function series(lines: Line[], groups: Group[], logs: [boolean, boolean]): Option[] {
  return groups.map((group, index) => {
    const own = lines.filter((line) => line.group === index);
    return {
      type: "custom",
      name: group.label,
      clip: true,
      silent: true,
      data: own.map((_, at) => [at]),
      encode: {},
      renderItem: (params: { dataIndex: number }, api: { coord: (at: [number, number]) => [number, number] }) => {
        const line = own[params.dataIndex];
        const points: [number, number][] = [];
        for (let i = 0; i < line.x.length; ++i)
          if ((line.x[i] > 0 || !logs[0]) && (line.y[i] > 0 || !logs[1]))
            points.push(api.coord([line.x[i], line.y[i]]));
        return points.length === 1
          ? { type: "circle", shape: { cx: points[0][0], cy: points[0][1], r: 2.5 }, style: { fill: group.color } }
          : {
              type: "polyline",
              shape: { points },
              style: { stroke: group.color, fill: "none", lineWidth: lines.length > 100 ? 1 : 1.5, opacity: 0.9 },
            };
      },
    };
  });
}

function place(at: number, axis: string): string {
  if (axis === "flops") return `${scientific(at)} FLOPs`;
  return `${at < 1e6 ? Math.round(at) : scientific(at)} ${axis === "step" ? "steps" : "samples"}`;
}

/** The line nearest to the pointer, and its point there. */
function nearest(chart: ECharts, lines: Line[], at: [number, number]): { line: Line; index: number } | null {
  const [x] = chart.convertFromPixel({ gridIndex: 0 }, at) as number[];
  let best: { line: Line; index: number } | null = null;
  let least = REACH;
  for (const line of lines) {
    let low = 0;
    let high = line.x.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (line.x[middle] < x) low = middle + 1;
      else high = middle;
    }
    for (const index of [low - 1, low]) {
      if (index < 0 || index >= line.x.length) continue;
      const pixel = chart.convertToPixel({ gridIndex: 0 }, [line.x[index], line.y[index]]) as number[];
      const before = index === low && low > 0 ? low - 1 : index;
      const other = chart.convertToPixel({ gridIndex: 0 }, [line.x[before], line.y[before]]) as number[];
      // Distance to the stretch of line between the two.
      const dx = pixel[0] - other[0];
      const dy = pixel[1] - other[1];
      const length = dx * dx + dy * dy;
      const share = length ? Math.min(1, Math.max(0, ((at[0] - other[0]) * dx + (at[1] - other[1]) * dy) / length)) : 0;
      const distance = Math.hypot(at[0] - other[0] - share * dx, at[1] - other[1] - share * dy);
      if (distance < least) {
        least = distance;
        best = { line, index };
      }
    }
  }
  return best;
}

export function CurvesPlot(props: {
  sweep: number;
  runs: Run[];
  all: Run[];
  metrics: string[];
  metric: string;
  axes: string[];
  onMetric: (metric: string) => void;
  onSelect: (run: number) => void;
}) {
  const { runs, metric } = props;
  const [theme] = useTheme();
  const [x, setX] = useParam("x", "step");
  const [scales, setScales] = useParam("log", "");
  const [smoothing, setSmoothing] = useParam("smooth", "0");
  const [color, setColor] = useParam("color", props.axes[0] ?? "stage");
  const [zoom, setZoom] = useState<[number, number] | null>(null);
  const [hovered, setHovered] = useState<{ line: Line; index: number; at: [number, number] } | null>(null);
  const logX = scales.includes("x");
  const logY = scales.includes("y");
  const ids = useMemo(() => runs.map((run) => run.id), [runs.map((run) => run.id).join()]);
  const named = ids.length < props.all.length && ids.length <= MOST_NAMED;
  const { drawn, error } = useCurves(
    { sweep: props.sweep, metric, axis: x, log: logX, zoom, runs: named ? ids : null },
    runs,
  );
  const { of, groups } = useMemo(() => groupsOf(props.all, color, theme), [props.all, color, theme]);
  const lines = useMemo(() => {
    const found: Line[] = [];
    for (const run of runs) {
      const curve = drawn?.curves.get(run.id);
      if (curve) found.push({ run, x: curve.x, y: smooth(curve.y, Number(smoothing)), group: of.get(run.id)! });
    }
    return found;
  }, [drawn, runs, smoothing, of]);

  // What all curves take stays the frame of a closer look, though only a part of them is here then.
  const whole = useRef<{ key: string; x?: [number, number]; y?: [number, number] }>({ key: "" });
  const option = useMemo(() => {
    const key = `${metric} ${x} ${logX} ${logY}`;
    if (!zoom || whole.current.key !== key)
      whole.current = {
        key,
        x: extent(
          lines.flatMap((line) => [line.x[0], line.x[line.x.length - 1]]),
          logX,
          0.01,
        ),
        y: extent(
          lines.flatMap((line) => line.y),
          logY,
        ),
      };
    return {
      ...frame(
        { label: columnLabel(x), log: logX, range: whole.current.x },
        { label: metric, log: logY, range: whole.current.y },
        theme,
      ),
      tooltip: { show: false },
      grid: { left: 70, right: 18, top: 12, bottom: 48 },
      series: series(lines, groups, [logX, logY]),
    };
  }, [lines, groups, logX, logY, theme, x, metric, zoom]);

  const overlay = useRef<{ chart: ECharts; shape: InstanceType<typeof echarts.graphic.Polyline> } | null>(null);
  const hover = (chart: ECharts, at: [number, number] | null) => {
    const found = at && nearest(chart, lines, at);
    if (overlay.current) chart.getZr().remove(overlay.current.shape);
    overlay.current = null;
    if (!found) return setHovered(null);
    const points = found.line.x
      .map((value, i) => chart.convertToPixel({ gridIndex: 0 }, [value, found.line.y[i]]) as number[])
      .filter((point) => chart.containPixel({ gridIndex: 0 }, point) && point.every(Number.isFinite));
    const shape = new echarts.graphic.Polyline({
      shape: { points },
      style: { stroke: groups[found.line.group].color, lineWidth: 3.5, fill: "none" },
      silent: true,
      z: 100,
    });
    chart.getZr().add(shape);
    overlay.current = { chart, shape };
    setHovered({ ...found, at: at! });
  };

  const many = groups.length > 12;
  const toggle = (letter: string, on: boolean) =>
    setScales([...scales.replace(letter, ""), ...(on ? [letter] : [])].sort().join(""));
  return (
    <section class="card" aria-label="Curves">
      {error && <Note kind="error">{error}</Note>}
      {!drawn && !error && (
        <div class="skeleton curves-skeleton" role="status">
          <span>Loading curves …</span>
        </div>
      )}
      <div class="plot-wrap" hidden={!drawn} onClick={() => hovered && props.onSelect(hovered.line.run.id)}>
        {drawn && (
          <Chart
            name={`${metric}-by-${x}`}
            label={`${metric} by ${columnLabel(x)} of ${lines.length} runs; the runs' newest values are in the table below`}
            option={option}
            onZoom={(part) => setZoom((old) => (String(part) === String(old) ? old : part))}
            onHover={hover}
          >
            <Choice label="Metric" value={metric} options={props.metrics} onChange={props.onMetric} />
            <Choice
              label="Against"
              value={x}
              options={[
                ["step", "steps"],
                ["samples", "samples"],
                ["flops", "FLOPs"],
              ]}
              onChange={setX}
            />
            <Choice
              label="Colour"
              value={color}
              options={[...new Set([...props.axes, "stage", "state"])]}
              onChange={setColor}
            />
            <Check label="log x" checked={logX} onChange={(on) => toggle("x", on)} />
            <Check label="log y" checked={logY} onChange={(on) => toggle("y", on)} />
            <label class="choice">
              <span>Smoothing</span>
              <input
                type="range"
                min="0"
                max="0.98"
                step="0.02"
                value={smoothing}
                aria-label="Smoothing"
                aria-valuetext={smoothing === "0" ? "none" : smoothing}
                onInput={(event) => setSmoothing(event.currentTarget.value)}
              />
            </label>
          </Chart>
        )}
        {hovered && (
          <div
            class="tip"
            style={{
              left: `${Math.min(hovered.at[0] + 14, window.innerWidth - 280)}px`,
              top: `${hovered.at[1] + 54}px`,
            }}
          >
            <strong>{hovered.line.run.name}</strong>
            <br />
            {metric} {metricValue(hovered.line.y[hovered.index])} at {place(hovered.line.x[hovered.index], x)}
          </div>
        )}
      </div>
      <div class="legend" aria-label={`Colours by ${color}`}>
        <span class="legend-name">{color}</span>
        {(many ? groups.filter((_, i) => i % Math.ceil(groups.length / 8) === 0) : groups).map((group) => (
          <span key={group.label} class="legend-item">
            <span class="swatch" style={{ background: group.color }} aria-hidden="true" /> {group.label}
          </span>
        ))}
        {groups.length > MOST_CATEGORIES && typeof fieldOf(runs[0], color) === "string" && (
          <span class="faint">colours repeat beyond {MOST_CATEGORIES}</span>
        )}
        <span class="spring" />
        {drawn && (
          <span class="faint">
            {lines.length} {lines.length === 1 ? "curve" : "curves"},{" "}
            {drawn.extrema ? "thinned to each stretch's extremes" : "points at equal distances; zoom in for extremes"}
          </span>
        )}
      </div>
    </section>
  );
}
