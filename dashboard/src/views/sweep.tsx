// One sweep: its curves, its runs, and the run that is looked at.
import { useMemo } from "preact/hooks";
import { duration, scientific, time } from "../format";
import { useData } from "../live";
import { useParam } from "../location";
import type { Run, Snapshot } from "../messages";
import { Fact, Note, Progress, State, With } from "../parts";
import { filterRuns, metricsOf, varying } from "../runs";
import { askAhead, CurvesPlot } from "./curves";
import { RunPanel } from "./run_panel";
import { RunsTable } from "./runs_table";

export function SweepView({ id }: { id: string }) {
  useMemo(() => askAhead(id), [id]);
  const loaded = useData<Snapshot>(`/api/sweeps/${encodeURIComponent(id)}`);
  return <With loaded={loaded}>{(snapshot) => <SweepBody snapshot={snapshot} />}</With>;
}

function usualMetric(metrics: string[]): string {
  return ["loss", "train_loss", "val_loss"].find((name) => metrics.includes(name)) ?? metrics[0] ?? "";
}

function SweepBody({ snapshot }: { snapshot: Snapshot }) {
  const { sweep, runs } = snapshot;
  const metrics = useMemo(() => metricsOf(runs), [runs]);
  const axes = useMemo(() => varying(runs), [runs]);
  const [filter, setFilter] = useParam("filter", "");
  const [selected, setSelected] = useParam("run", "");
  const [metric, setMetric] = useParam("metric", usualMetric(metrics));
  const shown = useMemo(() => filterRuns(runs, filter), [runs, filter]);
  const run = runs.find((one) => String(one.id) === selected);
  const live = ["waiting", "queued", "running"];
  const done = runs.reduce((sum, one) => sum + (live.includes(one.state) ? one.progress : 1), 0);
  return (
    <>
      <p class="crumbs">
        <a href="/">Studies</a> / {sweep.study}
      </p>
      <h1>
        {sweep.name} <State state={sweep.state} />
      </h1>
      <dl class="facts">
        <Fact name="Progress">
          <Progress share={runs.length ? done / runs.length : 0} label="Progress of the sweep" />
        </Fact>
        <Fact name="Runs">
          {sweep.runs.succeeded} of {sweep.runs.total} succeeded
          {sweep.runs.failed > 0 && <span class="bad">, {sweep.runs.failed} failed</span>}
        </Fact>
        <Fact name="Spent">
          {scientific(sweep.flops_spent)} of {scientific(sweep.flops_planned)} FLOPs
        </Fact>
        {sweep.state === "running" && <Fact name="Time left">{duration(sweep.seconds_left)}</Fact>}
        <Fact name="Submitted">{time(sweep.submitted)}</Fact>
      </dl>
      <Waiting runs={runs} />
      {metrics.length === 0 ? (
        <Note kind="empty">No run has reported a metric yet; curves appear with the first one.</Note>
      ) : (
        <CurvesPlot
          sweep={sweep.id}
          runs={shown}
          all={runs}
          metrics={metrics}
          metric={metric}
          axes={axes}
          onMetric={setMetric}
          onSelect={(chosen) => setSelected(String(chosen))}
        />
      )}
      {run && <RunPanel run={run} onClose={() => setSelected("")} />}
      <RunsTable
        runs={shown}
        all={runs.length}
        axes={axes}
        metric={metric}
        filter={filter}
        onFilter={setFilter}
        selected={run?.id}
        onSelect={(chosen) => setSelected(String(chosen))}
      />
    </>
  );
}

/** Reasons for which runs do not run, each with the number of runs that it holds up. */
function Waiting({ runs }: { runs: Run[] }) {
  const reasons = new Map<string, number>();
  for (const run of runs)
    if ((run.state === "queued" || run.state === "waiting") && run.reason)
      reasons.set(run.reason, (reasons.get(run.reason) ?? 0) + 1);
  if (reasons.size === 0) return null;
  return (
    <Note kind="hint">
      <ul>
        {[...reasons].slice(0, 5).map(([reason, count]) => (
          <li key={reason}>
            {count} {count === 1 ? "run waits" : "runs wait"}: {reason}
          </li>
        ))}
      </ul>
    </Note>
  );
}
