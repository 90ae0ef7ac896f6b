// The view in the address: a path, and parameters that say what is shown. Whoever gets the address sees the same.
import { useEffect, useState } from "preact/hooks";

const listeners = new Set<() => void>();
function changed() {
  for (const listener of [...listeners]) listener();
}
window.addEventListener("popstate", changed);

export function go(path: string) {
  history.pushState(null, "", path);
  window.scrollTo(0, 0);
  changed();
}

function useAddress(): URL {
  const [, redraw] = useState(0);
  useEffect(() => {
    const listener = () => redraw((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return new URL(location.href);
}

export function usePath(): string[] {
  return useAddress().pathname.split("/").filter(Boolean).map(decodeURIComponent);
}

/** Sets parameters; those that are null are left out. */
export function setParams(values: Record<string, string | null>) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(null, "", url);
  changed();
}

/** A parameter of the address, which is left out where it is as usual. */
export function useParam(name: string, usual: string): [string, (value: string) => void] {
  const value = useAddress().searchParams.get(name) ?? usual;
  return [value, (next) => setParams({ [name]: next === usual ? null : next })];
}

/** For links that stay within the page. */
export function follow(event: MouseEvent) {
  const anchor = (event.target as Element).closest("a");
  const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0;
  if (!anchor || modified || anchor.origin !== location.origin || anchor.hasAttribute("download")) return;
  if (anchor.pathname.startsWith("/api/") || anchor.target || anchor.getAttribute("href")?.startsWith("#")) return;
  event.preventDefault();
  go(anchor.href);
}
