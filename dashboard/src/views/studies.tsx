// All studies and their sweeps: how far, what it cost, what failed, how long still.
import { count, duration, energy, hours, scientific, time } from "../format";
import { useData } from "../live";
import type { Study, Sweep } from "../messages";
import { Fact, Note, Progress, State, With } from "../parts";

function SweepRow({ sweep }: { sweep: Sweep }) {
  const { runs } = sweep;
  const ended = runs.succeeded + runs.failed + runs.cancelled + runs.skipped;
  return (
    <tr>
      <th scope="row">
        <a href={`/sweeps/${sweep.id}`}>{sweep.name}</a>
      </th>
      <td>
        <State state={sweep.state} />
      </td>
      <td>
        <Progress share={runs.total ? ended / runs.total : 0} label={`Progress of ${sweep.name}`} />
      </td>
      <td class="number">
        {runs.succeeded} / {runs.total}
      </td>
      <td class="number">{runs.running || ""}</td>
      <td class={`number ${runs.failed ? "bad" : ""}`}>{runs.failed || ""}</td>
      <td class="number">{scientific(sweep.flops_spent)}</td>
      <td class="number">{sweep.state === "running" ? duration(sweep.seconds_left) : ""}</td>
      <td>{time(sweep.submitted)}</td>
    </tr>
  );
}

function StudyCard({ study }: { study: Study }) {
  const running = study.sweeps.filter((sweep) => sweep.state === "running");
  const left = running.map((sweep) => sweep.seconds_left ?? NaN);
  const flops = study.sweeps.reduce((sum, sweep) => sum + sweep.flops_spent, 0);
  return (
    <section class="card" aria-label={`Study ${study.study}`}>
      <div class="card-head">
        <h2>{study.study}</h2>
        {study.laws > 0 && (
          <a href={`/laws?study=${encodeURIComponent(study.study)}`}>
            {study.laws} {study.laws === 1 ? "law" : "laws"}
          </a>
        )}
      </div>
      <dl class="facts">
        <Fact name="Spent">{scientific(flops)} FLOPs</Fact>
        <Fact name="Slot-hours" title="A slot is a GPU, or a share of a machine that has none">
          {hours(study.slot_seconds)}
        </Fact>
        <Fact name="Energy" title="The sum of the metric energy_joules that runs report">
          {study.energy_joules === undefined ? "not measured" : energy(study.energy_joules)}
        </Fact>
        <Fact name="Failed attempts">
          {count(study.failed_attempts)}
          {study.lost_attempts > 0 && ` + ${study.lost_attempts} lost with their workers`}
        </Fact>
        {running.length > 0 && <Fact name="Time left">{duration(Math.max(...left))}</Fact>}
      </dl>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Sweep</th>
              <th scope="col">State</th>
              <th scope="col">Progress</th>
              <th scope="col" class="number">
                Succeeded
              </th>
              <th scope="col" class="number">
                Running
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                FLOPs
              </th>
              <th scope="col" class="number">
                Time left
              </th>
              <th scope="col">Submitted</th>
            </tr>
          </thead>
          <tbody>
            {[...study.sweeps].reverse().map((sweep) => (
              <SweepRow key={sweep.id} sweep={sweep} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function Studies() {
  const loaded = useData<{ studies: Study[] }>("/api/studies");
  return (
    <>
      <h1>Studies</h1>
      <With loaded={loaded}>
        {({ studies }) =>
          studies.length === 0 ? (
            <Note kind="empty">
              <h2>Nothing has been submitted yet</h2>
              <p>Submit a sweep, and its runs appear here while they train:</p>
              <pre>scalelaw submit examples/first-law.yaml</pre>
            </Note>
          ) : (
            studies.map((study) => <StudyCard key={study.study} study={study} />)
          )
        }
      </With>
    </>
  );
}
