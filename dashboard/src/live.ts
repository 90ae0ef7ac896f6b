// Data that stays current: the server says when something changed, and what is shown is asked for again.
import { useEffect, useRef, useState } from "preact/hooks";

export type Connection = "connecting" | "live" | "lost";

const RETRY_MS = 2000;
const LEAST_PAUSE_MS = 1000;
// Of the time that an answer took: large views are asked for less often.
const PAUSE_PER_ANSWER = 4;

type Listener = () => void;
const listeners = new Set<Listener>();
let connection: Connection = "connecting";
let lastHeard: Date | null = null;
let source: EventSource | null = null;

function tell() {
  for (const listener of [...listeners]) listener();
}
function setConnection(next: Connection) {
  if (next === connection) return;
  connection = next;
  tell();
}
function connect() {
  source?.close();
  source = new EventSource("/api/events");
  source.addEventListener("changed", () => {
    connection = "live";
    lastHeard = new Date();
    tell();
  });
  source.onerror = () => {
    setConnection("lost");
    // The browser itself tries again, unless the answer was no event stream.
    if (source?.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  };
}
/** Hidden pages hold no connection: browsers allow few to one server. */
export function startLive() {
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") return connect();
    source?.close();
  });
  connect();
}

export function useConnection(): { connection: Connection; lastHeard: Date | null } {
  const [, redraw] = useState(0);
  useEffect(() => {
    const listener = () => redraw((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return { connection, lastHeard };
}

async function getText(url: string, signal?: AbortSignal): Promise<string> {
  const answer = await fetch(url, { signal });
  const text = await answer.text();
  if (answer.ok) return text;
  let error = `the server answered ${answer.status}`;
  try {
    error = JSON.parse(text).error ?? error;
  } catch {
    // Not an answer of ours.
  }
  throw new Error(error);
}

export async function getJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return JSON.parse(await getText(url, signal)) as T;
}

export interface Loaded<T> {
  data?: T;
  /** What the server has against it; not set while it cannot be reached. */
  error?: string;
  loading: boolean;
}

/** What is under `url`, again after every change while `live`. An url of null asks for nothing. */
export function useData<T>(url: string | null, live = true): Loaded<T> {
  const [state, setState] = useState<Loaded<T> & { url: string | null }>({ loading: true, url });
  const current = useRef(url);
  current.current = url;
  useEffect(() => {
    if (url === null) return;
    const abort = new AbortController();
    let busy = false;
    let again = false;
    let shown = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    setState((old) => ({ ...old, loading: true }));
    async function ask() {
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      again = false;
      const began = performance.now();
      try {
        const text = await getText(url!, abort.signal);
        // Many a change is none of what is shown here.
        if (text !== shown) setState({ data: JSON.parse(text) as T, loading: false, url });
        shown = text;
      } catch (error) {
        if (abort.signal.aborted) return;
        // Out of reach: what was shown stays, and the page says so.
        const unreachable = error instanceof TypeError;
        if (unreachable) return;
        shown = "";
        setState({ error: (error as Error).message, loading: false, url });
      } finally {
        rest(performance.now() - began);
      }
    }
    function rest(took: number) {
      const pause = Math.max(LEAST_PAUSE_MS, PAUSE_PER_ANSWER * took);
      timer = setTimeout(() => {
        busy = false;
        if (again) void ask();
      }, pause);
    }
    const listener = () => {
      if (connection === "live") void ask();
    };
    void ask();
    if (live) listeners.add(listener);
    return () => {
      abort.abort();
      clearTimeout(timer);
      listeners.delete(listener);
    };
  }, [url, live]);
  // An answer to an older question is no answer to this one.
  if (state.url !== url) return { loading: url !== null, data: undefined };
  return state;
}
