// "My budget": the best size for it and what to expect, at once while the slider moves and exactly when it rests.
import { useEffect, useState } from "preact/hooks";
import { count, metricValue, scientific } from "../format";
import { getJson } from "../live";
import { useParam } from "../location";
import type { Interval, Law, LawView, Optimum, PathPoint, Prediction } from "../messages";
import { Note } from "../parts";

const REST_MS = 150;

interface Answer {
  params?: Interval;
  samples?: Interval;
  value: Interval;
  warnings?: string[];
  exact: boolean;
}

/** Between two rows of a table over FLOPs, along the logarithms; values that are not positive along themselves. */
function between(low: Interval, high: Interval, share: number): Interval {
  return low.map((a, i) => {
    const b = high[i];
    if (a === null || b === null) return null;
    return a > 0 && b > 0 ? a * (b / a) ** share : a + share * (b - a);
  }) as Interval;
}

function guess(view: LawView, flops: number): Answer | null {
  const place = (rows: { flops: number }[]): [number, number] => {
    let at = rows.findIndex((row) => row.flops > flops);
    if (at < 0) at = rows.length - 1;
    at = Math.max(1, at);
    return [at, Math.log(flops / rows[at - 1].flops) / Math.log(rows[at].flops / rows[at - 1].flops)];
  };
  if (view.surface) {
    const [at, share] = place(view.surface.path);
    const mix = (of: (point: PathPoint) => Interval) =>
      between(of(view.surface!.path[at - 1]), of(view.surface!.path[at]), share);
    return { params: mix((p) => p.params), samples: mix((p) => p.samples), value: mix((p) => p.value), exact: false };
  }
  if (view.band) {
    const rows = view.band.map(([f, value, , , low, high]) => ({ flops: f, value: [value, low, high] as Interval }));
    const [at, share] = place(rows);
    return { value: between(rows[at - 1].value, rows[at].value, share), exact: false };
  }
  return null;
}

function useExact(view: LawView, flops: number): { answer: Answer | null; error: string } {
  const [state, setState] = useState<{ flops: number; answer: Answer | null; error: string }>({
    flops: 0,
    answer: null,
    error: "",
  });
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const base = `/api/laws/${view.law.id}`;
        if (view.surface) {
          const best = await getJson<Optimum>(`${base}/optimal?flops=${flops}`, abort.signal);
          const triple = (e: { value: number | null; low95: number | null; high95: number | null }): Interval => [
            e.value,
            e.low95,
            e.high95,
          ];
          const p = best.prediction;
          setState({
            flops,
            error: "",
            answer: {
              params: triple(best.params),
              samples: triple(best.samples),
              value: [p.value, p.low95, p.high95],
              warnings: [...best.warnings, ...p.warnings],
              exact: true,
            },
          });
        } else {
          const p = await getJson<Prediction>(`${base}/predict?flops=${flops}`, abort.signal);
          setState({
            flops,
            error: "",
            answer: { value: [p.value, p.low95, p.high95], warnings: p.warnings, exact: true },
          });
        }
      } catch (error) {
        if (!abort.signal.aborted && !(error instanceof TypeError))
          setState({ flops, answer: null, error: (error as Error).message });
      }
    }, REST_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [view.law.id, flops]);
  return state.flops === flops ? state : { answer: null, error: "" };
}

function Range({ value, show }: { value: Interval; show: (value: number | null) => string }) {
  return (
    <>
      <strong>{show(value[0])}</strong>
      <span class="interval">
        {show(value[1])} – {show(value[2])}
      </span>
    </>
  );
}

export function Budget({ view, others }: { view: LawView; others: Law[] }) {
  const table = view.surface?.path.map((point) => point.flops) ?? view.band?.map((row) => row[0]) ?? [];
  const low = table[0] ?? 1;
  const high = table[table.length - 1] ?? 10;
  const largest = Math.max(...view.runs.map((run) => run.flops), low);
  const [chosen, choose] = useParam("budget", "");
  const asked = Number(chosen);
  const flops = asked > 0 ? Math.min(Math.max(asked, low), high) : Math.min(10 * largest, high);
  const { answer: exact, error } = useExact(view, flops);
  if (table.length === 0) return null;
  const answer = exact ?? guess(view, flops);
  const set = (value: number) => choose(String(Number(value.toPrecision(4))));
  const surface = !view.surface && others.find((law) => [...law.x].sort().join() === "params,samples");
  return (
    <section class="card budget" aria-label="My budget">
      <h2>My budget</h2>
      <div class="budget-input">
        <label for="budget">Training compute</label>
        <input
          id="budget"
          type="range"
          min={Math.log10(low)}
          max={Math.log10(high)}
          step="0.005"
          value={Math.log10(flops)}
          aria-valuetext={`${scientific(flops)} FLOPs`}
          onInput={(event) => set(10 ** Number(event.currentTarget.value))}
        />
        <input
          type="text"
          inputMode="decimal"
          aria-label="Training compute in FLOPs"
          value={flops.toExponential(3).replace(/\.?0*e\+?/, "e")}
          onChange={(event) => Number(event.currentTarget.value) > 0 && set(Number(event.currentTarget.value))}
        />
        <span>FLOPs</span>
        <span class="faint">
          {flops > largest ? `${metricValue(flops / largest)} times the largest run` : "within what was run"}
        </span>
      </div>
      {error && <Note kind="error">{error}</Note>}
      {answer && (
        <dl class="answers" aria-live="polite">
          {answer.params && (
            <div>
              <dt>Best size N*</dt>
              <dd>
                <Range value={answer.params} show={count} /> <span>parameters</span>
              </dd>
            </div>
          )}
          {answer.samples && (
            <div>
              <dt>Data D*</dt>
              <dd>
                <Range value={answer.samples} show={count} /> <span>samples</span>
              </dd>
            </div>
          )}
          <div>
            <dt>Predicted {view.law.metric}</dt>
            <dd>
              <Range value={answer.value} show={metricValue} /> <span>95 % of new runs</span>
            </dd>
          </div>
        </dl>
      )}
      <p class="faint" data-exact={answer?.exact ? "yes" : "no"}>
        {answer?.exact ? "Intervals are 95 %." : "Between computed budgets; exact in a moment."}
        {surface && (
          <>
            {" "}
            The best size comes from a law over size and data:{" "}
            <a href={`/laws/${surface.id}?budget=${flops}`}>law {surface.id}</a>
          </>
        )}
      </p>
      {answer?.warnings?.map((text) => (
        <p key={text} class="warning">
          {text}
        </p>
      ))}
    </section>
  );
}
