// The runs of a sweep as a table of which only the rows in view exist: it takes thousands.
import { useMemo, useRef, useState } from "preact/hooks";
import { count, duration, metricValue, scientific } from "../format";
import { useParam } from "../location";
import type { Run } from "../messages";
import { Progress, State } from "../parts";
import { fieldOf, sortRuns } from "../runs";

const ROW = 34;
const BEYOND = 8;

interface Column {
  name: string;
  title: string;
  number?: boolean;
  cell: (run: Run) => preact.ComponentChildren;
}

function text(value: string | number | undefined): string {
  if (value === undefined) return "";
  return typeof value === "number" ? metricValue(value) : value;
}

function columnsOf(axes: string[], metric: string): Column[] {
  return [
    { name: "state", title: "State", cell: (run) => <State state={run.state} /> },
    {
      name: "progress",
      title: "Progress",
      cell: (run) => <Progress share={run.progress} label={`Progress of run ${run.id}`} />,
    },
    ...axes.map((name) => ({ name, title: name, number: true, cell: (run: Run) => text(fieldOf(run, name)) })),
    {
      name: "model_params",
      title: "Parameters",
      number: true,
      cell: (run) => (run.model_params ? count(run.model_params) : ""),
    },
    { name: "flops", title: "FLOPs", number: true, cell: (run) => (run.flops ? scientific(run.flops) : "") },
    ...(metric ? [{ name: metric, title: metric, number: true, cell: (run: Run) => text(run.latest[metric]) }] : []),
    {
      name: "seconds_left",
      title: "Time left",
      number: true,
      cell: (run) => (run.state === "running" ? duration(run.seconds_left) : ""),
    },
    { name: "reason", title: "Why", cell: (run) => <span title={run.reason}>{run.reason.split("\n")[0]}</span> },
  ];
}

export function RunsTable(props: {
  runs: Run[];
  all: number;
  axes: string[];
  metric: string;
  filter: string;
  onFilter: (filter: string) => void;
  selected?: number;
  onSelect: (run: number) => void;
}) {
  const [order, setOrder] = useParam("sort", "");
  const sorted = useMemo(() => sortRuns(props.runs, order), [props.runs, order]);
  const columns = useMemo(() => columnsOf(props.axes, props.metric), [props.axes.join(), props.metric]);
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const height = Math.min(sorted.length + 1, 16) * ROW + 14;
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(sorted.length, Math.ceil((top + height) / ROW) + BEYOND);
  const sortBy = (name: string) => setOrder(order === name ? `-${name}` : order === `-${name}` ? "" : name);
  const header = (name: string, title: string, number = false) => (
    <th
      key={name}
      scope="col"
      class={number ? "number" : ""}
      aria-sort={order === name ? "ascending" : order === `-${name}` ? "descending" : "none"}
    >
      <button type="button" class="sort" onClick={() => sortBy(name)}>
        {title}
        <span aria-hidden="true">{order === name ? " ▲" : order === `-${name}` ? " ▼" : ""}</span>
      </button>
    </th>
  );
  return (
    <section class="card" aria-label="Runs">
      <div class="card-head">
        <h2>Runs</h2>
        <label class="filter">
          <span class="sr">Filter runs</span>
          <input
            type="search"
            placeholder="width=64 loss<2 failed"
            value={props.filter}
            onInput={(event) => props.onFilter(event.currentTarget.value)}
          />
        </label>
        <span class="faint" role="status">
          {props.runs.length === props.all ? `${props.all} runs` : `${props.runs.length} of ${props.all} runs`}
        </span>
      </div>
      {sorted.length === 0 ? (
        <p class="faint">No run matches the filter.</p>
      ) : (
        <div
          class="scroll rows"
          ref={box}
          style={{ height: `${height}px` }}
          onScroll={(event) => setTop(event.currentTarget.scrollTop)}
          tabIndex={0}
          aria-label="Table of runs; scrolls"
        >
          <table aria-rowcount={sorted.length + 1}>
            <thead>
              <tr aria-rowindex={1}>
                {header("name", "Run")}
                {columns.map((column) => header(column.name, column.title, column.number))}
              </tr>
            </thead>
            <tbody>
              <tr aria-hidden="true" style={{ height: `${first * ROW}px` }} class="space" />
              {sorted.slice(first, last).map((run, index) => (
                <tr
                  key={run.id}
                  aria-rowindex={first + index + 2}
                  class={run.id === props.selected ? "selected" : ""}
                  style={{ height: `${ROW}px` }}
                  onClick={() => props.onSelect(run.id)}
                >
                  <th scope="row">
                    <button type="button" class="link" aria-pressed={run.id === props.selected} title={run.name}>
                      {run.name}
                    </button>
                  </th>
                  {columns.map((column) => (
                    <td key={column.name} class={column.number ? "number" : column.name === "reason" ? "reason" : ""}>
                      {column.cell(run)}
                    </td>
                  ))}
                </tr>
              ))}
              <tr aria-hidden="true" style={{ height: `${(sorted.length - last) * ROW}px` }} class="space" />
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
