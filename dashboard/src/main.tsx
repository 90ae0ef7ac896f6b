// The file to read first: which view an address shows, and what is around every view.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { follow, usePath } from "./location";
import { startLive, useConnection } from "./live";
import { chooseTheme, useTheme, type ThemeChoice } from "./palette";
import { Choice, Note } from "./parts";
import { Studies } from "./views/studies";
import { SweepView } from "./views/sweep";
import { Laws } from "./views/laws";
import { LawPage } from "./views/law";
import { Compare } from "./views/compare";
import { ClusterView } from "./views/cluster";
import "./style.css";

const TABS: [string, string, string[]][] = [
  ["/", "Studies", ["", "sweeps"]],
  ["/laws", "Laws", ["laws"]],
  ["/compare", "Compare", ["compare"]],
  ["/cluster", "Cluster", ["cluster"]],
];

function View({ path }: { path: string[] }) {
  const [first = "", id, more] = path;
  if (more === undefined) {
    if (first === "" && id === undefined) return <Studies />;
    if (first === "sweeps" && id) return <SweepView key={id} id={id} />;
    if (first === "laws") return id ? <LawPage key={id} id={id} /> : <Laws />;
    if (first === "compare" && !id) return <Compare />;
    if (first === "cluster" && !id) return <ClusterView />;
  }
  return (
    <Note kind="empty">
      There is nothing at this address. <a href="/">See all studies</a>
    </Note>
  );
}

function ConnectionMark() {
  const { connection, lastHeard } = useConnection();
  const text = { connecting: "Connecting …", live: "Live", lost: "Disconnected" }[connection];
  return (
    <>
      <span class={`connection connection-${connection}`} role="status">
        <span aria-hidden="true">{connection === "live" ? "●" : connection === "lost" ? "✕" : "○"}</span> {text}
      </span>
      {connection === "lost" && (
        <div class="banner" role="alert">
          The server does not answer
          {lastHeard ? `; what you see is from ${lastHeard.toLocaleTimeString()}` : ""}. Trying again …
        </div>
      )}
    </>
  );
}

function App() {
  const path = usePath();
  const [, choice] = useTheme();
  const first = path[0] ?? "";
  useEffect(() => {
    document.title = `${[...path].reverse().concat("Scalelaw").join(" · ")}`;
  }, [path.join("/")]);
  return (
    <div onClick={follow}>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <a class="brand" href="/">
          <img src="/icon.svg" alt="" width="22" height="22" /> Scalelaw
        </a>
        <nav aria-label="Views">
          {TABS.map(([href, name, owns]) => (
            <a key={href} href={href} aria-current={owns.includes(first) ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <ConnectionMark />
        <Choice
          label="Theme"
          value={choice}
          options={["system", "light", "dark"]}
          onChange={(next) => chooseTheme(next as ThemeChoice)}
        />
      </header>
      <main id="content" tabIndex={-1}>
        <View path={path} />
      </main>
    </div>
  );
}

startLive();
render(<App />, document.getElementById("app")!);
