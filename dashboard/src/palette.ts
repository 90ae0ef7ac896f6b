// Colours that the colour-blind can tell apart, in light and dark.
import { useEffect, useState } from "preact/hooks";

/** Okabe and Ito 2008; without its yellow and black, which one of the two grounds swallows. */
const CATEGORIES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#767676"],
  dark: ["#56b4e9", "#e69f00", "#3fc99a", "#e59ac4", "#f27d3a", "#f0e442", "#b79bd8", "#a8a8a8"],
};
/** Viridis, without the end that its ground swallows; the lightness orders it. */
const SCALE = {
  light: ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#9fba2a"],
  dark: ["#6a6fc4", "#4b8bc8", "#35a8b8", "#2ec49c", "#6fd870", "#b5e04a", "#fde725"],
};

export interface Theme {
  name: "light" | "dark";
  text: string;
  faint: string;
  line: string;
  ground: string;
  law: string;
  heldOut: string;
}
const THEMES: Record<"light" | "dark", Theme> = {
  light: {
    name: "light",
    text: "#1d2733",
    faint: "#5b6775",
    line: "#d9dfe6",
    ground: "#ffffff",
    law: "#0072b2",
    heldOut: "#d55e00",
  },
  dark: {
    name: "dark",
    text: "#e4e9ef",
    faint: "#9aa7b5",
    line: "#333e4b",
    ground: "#161c23",
    law: "#56b4e9",
    heldOut: "#f27d3a",
  },
};

export type ThemeChoice = "system" | "light" | "dark";
const KEY = "scalelaw-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
let choice = (localStorage.getItem(KEY) ?? "system") as ThemeChoice;
const listeners = new Set<() => void>();

function name(): "light" | "dark" {
  if (choice === "light" || choice === "dark") return choice;
  return dark.matches ? "dark" : "light";
}
function apply() {
  document.documentElement.dataset.theme = name();
  for (const listener of listeners) listener();
}
dark.addEventListener("change", apply);
apply();

export function chooseTheme(next: ThemeChoice) {
  choice = next;
  localStorage.setItem(KEY, next);
  apply();
}
export function useTheme(): [Theme, ThemeChoice] {
  const [, redraw] = useState(0);
  useEffect(() => {
    const listener = () => redraw((n) => n + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return [THEMES[name()], choice];
}

export const MOST_CATEGORIES = CATEGORIES.light.length;
export function categoryColor(index: number, theme: Theme): string {
  return CATEGORIES[theme.name][index % MOST_CATEGORIES];
}
/** `share` from 0 to 1. */
export function scaleColor(share: number, theme: Theme): string {
  const stops = SCALE[theme.name];
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const mix = (channel: number) => {
    const part = (hex: string) => parseInt(hex.slice(1 + 2 * channel, 3 + 2 * channel), 16);
    return Math.round(part(stops[low]) * (1 - at + low) + part(stops[low + 1]) * (at - low));
  };
  return `rgb(${mix(0)},${mix(1)},${mix(2)})`;
}
/** The i-th of n ordered colours. */
export function orderedColor(index: number, count: number, theme: Theme): string {
  return scaleColor(count > 1 ? index / (count - 1) : 0.4, theme);
}

/** One mark per state, so that none is told by its colour alone. */
export const STATE_MARKS: Record<string, string> = {
  waiting: "◌",
  queued: "○",
  running: "▶",
  succeeded: "✓",
  failed: "✕",
  cancelled: "■",
  skipped: "⤼",
  ready: "✓",
  draining: "◐",
  away: "…",
  lost: "✕",
  gone: "■",
};
