// A plot: ECharts with what all plots of the page share, its axes, its zoom, and its export.
import { CustomChart, LineChart, ScatterChart } from "echarts/charts";
import {
  DataZoomComponent,
  GridComponent,
  LegendComponent,
  ToolboxComponent,
  TooltipComponent,
} from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";
import type { ECharts } from "echarts/core";
import { useEffect, useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { powerOfTen, metricValue, scientific } from "./format";
import { useTheme, type Theme } from "./palette";

echarts.use([
  CanvasRenderer,
  CustomChart,
  DataZoomComponent,
  GridComponent,
  LegendComponent,
  LineChart,
  SVGRenderer,
  ScatterChart,
  ToolboxComponent,
  TooltipComponent,
]);

const NARROW = 480;

export type Option = Record<string, unknown>;
export interface Axis {
  label: string;
  log: boolean;
  range?: [number, number];
}

/** Room at both ends, in the scale of the axis. */
export function extent(values: Iterable<number>, log: boolean, room = 0.04): [number, number] | undefined {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return undefined;
  if (log) {
    const margin = low === high ? 2 : (high / low) ** room;
    return [low / margin, high * margin];
  }
  const margin = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * room;
  return [low - margin, high + margin];
}

function tick(value: number, log: boolean): string {
  if (!log) return Math.abs(value) >= 1e4 ? scientific(value) : String(Number(value.toPrecision(3)));
  const exponent = Math.log10(value);
  return Math.abs(exponent - Math.round(exponent)) < 1e-6 ? powerOfTen(Math.round(exponent)) : "";
}

/** Marks at 1, 2, 5 of each decade where the range is less than about two of them: ECharts knows whole decades only. */
function logTicks([low, high]: [number, number]): number[] {
  const decades = Math.log10(high / low);
  const steps = decades < 1.2 ? [1, 1.5, 2, 3, 4, 5, 7] : decades < 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  const stride = Math.max(1, Math.ceil(decades / 8));
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) {
    if (steps.length === 1 && ((e % stride) + stride) % stride !== 0) continue;
    for (const step of steps) {
      const at = step * 10 ** e;
      if (at >= low * 0.9999 && at <= high * 1.0001) ticks.push(at);
    }
  }
  return ticks;
}

export function axis(which: "x" | "y", spec: Axis, theme: Theme): Option {
  const common = {
    name: spec.label,
    nameLocation: "middle",
    nameGap: which === "x" ? 30 : 52,
    nameTextStyle: { color: theme.faint, fontSize: 12 },
    axisLine: { show: true, onZero: false, lineStyle: { color: theme.faint } },
    axisLabel: {
      color: theme.text,
      hideOverlap: true,
      // The ends of a range are no round numbers.
      showMinLabel: false,
      showMaxLabel: false,
      formatter: (value: number) => tick(value, spec.log),
    } as Option,
    axisTick: { show: true } as Option,
    splitLine: { lineStyle: { color: theme.line } } as Option,
    ...(spec.range ? { min: spec.range[0], max: spec.range[1] } : { scale: true }),
  };
  if (!spec.log) return { type: "value", ...common };
  const range = spec.range;
  if (range) {
    // `customValues` are read in the axis' own scale by labels and ticks.
    const values = logTicks(range);
    common.axisLabel.showMinLabel = common.axisLabel.showMaxLabel = true;
    common.axisLabel.customValues = values;
    common.axisTick.customValues = values;
    common.axisLabel.formatter = (value: number) =>
      range[1] / range[0] < 100 ? metricValue(value) : tick(value, true);
  }
  return { type: "log", ...common, minorSplitLine: { show: false } };
}

export function frame(x: Axis, y: Axis, theme: Theme): Option {
  return {
    animation: false,
    textStyle: { color: theme.text, fontFamily: "inherit" },
    grid: { left: 70, right: 18, top: 62, bottom: 48 },
    xAxis: axis("x", x, theme),
    yAxis: axis("y", y, theme),
    tooltip: {
      trigger: "item",
      confine: true,
      backgroundColor: theme.ground,
      borderColor: theme.line,
      textStyle: { color: theme.text, fontSize: 12 },
    },
    // Its box zoom is always on; its buttons are the page's own.
    toolbox: {
      show: true,
      itemSize: 0,
      top: -50,
      showTitle: false,
      feature: { dataZoom: { filterMode: "none", brushStyle: { color: theme.law, opacity: 0.2 } } },
    },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false },
      { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false },
    ],
  };
}

const ICONS = {
  line: "path://M0,8L24,8L24,11L0,11Z",
  dashed: "path://M0,8L6,8L6,11L0,11ZM9,8L15,8L15,11L9,11ZM18,8L24,8L24,11L18,11Z",
  dotted: "path://M0,8L3,8L3,11L0,11ZM7,8L10,8L10,11L7,11ZM14,8L17,8L17,11L14,11ZM21,8L24,8L24,11L21,11Z",
};

