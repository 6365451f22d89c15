// One sweep: its progress, the grid of its tasks, its failures, and what can be done with it.

import { $, badge, fill, h, instant, plural, settingText, showError } from "./dom.js";
import { get, ofSweep, post, remove, taskPath } from "./api.js";
import { ask, buttons } from "./actions.js";
import { grid } from "./grid.js";
import { throttled } from "./live.js";
import { bar, counted, leftText, stateWord } from "./measures.js";
import { followSweep, sweepName, sweepUrl, unlessAway } from "./sweep-page.js";

/** How many kinds of failures are shown, and how many tasks of each. */
const SHOWN = 10;
const NAMED = 6;

let sweep;
const show = grid($("grid"), `States of the tasks of ${sweepName}`, (row, seed) => sweepUrl(taskPath(row.id, seed)));
$("as-table").href = sweepUrl("/tasks");
fill(
  $("legend"),
  [["P", "pending"], ["R", "running"], ["D", "done"], ["F", "failed"], ["C", "cancelled"]].map(([letter, state]) =>
    h("span", {}, h("span", { class: `cell ${state}`, "aria-hidden": "true" }, letter), ` ${state}`),
  ),
);

/** A grid costs the coordinator time in proportion to its tasks, which many open pages must not take from dispatch. */
const gridEvery = () => Math.min(10000, Math.max(500, (sweep?.tasks.total ?? 0) / 4));
let shown;
const drawGrid = throttled(gridEvery, async () => {
  try {
    const number = sweep?.id;
    // Names, ids and seeds change only when the sweep is extended, or is another one of the same name.
    const states = shown && shown.number === number ? (await get(ofSweep(sweepName, "/grid?part=states"))).states : [];
    const fits = shown && states.length === shown.rows.length && states[0]?.length === shown.seeds.length;
    shown = fits
      ? { ...shown, rows: shown.rows.map((row, at) => ({ ...row, states: states[at] })) }
      : { number, ...(await get(ofSweep(sweepName, "/grid"))) };
    show(shown);
  } catch (error) {
    unlessAway(error);
  }
});

const drawRest = throttled(1000, async () => {
  let document;
  try {
    document = await get(ofSweep(sweepName, "?limit=1"));
  } catch (error) {
    return unlessAway(error);
  }
  const failures = document.failures;
  $("failures").hidden = failures.length === 0;
  fill($("failures").querySelector("ul"), alike(failures).slice(0, SHOWN).map(failed));
  const all = $("failures").querySelector("p.all");
  all.hidden = sweep.tasks.failed === 0;
  fill(all, h("a", { href: sweepUrl("/tasks?state=failed"), "data-key": "all-failed" }, `All that failed: ${plural(sweep.tasks.failed, "task")}`));
  const aside = document.set_aside.map((it) =>
    h("li", {}, h("strong", {}, it.worker), ` is set aside after ${plural(it.failures, "failure")} in a row`, it.until ? [" until ", instant(it.until)] : null, it.message ? `: ${it.message}` : ""),
  );
  const without = document.without_data.map((it) =>
    h("li", {}, h("strong", {}, it.worker), it.program ? " lacks the program" : ` has no data set ${it.data_set}`, it.other_digest ? ` of this digest (it has ${it.other_digest})` : ""),
  );
  const misfit = document.misfit ? [h("li", {}, document.misfit)] : [];
  $("aside").hidden = aside.length + without.length + misfit.length === 0;
  fill($("aside").querySelector("ul"), aside, without, misfit);
});

/** Failures with the same reason and message together: usually one mistake is behind all of them. */
function alike(failures) {
  const kinds = new Map();
  for (const failure of failures) {
    const kind = `${failure.reason} ${failure.message}`;
    if (!kinds.has(kind)) kinds.set(kind, []);
    kinds.get(kind).push(failure);
  }
  return [...kinds.values()];
}

function failed(kind) {
  const [{ reason, message }] = kind;
  const task = (failure) =>
    h(
      "li",
      {},
      h("a", { href: sweepUrl(taskPath(failure.configuration, failure.seed)), "data-key": `${failure.configuration}-${failure.seed}-${failure.attempt}`, class: "long" }, `${failure.name ?? failure.configuration}, seed ${failure.seed}`),
      h("span", { class: "quiet" }, ` attempt ${failure.attempt}${failure.final ? "" : ", tried again"}`),
    );
  return h(
    "li",
    {},
    h("strong", {}, reason),
    kind.length > 1 ? `, ${plural(kind.length, "attempt")}` : null,
    h("p", { class: "message quiet small" }, message.length > 400 ? `${message.slice(0, 400)}…` : message),
    h("ul", { class: "named small" }, kind.slice(0, NAMED).map(task), kind.length > NAMED ? h("li", { class: "quiet" }, `and ${plural(kind.length - NAMED, "more attempt")}`) : null),
  );
}

