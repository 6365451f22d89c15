// One task: its attempts, its result, its curves and its log.

import { $, badge, fill, h, instant, duration, number, plural, query, remember, settingText, showError, table } from "./dom.js";
import { get, ofSweep, post, taskPath } from "./api.js";
import { ask, buttons } from "./actions.js";
import { chart, colour } from "./charts.js";
import { throttled } from "./live.js";
import { followSweep, sweepName, sweepUrl, unlessAway } from "./sweep-page.js";

const [configuration, seed] = location.pathname.split("/").slice(-2).map(decodeURIComponent);
const drawChart = chart($("chart"));
let shown;
let log = "";

const facts = (pairs) => h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

const look = throttled(1000, async () => {
  const path = ofSweep(sweepName, taskPath(configuration, seed));
  const ran = shown?.task.state === "running";
  let lines;
  try {
    shown = await get(path);
    lines = await get(`${path}/log`).catch((error) => ({ lines: [], error }));
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  draw();
  // The last lines of its log come after its end.
  if (ran && shown.task.state !== "running") setTimeout(look, 1500);
  const text = lines.error ? lines.error.message : lines.lines.map((line) => `${line.at.slice(11, 19)} ${line.worker} ${line.source}: ${line.text}`).join("\n");
  if (text !== log) {
    const place = $("log");
    const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
    log = text;
    place.textContent = text;
    if (atEnd) place.scrollTop = place.scrollHeight;
  }
  $("log").hidden = text === "";
  $("cut").hidden = !lines.cut;
});

function draw() {
  const { task, failures, running, result } = shown;
  $("task-title").textContent = `${task.name ?? task.configuration}, seed ${task.seed}`;
  const pairs = [["State", badge(task.state)], ["Attempts", `${task.attempts}`], ["Configuration", h("code", {}, task.configuration)]];
  if (task.state === "running") pairs.push(["Worker", `${task.worker}, slot ${task.slot}`]);
  if (task.epochs) pairs.push(["Epoch", `${task.epoch} of ${task.epochs}`]);
  if (task.not_before) pairs.push(["Not before", instant(task.not_before)]);
  fill($("facts"), facts(pairs), task.reason ? h("p", { class: "error" }, `${task.reason}: ${task.message}`) : null);

  $("failures").hidden = failures.length === 0;
  fill(
    $("failures").querySelector("div"),
    failures.map((failure) => h("div", { class: "failure" }, h("p", {}, `Attempt ${failure.attempt}: `, h("strong", {}, failure.reason), failure.final ? "" : " (tried again)"), h("pre", { class: "diagnostics", tabindex: "0", "aria-label": `Failure of attempt ${failure.attempt}` }, failure.message))),
  );

  const retryable = task.state === "failed" || task.state === "cancelled";
  const open = task.state === "pending" || task.state === "running";
  const actions = [];
  if (retryable) actions.push({ word: "Retry this task…", act: retry });
  if (open) actions.push({ word: "Cancel this task…", act: cancel, dangerous: true });
  buttons($("actions"), actions);

  $("result").hidden = !result;
  if (result) {
    fill($("metrics"), facts(Object.entries(result.metrics).map(([name, value]) => [name, number(value)])));
    const origin = [
      ["Worker", result.worker],
      ["Attempt", result.attempt],
      ["Recorded", instant(result.recorded_at)],
      ["Took", duration(result.seconds)],
      ["Device", result.device],
      ["Best epoch", result.best_epoch || "–"],
    ];
    if (result.parameters) origin.push(["Parameters", result.parameters.toLocaleString("en")]);
    if (result.data_digest) origin.push(["Data", h("code", {}, result.data_digest.slice(0, 16))]);
    for (const [name, value] of Object.entries(result.environment ?? {})) origin.push([name, settingText(value)]);
    fill($("provenance"), h("details", {}, h("summary", {}, "Where it comes from"), facts(origin.map(([name, value]) => [name, value === null || value === undefined ? "–" : value instanceof Node ? value : String(value)]))));
  }
  curves(result, running);
}

function curves(result, running) {
  const of = (result ?? running)?.curves;
  const names = of ? Object.keys(of.values) : [];
  $("curves").hidden = names.length === 0;
  if (names.length === 0) return;
  const wanted = query.get("curve") ?? $("curve").value;
  if ([...$("curve").options].map((option) => option.value).join("|") !== names.join("|")) fill($("curve"), names.map((value) => h("option", { value }, value)));
  $("curve").value = names.includes(wanted) ? wanted : names.find((name) => name.startsWith("valid")) ?? names[0];
  const name = $("curve").value;
  drawChart({ x: of.epochs, series: [{ label: name, values: of.values[name], colour: colour(0), grows: !result }], title: `${name} by epoch`, xLabel: "epoch", whole: true, yLabel: name, recolour: () => curves(result, running) }).catch(showError);
  const known = [];
  if (!result && of.epochs[0] > 1) known.push(`What came before epoch ${of.epochs[0]} is known when the task is done.`);
  if (!result && running.every > 1) known.push(`Of its epochs one in ${running.every} is shown until it is done.`);
  $("known").textContent = known.join(" ");
  table(
    $("chart-data"),
    "Curves by epoch",
    [{ text: "Epoch" }, ...names.map((text) => ({ text, class: "number" }))],
    of.epochs.map((epoch, at) => ({ cells: [`${epoch}`, ...names.map((it) => number(of.values[it][at]))] })),
  );
}

async function retry() {
  const answer = await ask({
    title: "Retry this task?",
    text: `${$("task-title").textContent} becomes pending again, with all its attempts.`,
    verb: "Retry",
    run: () => post(ofSweep(sweepName, "/retry"), { tasks: [{ configuration, seed: Number(seed) }] }),
  });
  if (!answer) return;
  $("done").hidden = false;
  $("done").textContent = answer.tasks_retried ? `${plural(answer.tasks_retried, "task")} waits again.` : "Nothing was retried.";
  again();
  look();
}

async function cancel() {
  const answer = await ask({
    title: "Cancel this task?",
    text: `${$("task-title").textContent} is not trained, and its work so far is lost. The sweep goes on without it.`,
    verb: "Cancel the task",
    dangerous: true,
    run: () => post(ofSweep(sweepName, "/cancel-tasks"), { tasks: [{ configuration, seed: Number(seed) }] }),
  });
  if (!answer) return;
  $("done").hidden = false;
  $("done").textContent = answer.tasks_cancelled ? "It is cancelled." : "It had ended before.";
  again();
  look();
}

$("axes").addEventListener("submit", (event) => event.preventDefault());
$("curve").addEventListener("change", () => {
  remember({ curve: $("curve").value });
  draw();
});
const again = followSweep(() => look());
// The log of a running task grows without a change of the sweep.
setInterval(() => shown?.task.state === "running" && !document.hidden && look(), 2000);
