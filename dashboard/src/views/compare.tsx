// Two families or recipes: how many times the compute of one the other needs for the same result.
import { useMemo } from "preact/hooks";
import { Chart, extent, frame, polyline, withLegend, type Option } from "../chart";
import { columnLabel, metricValue, percent, scientific } from "../format";
import { useData } from "../live";
import { useParam } from "../location";
import type { Comparison, Estimate, Law, LawView } from "../messages";
import { categoryColor, useTheme } from "../palette";
import { Choice, Note, Warnings, With } from "../parts";

function name(law: Law): string {
  return `${law.study}: ${law.metric} by ${law.x.join(", ")} (law ${law.id}, ${law.form})`;
}
function interval(e: Estimate): string {
  return `${metricValue(e.value)} (${metricValue(e.low95)} – ${e.high95 === null ? "∞" : metricValue(e.high95)})`;
}

export function Compare() {
  const laws = useData<{ laws: Law[] }>("/api/laws");
  return (
    <>
      <h1>Compare</h1>
      <With loaded={laws}>{({ laws: all }) => <Chosen laws={all} />}</With>
    </>
  );
}

function Chosen({ laws }: { laws: Law[] }) {
  const [a, setA] = useParam("a", "");
  const [b, setB] = useParam("b", "");
  const first = laws.find((law) => String(law.id) === a);
  const partners = laws.filter((law) => law.id !== first?.id && (!first || law.metric === first.metric));
  const second = partners.find((law) => String(law.id) === b);
  const viewA = useData<LawView>(first && second ? `/api/laws/${first.id}` : null, false);
  const viewB = useData<LawView>(first && second ? `/api/laws/${second.id}` : null, false);
  const at = useMemo(
    () => (viewA.data && viewB.data ? places(viewA.data, viewB.data) : null),
    [viewA.data, viewB.data],
  );
  const loaded = useData<Comparison>(
    at && `/api/compare?a=${a}&b=${b}${at.length ? `&at=${at.join(",")}` : ""}`,
    false,
  );
  if (laws.length < 2)
    return (
      <Note kind="empty">
        <h2>Two laws are needed</h2>
        <p>Fit a law for each of two recipes or families, for the same metric:</p>
        <pre>scalelaw fit STUDY --metric alignment --x flops</pre>
      </Note>
    );
  const options = (from: Law[]): [string, string][] => [
    ["", "choose a law"],
    ...from.map((law): [string, string] => [String(law.id), name(law)]),
  ];
  return (
    <>
      <section class="card" aria-label="Laws to compare">
        <div class="compare-choice">
          <Choice label="A" value={first ? a : ""} options={options(laws)} onChange={setA} />
          <Choice label="B" value={second ? b : ""} options={options(partners)} onChange={setB} />
        </div>
      </section>
      {first && second ? (
        <With loaded={viewA}>
          {(dataA) => (
            <With loaded={viewB}>
              {(dataB) => (
                <With loaded={loaded}>{(comparison) => <Result comparison={comparison} a={dataA} b={dataB} />}</With>
              )}
            </With>
          )}
        </With>
      ) : (
        <Note kind="hint">Choose two laws of the same metric.</Note>
      )}
    </>
  );
}

/** Compute within what both were run with, and ten times beyond; none where they have no compute in common. */
function places(a: LawView, b: LawView): number[] {
  if (!a.law.x.includes("flops") && !a.surface) return [];
  const low = Math.max(...[a, b].map((view) => Math.min(...view.runs.map((run) => run.flops))));
  const high = Math.min(...[a, b].map((view) => Math.max(...view.runs.map((run) => run.flops))));
  if (!(low > 0) || !(high > low)) return [];
  const within = [0, 1 / 3, 2 / 3, 1].map((share) => low * (high / low) ** share);
  return [...within, 10 * high].map((flops) => Number(flops.toPrecision(3)));
}

