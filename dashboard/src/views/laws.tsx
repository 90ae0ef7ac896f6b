// The stored laws of all studies, newest first.
import { metricValue, time } from "../format";
import { useData } from "../live";
import { useParam } from "../location";
import type { Law } from "../messages";
import { Choice, Note, With } from "../parts";

export function Laws() {
  const loaded = useData<{ laws: Law[] }>("/api/laws");
  const [study, setStudy] = useParam("study", "");
  const [metric, setMetric] = useParam("metric", "");
  return (
    <>
      <h1>Laws</h1>
      <With loaded={loaded}>
        {({ laws }) => {
          if (laws.length === 0)
            return (
              <Note kind="empty">
                <h2>No law has been fitted yet</h2>
                <p>Once runs of several sizes or budgets have succeeded:</p>
                <pre>scalelaw fit STUDY --metric val_loss --x flops</pre>
                <pre>scalelaw fit STUDY --metric val_loss --x params,samples</pre>
              </Note>
            );
          const shown = laws.filter((law) => (!study || law.study === study) && (!metric || law.metric === metric));
          const all = (values: string[]): [string, string][] => [
            ["", "all"],
            ...[...new Set(values)].sort().map((value): [string, string] => [value, value]),
          ];
          return (
            <section class="card" aria-label="Laws">
              <div class="chart-tools">
                <Choice label="Study" value={study} options={all(laws.map((law) => law.study))} onChange={setStudy} />
                <Choice
                  label="Metric"
                  value={metric}
                  options={all(laws.map((law) => law.metric))}
                  onChange={setMetric}
                />
              </div>
              <div class="scroll">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Law</th>
                      <th scope="col">Study</th>
                      <th scope="col">Metric</th>
                      <th scope="col">Form</th>
                      <th scope="col">Of</th>
                      <th scope="col" class="number">
                        Points
                      </th>
                      <th scope="col" class="number">
                        R²
                      </th>
                      <th scope="col">Fitted</th>
                    </tr>
                  </thead>
                  <tbody>
                    {shown.map((law) => (
                      <tr key={law.id}>
                        <th scope="row">
                          <a href={`/laws/${law.id}`}>Law {law.id}</a>
                        </th>
                        <td>{law.study}</td>
                        <td>{law.metric}</td>
                        <td>{law.form}</td>
                        <td>{law.x.join(", ")}</td>
                        <td class="number">{law.n}</td>
                        <td class="number">{metricValue(law.r2)}</td>
                        <td>{time(law.fitted)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </section>
          );
        }}
      </With>
    </>
  );
}
