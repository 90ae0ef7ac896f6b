// One run: what it is, why it waits or failed, the images that it made over training, and what it printed.
import { useEffect, useRef, useState } from "preact/hooks";
import { count, duration, metricValue, scientific, time } from "../format";
import { getJson, useData } from "../live";
import type { LogChunks, Run, RunDetails } from "../messages";
import { Fact, Note, State, With } from "../parts";

const KEPT_LOG = 400_000;

function Log({ run }: { run: Run }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const after = useRef(0);
  const box = useRef<HTMLPreElement>(null);
  const busy = useRef(false);
  useEffect(() => {
    const read = async () => {
      if (busy.current) return;
      busy.current = true;
      try {
        for (;;) {
          const { chunks } = await getJson<LogChunks>(`/api/runs/${run.id}/log?after=${after.current}`);
          if (chunks.length === 0) break;
          after.current = chunks[chunks.length - 1].id;
          const more = chunks.map((chunk) => chunk.text).join("");
          const pre = box.current;
          const atEnd = !pre || pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 8;
          setText((old) => (old + more).slice(-KEPT_LOG));
          if (atEnd) requestAnimationFrame(() => pre && (pre.scrollTop = pre.scrollHeight));
        }
        setError("");
      } catch (reason) {
        if (!(reason instanceof TypeError)) setError((reason as Error).message);
      } finally {
        busy.current = false;
      }
    };
    void read();
    // Output comes without a new step: it is looked for while the run runs.
    const timer = setInterval(() => run.state === "running" && void read(), 1500);
    return () => clearInterval(timer);
  }, [run.state, run.attempts]);
  if (error) return <Note kind="error">{error}</Note>;
  return (
    <pre class="log" ref={box} tabIndex={0} aria-label={`Output of run ${run.id}`}>
      {text || "Nothing has been printed."}
    </pre>
  );
}

function Samples({ run, details }: { run: Run; details: RunDetails }) {
  const images = details.artifacts
    .filter((artifact) => artifact.kind === "image")
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const [missing, setMissing] = useState<string[]>([]);
  if (images.length === 0)
    return <p class="faint">No images: a trainer shows them here as artifacts of kind “image”.</p>;
  return (
    <div class="samples">
      {images.map(({ name, path }) => (
        <figure key={name}>
          {missing.includes(name) ? (
            <div class="missing">{path} is not on the server's machine</div>
          ) : (
            <img
              src={`/api/runs/${run.id}/artifacts/${encodeURIComponent(name)}`}
              alt={`${name} of run ${run.id}`}
              loading="lazy"
              onError={() => setMissing((old) => [...old, name])}
            />
          )}
          <figcaption>{name}</figcaption>
        </figure>
      ))}
    </div>
  );
}

export function RunPanel({ run, onClose }: { run: Run; onClose: () => void }) {
  const details = useData<RunDetails>(`/api/runs/${run.id}`);
  return (
    <section class="card" aria-label={`Run ${run.id}`}>
      <div class="card-head">
        <h2>
          Run {run.id} <State state={run.state} />
        </h2>
        <button type="button" onClick={onClose} aria-label="Close the run">
          Close
        </button>
      </div>
      <p class="run-name">{run.name}</p>
      {run.reason && (
        <Note kind={run.state === "failed" ? "error" : "hint"}>
          <span class="reason-text">{run.reason}</span>
        </Note>
      )}
      <dl class="facts">
        <Fact name="Stage">{run.stage}</Fact>
        <Fact name="Parameters">{run.model_params ? count(run.model_params) : "not known yet"}</Fact>
        <Fact name="Step">{count(run.step)}</Fact>
        <Fact name="Samples">{count(run.samples)}</Fact>
        <Fact name="FLOPs">
          {scientific(run.flops)}
          {run.budget_flops ? ` of ${scientific(run.budget_flops)}` : ""}
        </Fact>
        <Fact name="Attempts">{run.attempts}</Fact>
        {run.worker && <Fact name="Worker">{run.worker}</Fact>}
        <Fact name="Started">{time(run.started)}</Fact>
        {run.state === "running" && <Fact name="Time left">{duration(run.seconds_left)}</Fact>}
        {Object.entries(run.latest).map(([name, value]) => (
          <Fact key={name} name={name}>
            {metricValue(value)}
          </Fact>
        ))}
      </dl>
      <details>
        <summary>Command and parameters</summary>
        <pre>{[run.command.join(" "), JSON.stringify(run.params, null, 2)].filter(Boolean).join("\n")}</pre>
      </details>
      <h3>Images over training</h3>
      <With loaded={details}>{(data) => <Samples run={run} details={data} />}</With>
      <h3>Output</h3>
      <Log key={run.id} run={run} />
    </section>
  );
}
