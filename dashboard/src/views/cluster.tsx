// Workers, what they run, and what waits for them.
import { ago, percent } from "../format";
import { useData } from "../live";
import type { Cluster } from "../messages";
import { Fact, Note, State, With } from "../parts";

function labels(of: Record<string, string> | null): string {
  return Object.entries(of ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

/** One mark per slot, filled where it is in use. */
function Slots({ used, all }: { used: number; all: number }) {
  return (
    <span class="slots" role="img" aria-label={`${used} of ${all} slots in use`}>
      {all <= 16 ? Array.from({ length: all }, (_, i) => <i key={i} class={i < used ? "used" : ""} />) : null}
      <span>
        {used} / {all}
      </span>
    </span>
  );
}

export function ClusterView() {
  const loaded = useData<Cluster>("/api/cluster");
  return (
    <>
      <h1>Cluster</h1>
      <With loaded={loaded}>{(cluster) => <Body cluster={cluster} />}</With>
    </>
  );
}

function Body({ cluster }: { cluster: Cluster }) {
  const usable = cluster.workers.filter((worker) => worker.state === "ready" || worker.state === "draining");
  const slots = usable.reduce((sum, worker) => sum + worker.slots, 0);
  const used = usable.reduce((sum, worker) => sum + worker.slots_used, 0);
  const waiting = (state: string) =>
    cluster.queue.filter((group) => group.state === state).reduce((sum, group) => sum + group.runs, 0);
  return (
    <>
      <dl class="facts">
        <Fact name="Workers">
          {usable.length} of {cluster.workers.length} connected
        </Fact>
        <Fact name="Slots in use">
          {used} of {slots}
          {slots > 0 && ` (${percent(used / slots)})`}
        </Fact>
        <Fact name="Queued runs">{waiting("queued")}</Fact>
        <Fact name="Waiting for other stages">{waiting("waiting")}</Fact>
      </dl>
      {cluster.workers.length === 0 ? (
        <Note kind="empty">
          <h2>No worker has ever connected</h2>
          <p>Start one on every machine that is to train; on this one:</p>
          <pre>scalelaw-worker --server 127.0.0.1:7070 --work-dir ~/scalelaw/work</pre>
        </Note>
      ) : (
        <section class="card" aria-label="Workers">
          <h2>Workers</h2>
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Worker</th>
                  <th scope="col">State</th>
                  <th scope="col">Slots in use</th>
                  <th scope="col">Runs</th>
                  <th scope="col">Host</th>
                  <th scope="col">Labels</th>
                  <th scope="col">Heard from</th>
                  <th scope="col">Version</th>
                </tr>
              </thead>
              <tbody>
                {cluster.workers.map((worker) => (
                  <tr key={worker.id}>
                    <th scope="row">{worker.name}</th>
                    <td>
                      <State state={worker.state} />
                    </td>
                    <td>
                      <Slots used={worker.slots_used} all={worker.slots} />
                    </td>
                    <td>{worker.run_ids.join(", ")}</td>
                    <td>{worker.host}</td>
                    <td>{labels(worker.labels)}</td>
                    <td>{ago(worker.last_seen)}</td>
                    <td>{worker.version}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
      <section class="card" aria-label="Queue">
        <h2>Queue</h2>
        {cluster.queue.length === 0 ? (
          <p class="faint">Nothing waits.</p>
        ) : (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Sweep</th>
                  <th scope="col">Stage</th>
                  <th scope="col" class="number">
                    Runs
                  </th>
                  <th scope="col">State</th>
                  <th scope="col" class="number">
                    Slots each
                  </th>
                  <th scope="col">Needs</th>
                  <th scope="col">Why it waits</th>
                </tr>
              </thead>
              <tbody>
                {cluster.queue.map((group, index) => (
                  <tr key={index}>
                    <th scope="row">
                      <a href={`/sweeps/${group.sweep_id}`}>{group.sweep}</a>
                    </th>
                    <td>{group.stage}</td>
                    <td class="number">{group.runs}</td>
                    <td>
                      <State state={group.state} />
                    </td>
                    <td class="number">{group.slots}</td>
                    <td>{labels(group.labels)}</td>
                    <td>
                      {group.reason || (group.state === "queued" ? "waits for a free slot" : "waits for other stages")}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}
