// Small things that all views are made of.
import type { ComponentChildren } from "preact";
import { STATE_MARKS } from "./palette";
import { percent } from "./format";
import type { Loaded } from "./live";

export function State({ state }: { state: string }) {
  return (
    <span class={`state state-${state}`}>
      <span aria-hidden="true">{STATE_MARKS[state] ?? "•"}</span> {state}
    </span>
  );
}

export function Progress({ share, label }: { share: number; label: string }) {
  return (
    <span class="progress">
      <progress value={share} max={1} aria-label={label} />
      <span>{percent(share)}</span>
    </span>
  );
}

/** A number with its name, for the row at the top of a view. */
export function Fact({ name, children, title }: { name: string; children: ComponentChildren; title?: string }) {
  return (
    <div class="fact" title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: (string | [string, string])[];
  onChange: (value: string) => void;
}) {
  return (
    <label class="choice">
      <span>{props.label}</span>
      <select
        aria-label={props.label}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
      >
        {props.options.map((option) => {
          const [value, text] = typeof option === "string" ? [option, option] : option;
          return (
            <option key={value} value={value} selected={value === props.value}>
              {text}
            </option>
          );
        })}
      </select>
    </label>
  );
}

export function Check(props: { label: string; checked: boolean; onChange: (checked: boolean) => void }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={props.checked}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      {props.label}
    </label>
  );
}

export function Note({ kind, children }: { kind: "empty" | "error" | "hint"; children: ComponentChildren }) {
  return (
    <div class={`note note-${kind}`} role={kind === "error" ? "alert" : undefined}>
      {children}
    </div>
  );
}

export function Warnings({ texts }: { texts: string[] }) {
  if (texts.length === 0) return null;
  return (
    <ul class="warnings" aria-label="Warnings">
      {texts.map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  );
}

/** What has been loaded, or why it has not been. */
export function With<T>({ loaded, children }: { loaded: Loaded<T>; children: (data: T) => ComponentChildren }) {
  if (loaded.data !== undefined) return <>{children(loaded.data)}</>;
  if (loaded.error) return <Note kind="error">{loaded.error}</Note>;
  return (
    <div class="skeleton" role="status">
      <span>Loading …</span>
    </div>
  );
}
