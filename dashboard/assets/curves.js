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
let chosen = (query.get("configurations") ?? "").split(",").filter(Boolean).slice(0, MOST);
const drawChart = chart($("chart"));

const look = throttled(2000, async () => {
  try {
    rows = (await get(ofSweep(sweepName, "/grid"))).rows;
    if (!query.has("configurations")) {
      const finished = rows.filter((row) => row.states.includes("d"));
      chosen = (finished.length ? finished : rows).slice(0, 4).map((row) => row.id);
    }
    drawSelection();
    if (chosen.length) tasks = (await get(ofSweep(sweepName, `/curves?configurations=${chosen.map(encodeURIComponent).join(",")}`))).tasks;
    else tasks = [];
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  draw();
});

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
      const done = [...row.states].filter((letter) => letter === "d").length;
      const at = chosen.indexOf(row.id);
      const key = at < 0 ? null : h("span", { class: "key", "aria-hidden": "true" });
      if (key) key.style.background = colour(at);
      return h("li", {}, h("label", {}, box, " ", key, h("span", { class: "long" }, row.name ?? row.id), h("span", { class: "quiet small" }, ` ${done} done`)));
    }),
  );
  $("more").hidden = found.length <= LISTED;
  $("more").textContent = `${plural(found.length - LISTED, "more configuration")}: filter by name.`;
}

function draw() {
  const names = [...new Set(tasks.flatMap((task) => Object.keys(task.curves.values)))].sort();
  const wanted = query.get("curve") ?? $("curve").value;
  if ([...$("curve").options].map((option) => option.value).join("|") !== names.join("|")) {
    fill($("curve"), names.map((value) => h("option", { value }, value)));
  }
  $("curve").value = names.includes(wanted) ? wanted : names.find((name) => name.startsWith("valid")) ?? names[0] ?? "";
  const curve = $("curve").value;
  const shown = tasks.filter((task) => task.curves.values[curve]?.some((value) => value !== null));
  $("state").textContent = shown.length ? `${plural(shown.length, "finished task")}, a line for each.` : "Curves appear when tasks of the chosen configurations are done.";
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
    return { label: `${task.name}, seed ${task.seed}`, values, colour: colour(at), dash: dash(at), width: shown.length > 12 ? 1.25 : 2 };
  });
  const title = `${curve} by epoch of ${plural(shown.length, "task")}`;
  drawChart({ x, series, title, xLabel: "epoch", whole: true, yLabel: curve, recolour: recoloured }).catch(showError);
  const columns = [{ text: "Task" }, ...["First", "Last", "Least", "Most", "Best epoch"].map((text) => ({ text, class: "number" }))];
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
          [key, h("a", { href: sweepUrl(taskPath(task.configuration, task.seed)), "data-key": `${task.configuration}-${task.seed}` }, `${task.name}, seed ${task.seed}`)],
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
  if (before !== sweep.tasks.done) look();
  before = sweep.tasks.done;
});
