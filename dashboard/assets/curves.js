// Learning curves of chosen configurations.

import { $, bind, fill, h, number, plural, query, remember, showError, table } from "./dom.js";
import { get, ofSweep, taskPath } from "./api.js";
import { chart, colour, dash } from "./charts.js";
import { throttled } from "./live.js";
import { followSweep, sweepName, sweepUrl, unlessAway } from "./sweep-page.js";

const MOST = 16;
const LISTED = 200;

let rows = [];
let tasks = [];
let running = [];
let chosen = (query.get("configurations") ?? "").split(",").filter(Boolean).slice(0, MOST);
const drawChart = chart($("chart"));

const path = (rest) => ofSweep(sweepName, `/curves?configurations=${chosen.map(encodeURIComponent).join(",")}${rest}`);

const look = throttled(2000, async () => {
  try {
    rows = (await get(ofSweep(sweepName, "/grid"))).rows;
    if (!query.has("configurations")) {
      const begun = rows.filter((row) => /[dr]/.test(row.states));
      chosen = (begun.length ? begun : rows).slice(0, 4).map((row) => row.id);
    }
    drawSelection();
    ({ tasks, running } = chosen.length ? await get(path("")) : { tasks: [], running: [] });
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  draw();
});

/** Only what grows: the curves of finished tasks stay as they are. */
const lookAtRunning = throttled(1000, async () => {
  if (!chosen.length) return;
  const before = chosen.join();
  try {
    const now = (await get(path("&of=running"))).running;
    if (chosen.join() !== before) return;
    running = now;
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  draw();
});

/** Finished tasks, then running ones; the coordinator may have been asked for the latter a moment before. */
function lines() {
  const key = (task) => `${task.configuration}-${task.seed}`;
  const done = new Set(tasks.map(key));
  return [...tasks, ...running.filter((task) => !done.has(key(task))).map((task) => ({ ...task, grows: true }))];
}

/** The epochs of a line: `3 to 40 of 100, one in 2`. */
function span({ curves: { epochs }, grows, epochs: all, every }) {
  const known = epochs.length > 1 ? `${epochs[0]} to ${epochs.at(-1)}` : `${epochs[0]}`;
  return `${known}${grows && all ? ` of ${all}` : ""}${grows && every > 1 ? `, one in ${every}` : ""}`;
}

function drawSelection() {
  const filter = $("filter").value.toLowerCase();
  const found = rows.filter((row) => (row.name ?? row.id).toLowerCase().includes(filter));
  fill(
    $("selection"),
    found.slice(0, LISTED).map((row) => {
      const box = h("input", { type: "checkbox", "data-key": row.id });
      box.checked = chosen.includes(row.id);
      box.disabled = !box.checked && chosen.length >= MOST;
      box.addEventListener("change", () => {
        chosen = box.checked ? [...chosen, row.id] : chosen.filter((id) => id !== row.id);
        remember({ configurations: chosen.join(",") || "none" });
        drawSelection();
        look();
      });
      const count = (state) => [...row.states].filter((letter) => letter === state).length;
      const runs = count("r") ? `, ${count("r")} running` : "";
      const at = chosen.indexOf(row.id);
      const key = at < 0 ? null : h("span", { class: "key", "aria-hidden": "true" });
      if (key) key.style.background = colour(at);
      return h("li", {}, h("label", {}, box, " ", key, h("span", { class: "long" }, row.name ?? row.id), h("span", { class: "quiet small" }, ` ${count("d")} done${runs}`)));
    }),
  );
  $("more").hidden = found.length <= LISTED;
  $("more").textContent = `${plural(found.length - LISTED, "more configuration")}: filter by name.`;
}

function draw() {
  const all = lines();
  const names = [...new Set(all.flatMap((task) => Object.keys(task.curves.values)))].sort();
  const wanted = query.get("curve") ?? $("curve").value;
  if ([...$("curve").options].map((option) => option.value).join("|") !== names.join("|")) {
    fill($("curve"), names.map((value) => h("option", { value }, value)));
  }
  $("curve").value = names.includes(wanted) ? wanted : names.find((name) => name.startsWith("valid")) ?? names[0] ?? "";
  const curve = $("curve").value;
  const shown = all.filter((task) => task.curves.values[curve]?.some((value) => value !== null));
  const growing = shown.filter((task) => task.grows);
  const late = growing.filter((task) => task.curves.epochs[0] > 1);
  const counts = [[shown.length - growing.length, "finished"], [growing.length, "running"]].filter(([count]) => count).map(([count, word]) => plural(count, `${word} task`));
  $("state").textContent = shown.length
    ? `${counts.join(" and ")}, a line for each.${growing.length ? " A line with a dot at its end grows." : ""}${late.length ? ` ${late.length === growing.length ? "Of running tasks" : `Of ${late.length} of the running tasks`} the earlier epochs are known when they are done.` : ""}`
    : "Curves appear as soon as a task of the chosen configurations has finished an epoch.";
  $("axes").hidden = $("chart").hidden = $("data").hidden = shown.length === 0;
  if (shown.length === 0) return;
  const x = [...new Set(shown.flatMap((task) => task.curves.epochs))].sort((a, b) => a - b);
  const place = new Map(x.map((epoch, at) => [epoch, at]));
  const series = shown.map((task) => {
    const values = new Array(x.length).fill(null);
    task.curves.epochs.forEach((epoch, at) => {
      values[place.get(epoch)] = task.curves.values[curve][at];
    });
    const at = chosen.indexOf(task.configuration);
    return { label: `${task.name}, seed ${task.seed}`, values, colour: colour(at), dash: dash(at), width: shown.length > 12 ? 1.25 : 2, grows: task.grows };
  });
  const title = `${curve} by epoch of ${plural(shown.length, "task")}`;
  drawChart({ x, series, title, xLabel: "epoch", whole: true, yLabel: curve, recolour: recoloured }).catch(showError);
  const columns = [{ text: "Task" }, { text: "Epochs", class: "number" }, ...["First", "Last", "Least", "Most", "Best epoch"].map((text) => ({ text, class: "number" }))];
  table(
    $("chart-data"),
    title,
    columns,
    shown.map((task, at) => {
      const values = task.curves.values[curve].filter((value) => value !== null);
      const key = h("span", { class: "key", "aria-hidden": "true" });
      key.style.background = series[at].colour;
      return {
        cells: [
          [key, h("a", { href: sweepUrl(taskPath(task.configuration, task.seed)), "data-key": `${task.configuration}-${task.seed}` }, `${task.name}, seed ${task.seed}`), task.grows ? [" ", h("span", { class: "badge running small" }, "running")] : null],
          span(task),
          number(values[0]),
          number(values.at(-1)),
          number(Math.min(...values)),
          number(Math.max(...values)),
          task.best_epoch ? `${task.best_epoch}` : undefined,
        ],
      };
    }),
  );
}

function recoloured() {
  drawSelection();
  draw();
}

if (query.get("configurations") === "none") chosen = [];
$("axes").addEventListener("submit", (event) => event.preventDefault());
$("curve").addEventListener("change", () => {
  remember({ curve: $("curve").value });
  draw();
});
bind($("filter"), "filter", drawSelection);
let before;
followSweep((sweep) => {
  const now = JSON.stringify(sweep.tasks);
  if (before !== now) look();
  else if (sweep.tasks.running) lookAtRunning();
  before = now;
});
