// One law: what it says for a budget, how it fits, and what it rests on.
import { useMemo } from "preact/hooks";
import { metricValue, percent, scientific, time } from "../format";
import { useData } from "../live";
import { useParam } from "../location";
import type { Law, LawView, Ranking } from "../messages";
import { useTheme } from "../palette";
import { Fact, Note, Warnings, With } from "../parts";
import { Chart } from "../chart";
import { Budget } from "./budget";
import { computePlot, contourPlot, isoflopPlot, residualPlot } from "./law_plots";

export function LawPage({ id }: { id: string }) {
  // Runs that end later do not change a stored law, but its held-out points and residuals' neighbours they do.
  const loaded = useData<LawView>(`/api/laws/${encodeURIComponent(id)}`);
  const laws = useData<{ laws: Law[] }>("/api/laws");
  return <With loaded={loaded}>{(view) => <LawBody view={view} laws={laws.data?.laws ?? []} />}</With>;
}

function LawBody({ view, laws }: { view: LawView; laws: Law[] }) {
  const { law } = view;
  const others = laws.filter((one) => one.study === law.study && one.id !== law.id);
  return (
    <>
      <p class="crumbs">
        <a href="/laws">Laws</a> / <a href={`/laws?study=${encodeURIComponent(law.study)}`}>{law.study}</a>
      </p>
      <h1>
        {law.metric} by {law.x.join(" and ")}
      </h1>
      <p class="formula">{law.formula}</p>
      <dl class="facts">
        <Fact name="Law">
          {law.id}, {law.form}
        </Fact>
        <Fact name="Points">{law.n}</Fact>
        <Fact name="R²">{metricValue(law.r2)}</Fact>
        <Fact name="Fitted by">
          {law.objective.kind}, {law.objective.residual} residuals
        </Fact>
        <Fact name="Fitted">{time(law.fitted)}</Fact>
      </dl>
      <Warnings texts={law.warnings} />
      <Budget view={view} others={others} />
      <Plots view={view} />
      <Parameters law={law} />
      <Forms law={law} />
      {others.length > 0 && (
        <section class="card" aria-label="Other laws of this study">
          <h2>Other laws of {law.study}</h2>
          <ul class="plain">
            {others.slice(0, 12).map((other) => (
              <li key={other.id}>
                <a href={`/laws/${other.id}`}>
                  Law {other.id}: {other.metric} by {other.x.join(", ")}
                </a>{" "}
                <span class="faint">({other.form})</span> <a href={`/compare?a=${law.id}&b=${other.id}`}>compare</a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Plots({ view }: { view: LawView }) {
  const [theme] = useTheme();
  const [budget] = useParam("budget", "");
  const plots = useMemo(
    () => ({
      compute: computePlot(view, Number(budget) || undefined, theme),
      isoflop: isoflopPlot(view, theme),
      contours: view.surface && contourPlot(view, view.surface, Number(budget) || undefined, theme),
      residuals: residualPlot(view, theme),
    }),
    [view, theme, budget],
  );
  const { law } = view;
  return (
    <div class="plots">
      <section class="card" aria-label="By compute">
        <h2>{law.metric} by compute</h2>
        <Chart
          name={`law-${law.id}-compute`}
          label={`${law.metric} against training compute: ${view.runs.length} runs, ${view.held_out.length} held out${view.band ? ", the fitted law with its 50 % and 95 % prediction band" : ""}`}
          option={plots.compute}
        />
        <Numbers
          caption="Runs"
          heads={["Run", "FLOPs", "Parameters", "Samples", law.metric, "Held out"]}
          rows={[...view.held_out, ...view.runs].map((run) => [
            run.run,
            scientific(run.flops),
            scientific(run.params),
            scientific(run.samples),
            metricValue(run.value),
            run.holdout ? "yes" : "",
          ])}
        />
      </section>
      {plots.isoflop && (
        <section class="card" aria-label="IsoFLOP curves">
          <h2>IsoFLOP curves</h2>
          <Chart
            name={`law-${law.id}-isoflop`}
            label={`${law.metric} against model size, one parabola for each of ${view.isoflop.length} budgets`}
            option={plots.isoflop}
          />
          <Numbers
            caption="Best size per budget"
            heads={["FLOPs", "Best size", law.metric, ""]}
            rows={view.isoflop.map((iso) => [
              scientific(iso.flops),
              scientific(iso.best[0]),
              metricValue(iso.best[1]),
              iso.bracketed ? "" : iso.reason,
            ])}
          />
        </section>
      )}
      {plots.contours && (
        <section class="card" aria-label="Contours">
          <h2>{law.metric} by size and data</h2>
          <Chart
            name={`law-${law.id}-contours`}
            label={`Lines of equal ${law.metric} over model size and samples, with the best size along compute`}
            option={plots.contours}
          />
          <Numbers
            caption="Best size along compute"
            heads={["FLOPs", "Parameters", "95 %", "Samples", law.metric]}
            rows={view.surface!.path.map((point) => [
              scientific(point.flops),
              scientific(point.params[0]),
              `${scientific(point.params[1])} – ${scientific(point.params[2])}`,
              scientific(point.samples[0]),
              metricValue(point.value[0]),
            ])}
          />
        </section>
      )}
      {view.no_surface && <Note kind="hint">No contours: {view.no_surface}</Note>}
      <section class="card" aria-label="Residuals">
        <h2>Residuals</h2>
        <Chart
          name={`law-${law.id}-residuals`}
          label={`Measured less fitted ${law.metric} at ${view.residuals.length} points, with the range that holds 95 % of the noise`}
          option={plots.residuals}
        />
      </section>
    </div>
  );
}

/** What a plot shows, for those who cannot see it and those who want the digits. */
function Numbers({ caption, heads, rows }: { caption: string; heads: string[]; rows: (string | number)[][] }) {
  return (
    <details>
      <summary>
        {caption}: {rows.length} {rows.length === 1 ? "row" : "rows"}
      </summary>
      <div class="scroll numbers">
        <table>
          <thead>
            <tr>
              {heads.map((head) => (
                <th key={head} scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, 500).map((row, index) => (
              <tr key={index}>
                {row.map((cell, at) => (
                  <td key={at}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Parameters({ law }: { law: Law }) {
  return (
    <section class="card" aria-label="Parameters">
      <h2>Parameters</h2>
      <p class="faint">
        95 % intervals: {law.intervals} of a {law.resample} bootstrap
      </p>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Parameter</th>
              <th scope="col" class="number">
                Value
              </th>
              <th scope="col" class="number">
                95 % interval
              </th>
              <th scope="col">Remarks</th>
            </tr>
          </thead>
          <tbody>
            {law.parameters.map((p) => (
              <tr key={p.name}>
                <th scope="row">{p.name}</th>
                <td class="number">{metricValue(p.value)}</td>
                <td class="number">{p.fixed ? "" : `${metricValue(p.ci95_low)} – ${metricValue(p.ci95_high)}`}</td>
                <td>
                  {[
                    p.fixed && "held at this value",
                    !p.identified && "not determined by the points",
                    p.unbounded && `no bound ${p.unbounded}`,
                  ]
                    .filter(Boolean)
                    .join("; ")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Forms({ law }: { law: Law }) {
  const [asked, setAsked] = useParam("forms", "");
  const draws = asked === "intervals" ? 100 : 0;
  const loaded = useData<Ranking>(asked ? `/api/laws/${law.id}/rank?draws=${draws}` : null, false);
  return (
    <section class="card" aria-label="Forms">
      <h2>Forms by how they extrapolate</h2>
      {!asked ? (
        <p>
          Every form is fitted to the cheaper runs and held against the dearer ones.{" "}
          <button type="button" onClick={() => setAsked("errors")}>
            Rank the forms
          </button>{" "}
          <span class="faint">(some seconds)</span>
        </p>
      ) : (
        <With loaded={loaded}>
          {(ranking) => (
            <>
              <div class="scroll">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Form</th>
                      <th scope="col">Of</th>
                      <th scope="col" class="number">
                        Error
                      </th>
                      <th scope="col" class="number">
                        Bias
                      </th>
                      {draws > 0 && (
                        <>
                          <th scope="col" class="number">
                            In 95 % interval
                          </th>
                          <th scope="col" class="number">
                            Weight
                          </th>
                        </>
                      )}
                      <th scope="col">Verdict</th>
                    </tr>
                  </thead>
                  <tbody>
                    {ranking.forms.map((form) => (
                      <tr key={`${form.form} ${form.x}`} class={form.form === law.form ? "selected" : ""}>
                        <th scope="row">{form.form}</th>
                        <td>{form.x.join(", ")}</td>
                        <td class="number">{form.error === null ? "–" : `${metricValue(100 * form.error)} %`}</td>
                        <td class="number">{form.bias === null ? "–" : `${metricValue(100 * form.bias)} %`}</td>
                        {draws > 0 && (
                          <>
                            <td class="number">{form.coverage95 == null ? "–" : percent(form.coverage95)}</td>
                            <td class="number">{form.weight == null ? "–" : percent(form.weight)}</td>
                          </>
                        )}
                        <td>
                          {form.error === null
                            ? "cannot be fitted"
                            : form.survives
                              ? "not worse than the best"
                              : "worse than the best"}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              <p class="faint">
                Mean |ln predicted − ln measured| over splits by {ranking.by} at{" "}
                {ranking.splits.map((split) => `×${metricValue(split.factor)}`).join(", ")}.{" "}
                {draws === 0 && (
                  <button type="button" onClick={() => setAsked("intervals")}>
                    With intervals and weights (minutes)
                  </button>
                )}
              </p>
              <Warnings
                texts={[
                  ...ranking.warnings,
                  ...new Set(
                    ranking.forms.flatMap((form) => form.failures.map((failure) => `${form.form}: ${failure}`)),
                  ),
                ]}
              />
            </>
          )}
        </With>
      )}
    </section>
  );
}