function Result({ comparison, a, b }: { comparison: Comparison; a: LawView; b: LawView }) {
  const [theme] = useTheme();
  const option = useMemo((): Option => {
    const sides = [a, b].map((view, index) => {
      const most = Math.max(...view.runs.map((run) => run.flops));
      const curve = view.band
        ? view.band.map(([flops, value]): [number, number] => [flops, value])
        : (view.surface?.path ?? []).map((point): [number, number] => [point.flops, point.value[0]!]);
      return {
        view,
        color: categoryColor(index, theme),
        label: `${"AB"[index]}: ${view.law.study}`,
        curve: curve.filter(([flops]) => flops <= 10 * most),
      };
    });
    const points = sides.flatMap(({ view, curve }) => [...curve, ...view.runs.map((run) => [run.flops, run.value])]);
    const logY = !a.score;
    return {
      ...frame(
        {
          label: columnLabel("flops"),
          log: true,
          range: extent(
            points.map((p) => p[0]),
            true,
          ),
        },
        {
          label: comparison.metric,
          log: logY,
          range: extent(
            points.map((p) => p[1]),
            logY,
          ),
        },
        theme,
      ),
      ...withLegend(
        sides.flatMap(({ view, color, label, curve }, index) => [
          polyline(label, curve, { color, width: 2.5, type: index === 0 ? "solid" : "dashed" }),
          {
            type: "scatter",
            name: label,
            data: view.runs.map((run) => [run.flops, run.value]),
            symbol: index === 0 ? "circle" : "triangle",
            symbolSize: 6,
            itemStyle: { color, opacity: 0.55 },
            tooltip: {
              formatter: ({ value }: { value: number[] }) =>
                `${label}<br>${scientific(value[0])} FLOPs: ${metricValue(value[1])}`,
            },
          },
        ]),
        theme,
      ),
    };
  }, [a, b, theme]);
  // The largest that both were run with says most; beyond, curves are followed on trust.
  const largest = Math.min(...[a, b].map((view) => Math.max(...view.runs.map((run) => run.flops))));
  const last = comparison.at.filter((row) => row.at <= 1.01 * largest).pop() ?? comparison.at[comparison.at.length - 1];
  return (
    <>
      {last && (
        <section class="card verdict" aria-label="Verdict">
          <p>
            At {scientific(last.at)} {comparison.column === "flops" ? "FLOPs" : comparison.column}, B needs{" "}
            <strong>{last.multiplier.value === null ? "∞" : metricValue(last.multiplier.value)}</strong> times the
            compute of A for the same {comparison.metric}
            <span class="interval">
              95 %: {metricValue(last.multiplier.low95)} –{" "}
              {last.multiplier.high95 === null ? "∞" : metricValue(last.multiplier.high95)}
            </span>
          </p>
          <p class="faint">
            {comparison.paired
              ? "Runs in common were resampled together."
              : `Not paired: ${comparison.unpaired_because}`}
          </p>
        </section>
      )}
      <section class="card" aria-label="Both curves">
        <Chart
          name={`compare-${a.law.id}-${b.law.id}`}
          label={`${comparison.metric} against compute for ${comparison.a} and ${comparison.b}`}
          option={option}
        />
      </section>
      <section class="card" aria-label="Comparison">
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col" class="number">
                  FLOPs of A
                </th>
                <th scope="col" class="number">
                  A
                </th>
                <th scope="col" class="number">
                  B
                </th>
                <th scope="col" class="number">
                  Compute multiplier
                </th>
                <th scope="col" class="number">
                  A is better
                </th>
                <th scope="col">Where</th>
              </tr>
            </thead>
            <tbody>
              {comparison.at.map((row) => (
                <tr key={row.at}>
                  <td class="number">{scientific(row.at)}</td>
                  <td class="number">{interval(row.a)}</td>
                  <td class="number">{interval(row.b)}</td>
                  <td class="number">{row.multiplier.value === null ? "∞" : interval(row.multiplier)}</td>
                  <td class="number">{row.a_better === undefined ? "–" : percent(row.a_better)}</td>
                  <td>{row.inside ? "within both" : "extrapolated"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {comparison.crossings.map((crossing) => (
          <p key={crossing.at.value}>
            The curves cross at {scientific(crossing.at.value)} FLOPs ({scientific(crossing.at.low95)} –{" "}
            {scientific(crossing.at.high95)}); beyond, {crossing.a_better_beyond ? "A" : "B"} is better.
          </p>
        ))}
        <Warnings texts={comparison.warnings} />
      </section>
    </>
  );
}
