// Progress and the time that is left.

import { h, duration, plural } from "./dom.js";

const WINDOW = 600;
const samples = new Map();

/** Tasks that have ended, and the parts of running ones. */
export function work(sweep) {
  const { done, failed, cancelled, running } = sweep.tasks;
  const part = sweep.running_epochs_total > 0 ? (running * sweep.running_epochs_done) / sweep.running_epochs_total : 0;
  return done + failed + cancelled + Math.min(part, running);
}

/** Looks at a sweep; returns the seconds that are left, as the rate of the last minutes has it, or undefined. */
export function timeLeft(sweep) {
  const key = `rate-${sweep.id}-${sweep.name}`;
  let seen = samples.get(key);
  if (!seen) {
    try {
      seen = JSON.parse(sessionStorage.getItem(key)) ?? [];
    } catch {
      seen = [];
    }
    samples.set(key, seen);
  }
  const now = Date.now() / 1000;
  const at = work(sweep);
  let last = seen.at(-1);
  // Work that was undone (a retry, an extension) begins a new rate.
  if (last && (at < last[1] - 1 || sweep.tasks.total !== last[2])) {
    seen.length = 0;
    last = undefined;
  }
  if (!last || now - last[0] >= 1) {
    seen.push([now, at, sweep.tasks.total]);
    while (seen.length > 2 && (now - seen[0][0] > WINDOW || seen.length > 300)) seen.shift();
    try {
      sessionStorage.setItem(key, JSON.stringify(seen));
    } catch {
      // Without storage the rate begins anew on each page.
    }
  }
  if (sweep.state !== "active" || sweep.paused || sweep.tasks.running === 0) return undefined;
  const first = seen[0];
  const span = now - first[0];
  const gained = at - first[1];
  if (span < 3 || gained < 0.5) return undefined;
  return ((sweep.tasks.total - at) * span) / gained;
}

/** A bar with a part for each state. */
export function bar(sweep) {
  const { total, done, failed, cancelled, running } = sweep.tasks;
  const ended = done + failed + cancelled;
  const element = h("div", {
    class: "bar",
    role: "progressbar",
    "aria-label": `Tasks of ${sweep.name} that have ended`,
    "aria-valuemin": 0,
    "aria-valuemax": total,
    "aria-valuenow": ended,
    "aria-valuetext": `${ended} of ${total}`,
  });
  for (const [state, count] of Object.entries({ done, failed, cancelled, running })) {
    if (count === 0) continue;
    const part = h("span", { class: state });
    part.style.width = `${(100 * count) / Math.max(total, 1)}%`;
    element.append(part);
  }
  return element;
}

export function stateWord(sweep) {
  return sweep.state === "active" && sweep.paused ? "paused" : sweep.state;
}

export function counted(sweep) {
  const { total, done, failed, cancelled, running } = sweep.tasks;
  const parts = [`${done.toLocaleString("en")} of ${plural(total, "task")} done`];
  if (running) parts.push(`${running} running`);
  if (failed) parts.push(`${failed} failed`);
  if (cancelled) parts.push(`${cancelled} cancelled`);
  return parts.join(", ");
}

export function leftText(sweep) {
  const seconds = timeLeft(sweep);
  return seconds === undefined ? undefined : `about ${duration(seconds)}`;
}