/** The series with their legend: each name once, marked as it is drawn. */
export function withLegend(series: Option[], theme: Theme): Option {
  const marks = new Map<string, string>();
  for (const one of series) {
    const name = one.name as string;
    if (marks.has(name)) continue;
    const line = one.lineStyle as { type?: keyof typeof ICONS } | undefined;
    marks.set(
      name,
      one.type === "line"
        ? (ICONS[line?.type ?? "line"] ?? ICONS.line)
        : one.type === "custom"
          ? "rect"
          : ((one.symbol as string) ?? "circle"),
    );
  }
  return {
    legend: {
      top: 0,
      left: 4,
      right: 4,
      data: [...marks].map(([name, icon]) => ({ name, icon })),
      textStyle: { color: theme.text, fontSize: 11 },
      itemHeight: 9,
      itemWidth: 18,
      itemGap: 9,
    },
    series,
  };
}

/** A line through points that are drawn as one shape, whatever the number. */
export function polyline(name: string, points: [number, number][], style: Option, more: Option = {}): Option {
  return {
    type: "line",
    name,
    data: points,
    showSymbol: false,
    symbol: "none",
    lineStyle: style,
    itemStyle: { color: style.color },
    silent: true,
    ...more,
  };
}

/** The area between two lines over the same places. */
export function area(name: string, rows: [number, number, number][], color: string, opacity: number): Option {
  return {
    type: "custom",
    name,
    silent: true,
    z: 1,
    data: [[rows[0]?.[0] ?? 1, rows[0]?.[1] ?? 1]],
    encode: { x: 0, y: 1 },
    clip: true,
    itemStyle: { color, opacity },
    renderItem: (_: unknown, api: { coord: (point: [number, number]) => [number, number] }) => ({
      type: "polygon",
      shape: {
        points: [
          ...rows.map(([x, low]) => api.coord([x, low])),
          ...rows.map(([x, , high]) => api.coord([x, high])).reverse(),
        ],
      },
      style: { fill: color, opacity },
    }),
  };
}

/** On a phone the legend is one line that scrolls: more would cover the plot. */
function fitted(option: Option, width: number): Option {
  if (width >= NARROW || !option.legend) return option;
  return {
    ...option,
    legend: { ...(option.legend as Option), type: "scroll" },
    grid: { ...(option.grid as Option), top: 34, left: 58 },
  };
}

/**
 * `label`: what a screen reader says. `onZoom` gets the part of the x axis that is in view, or null for all of it;
 * `onHover` the place of the pointer in pixels, or null.
 */
export function Chart(props: {
  name: string;
  label: string;
  option: Option;
  onZoom?: (range: [number, number] | null) => void;
  onHover?: (chart: ECharts, at: [number, number] | null) => void;
  children?: ComponentChildren;
}) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | undefined>(undefined);
  const callbacks = useRef(props);
  callbacks.current = props;
  const [theme] = useTheme();

  useEffect(() => {
    const made = echarts.init(box.current!, undefined, { renderer: "canvas" });
    chart.current = made;
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(box.current!);
    made.on("datazoom", () => {
      const zoom = (
        made.getOption().dataZoom as { start: number; end: number; startValue: number; endValue: number }[]
      )[0];
      const whole = zoom.start <= 0 && zoom.end >= 100;
      callbacks.current.onZoom?.(whole ? null : [zoom.startValue, zoom.endValue]);
    });
    made.getZr().on("dblclick", () => reset(made));
    made.getZr().on("mousemove", (event) => {
      const inside = made.containPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
      callbacks.current.onHover?.(made, inside ? [event.offsetX, event.offsetY] : null);
    });
    made.getZr().on("globalout", () => callbacks.current.onHover?.(made, null));
    return () => {
      observer.disconnect();
      made.dispose();
    };
  }, []);

  useEffect(() => {
    const made = chart.current!;
    const first = !made.getOption();
    // The zoom is merged, so that new data does not take the view away from who looks closer.
    made.setOption(fitted(props.option, box.current!.clientWidth), { replaceMerge: ["series"] });
    if (first) made.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
  }, [props.option]);

  const save = (type: "svg" | "png") => {
    const width = box.current!.clientWidth;
    const height = box.current!.clientHeight;
    const copy = echarts.init(null, undefined, { renderer: "svg", ssr: true, width, height });
    copy.setOption({ ...props.option, backgroundColor: theme.ground });
    const url =
      type === "png"
        ? chart.current!.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: theme.ground })
        : URL.createObjectURL(new Blob([copy.renderToSVGString()], { type: "image/svg+xml" }));
    copy.dispose();
    const anchor = document.createElement("a");
    anchor.href = url;
    anchor.download = `${props.name}.${type}`;
    anchor.click();
  };

  return (
    <figure class="chart">
      <div class="chart-tools">
        {props.children}
        <span class="spring" />
        <button type="button" title="Drag to zoom, double-click to see all" onClick={() => reset(chart.current!)}>
          Reset zoom
        </button>
        <button type="button" onClick={() => save("svg")} aria-label={`Save ${props.label} as SVG`}>
          SVG
        </button>
        <button type="button" onClick={() => save("png")} aria-label={`Save ${props.label} as PNG`}>
          PNG
        </button>
      </div>
      <div ref={box} class="chart-box" role="img" aria-label={props.label} style={{ height: "380px" }} />
    </figure>
  );
}

function reset(chart: ECharts) {
  chart.dispatchAction({
    type: "dataZoom",
    batch: [
      { dataZoomIndex: 0, start: 0, end: 100 },
      { dataZoomIndex: 1, start: 0, end: 100 },
    ],
  });
}