function drawSummary() {
  const facts = [
    ["State", badge(stateWord(sweep))],
    ["Time left", leftText(sweep) ?? (sweep.state === "active" ? "not known yet" : "–")],
    ["Grid", `${plural(sweep.configurations, "configuration")} × ${plural(sweep.seeds, "seed")}`],
    ["Workers", `${sweep.workers}`],
    ["Slots", `${sweep.slots}`],
    ["Priority", `${sweep.priority}`],
    ["Submitted", [instant(sweep.submitted_at), sweep.submitted_by ? ` by ${sweep.submitted_by}` : ""]],
  ];
  if (sweep.retried) facts.push(["Attempts repeated", `${sweep.retried}`]);
  if (sweep.max_concurrent_tasks) facts.push(["At once at most", `${sweep.max_concurrent_tasks}`]);
  if (sweep.trains_only) facts.push(["Trains only", settingText(sweep.trains_only)]);
  fill(
    $("summary"),
    bar(sweep),
    h("p", { class: "counted" }, counted(sweep)),
    sweep.why_waiting ? h("p", { class: "why", role: "note" }, sweep.why_waiting) : null,
    sweep.stopped ? h("p", { class: "why", role: "note" }, `Stopped: ${sweep.stopped}.`) : null,
    h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
  );
}

/** Asks, does it, says what was done, and looks at once. */
async function change(question, words) {
  const answer = await ask(question);
  if (!answer) return;
  $("done").hidden = false;
  $("done").textContent = words(answer);
  look();
  drawGrid();
  drawRest();
}

const named = `the sweep ${sweepName}`;
const file = [
  { name: "source", label: "The sweep file with more seeds or configurations", type: "textarea" },
  { name: "file", label: "or choose it", type: "file", accept: ".yaml,.yml,text/yaml", into: "source" },
];
const all = {
  pause: () => change({ title: `Pause ${named}?`, text: "Running tasks are finished; no other begins.", verb: "Pause", run: () => post(ofSweep(sweepName, "/pause")) }, () => "It is paused."),
  resume: () => change({ title: `Resume ${named}?`, text: "Tasks that wait begin again.", verb: "Resume", run: () => post(ofSweep(sweepName, "/resume")) }, () => "It goes on."),
  cancel: () =>
    change(
      { title: `Cancel ${named}?`, text: "Running tasks are stopped and their work is lost. Results so far stay.", verb: "Cancel the sweep", dangerous: true, run: () => post(ofSweep(sweepName, "/cancel")) },
      () => "It is cancelled.",
    ),
  retry: () =>
    change(
      {
        title: `Retry tasks of ${named}?`,
        text: `${plural(sweep.tasks.failed, "failed task")} and ${plural(sweep.tasks.cancelled, "cancelled task")} become pending again.`,
        fields: [{ name: "failed_only", label: "only those that failed", type: "checkbox" }],
        verb: "Retry",
        run: (values) => post(ofSweep(sweepName, "/retry"), values),
      },
      (answer) => `${plural(answer.tasks_retried, "task")} wait again.`,
    ),
  extend: () =>
    change(
      { title: `Extend ${named}`, text: "Seeds and configurations that the file has in addition are added; nothing else may differ.", fields: file, verb: "Extend", run: ({ source }) => post(ofSweep(sweepName, "/extend"), { source }) },
      (answer) => [`${plural(answer.tasks_added, "task")} added.`, ...(answer.submission_warnings ?? [])].join(" "),
    ),
  priority: () =>
    change(
      {
        title: `Priority of ${named}`,
        text: "Tasks of sweeps with a higher priority begin first.",
        fields: [{ name: "priority", label: "From −1000 to 1000", type: "number", min: -1000, max: 1000, step: 1, value: sweep.priority, required: true }],
        verb: "Set",
        run: (values) => post(ofSweep(sweepName, "/priority"), values),
      },
      (answer) => `Its priority is ${answer.priority}.`,
    ),
  remove: () =>
    change(
      {
        title: `Remove ${named}?`,
        text: "The sweep and all its results are deleted. This cannot be undone.",
        verb: "Remove for ever",
        dangerous: true,
        run: async () => {
          const answer = await remove(ofSweep(sweepName));
          location.href = "/";
          return answer;
        },
      },
      () => "It is removed.",
    ),
};

function drawActions() {
  const active = sweep.state === "active";
  const actions = [];
  if (active) actions.push(sweep.paused ? { word: "Resume…", act: all.resume } : { word: "Pause…", act: all.pause });
  if (sweep.tasks.failed + sweep.tasks.cancelled > 0) actions.push({ word: "Retry…", act: all.retry });
  actions.push({ word: "Extend…", act: all.extend });
  if (active) actions.push({ word: "Priority…", act: all.priority }, { word: "Cancel…", act: all.cancel, dangerous: true });
  else actions.push({ word: "Remove…", act: all.remove, dangerous: true });
  buttons($("actions"), actions);
}

const look = followSweep((now) => {
  sweep = now;
  showError(null);
  drawSummary();
  drawActions();
  drawGrid();
  drawRest();
});
setInterval(() => sweep?.state === "active" && !document.hidden && drawSummary(), 5000);
