// Workers: their slots, devices, and what they do; pools of worker jobs.

import { $, badge, fill, h, instant, plural, showError, table } from "./dom.js";
import { get, post, taskPath } from "./api.js";
import { ask } from "./actions.js";
import { poll } from "./live.js";

let before = "";

const look = poll(
  2000,
  async () => {
    const [{ workers }, pools] = await Promise.all([get("workers"), get("pools").catch(() => undefined)]);
    showError(null);
    const now = JSON.stringify([workers, pools]);
    if (now === before) return;
    before = now;
    $("count").textContent = workers.length ? `${plural(workers.length, "worker")}, ${plural(workers.reduce((sum, worker) => sum + worker.slots.length, 0), "slot")}.` : "No worker is connected: start one with colearn-worker.";
    fill($("workers"), workers.map(card));
    drawPools(pools);
  },
  showError,
);

function doing(task) {
  const url = `/sweeps/${encodeURIComponent(task.sweep)}`;
  return h(
    "li",
    {},
    h("a", { href: url + taskPath(task.configuration, task.seed), "data-key": `${task.sweep}-${task.configuration}-${task.seed}`, class: "long" }, `${task.sweep}: ${task.name ?? task.configuration}, seed ${task.seed}`),
    task.epochs ? h("span", { class: "quiet" }, ` epoch ${task.epoch} of ${task.epochs}`) : null,
  );
}

const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`;
const cores = (value) => Number(value.toFixed(1)).toString();

/** A measure as a word, a bar and numbers: what the worker itself uses, then all others. */
function gauge(name, used, own, all, text) {
  if (typeof all !== "number" || typeof used !== "number" || all <= 0) return [h("span", {}, name), h("span", { class: "quiet" }, "unknown")];
  const bar = h("div", { class: "bar", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": all, "aria-valuenow": Math.min(used, all), "aria-valuetext": text });
  const mine = Math.min(own ?? 0, used);
  for (const [kind, part] of [["own", mine], ["others", used - mine]]) {
    const piece = h("span", { class: kind });
    piece.style.width = `${(100 * Math.min(part, all)) / all}%`;
    bar.append(piece);
  }
  return [h("span", {}, name), h("span", { class: "measure" }, bar, h("span", { class: "quiet" }, text))];
}

/** What the host of a worker does. Nothing is known of workers of older versions. */
function usageOf({ usage, state }) {
  if (!usage) return state === "connected" ? h("p", { class: "quiet small" }, "What its host does is unknown.") : null;
  const own = (value, words) => (typeof value === "number" ? `, ${words(value)} by the worker` : "");
  const group = (is) => (is ? " (of its control group)" : "");
  const known = (used, all, words) => (typeof used === "number" && typeof all === "number" ? `${words(used)} of ${words(all)}` : "");
  return h(
    "div",
    { class: "gauges small" },
    gauge("Processors", usage.processors_busy, usage.processors_busy_own, usage.processors, `${known(usage.processors_busy, usage.processors, cores)} busy${own(usage.processors_busy_own, cores)}${group(usage.processors_of_group)}`),
    gauge("Memory", usage.memory_used, usage.memory_used_own, usage.memory, `${known(usage.memory_used, usage.memory, gib)} used${own(usage.memory_used_own, gib)}${group(usage.memory_of_group)}`),
    usage.gpus.flatMap((gpu, at) => [
      gauge(`GPU ${at}`, gpu.busy_percent, 0, 100, `${gpu.busy_percent} % busy, ${gpu.name ?? gpu.uuid}`),
      gauge(`GPU ${at} memory`, gpu.memory_used, 0, gpu.memory, `${known(gpu.memory_used, gpu.memory, gib)} used`),
    ]).flat(),
  );
}

function card(worker) {
  const slots = worker.slots.map((slot) =>
    h(
      "li",
      {},
      h("strong", {}, `Slot ${slot.index}`),
      h("span", { class: "quiet" }, ` ${[slot.device, slot.threads ? plural(slot.threads, "thread") : "", slot.gpu ? "GPU" : "", slot.memory ? `${(slot.memory / 2 ** 30).toFixed(1)} GiB` : "", slot.trainers?.join(" and ")].filter(Boolean).join(", ")}`),
      slot.tasks.length ? h("ul", {}, slot.tasks.slice(0, 8).map(doing), slot.tasks.length > 8 ? h("li", { class: "quiet" }, `and ${plural(slot.tasks.length - 8, "more")}`) : null) : h("span", {}, " – free"),
    ),
  );
  const draining = worker.state === "draining" || worker.set_aside.length > 0;
  const change = draining
    ? { title: `Give tasks to ${worker.id} again?`, text: "This undoes drain, and restores a worker that was set aside.", verb: "Undrain", run: () => post(`workers/${encodeURIComponent(worker.id)}/undrain`) }
    : {
        title: `Drain ${worker.id}?`,
        text: "It gets no more tasks, finishes those that run, and ends when it is idle.",
        fields: [{ name: "now", label: "return running tasks at once, for others to go on", type: "checkbox" }],
        verb: "Drain",
        dangerous: true,
        run: (values) => post(`workers/${encodeURIComponent(worker.id)}/drain`, values),
      };
  const act = async () => {
    const answer = await ask(change);
    if (!answer) return;
    $("done").hidden = false;
    $("done").textContent = draining ? `${worker.id} gets tasks again.` : `${worker.id} is drained.`;
    look();
  };
  const labels = Object.entries(worker.labels ?? {}).map(([name, value]) => (Number.isInteger(Number(name)) ? String(value) : `${name}=${value}`));
  return h(
    "article",
    { class: "card", "aria-label": worker.id, "data-worker": worker.id },
    h("div", { class: "row" }, h("h2", { class: "long" }, worker.id), badge(worker.state === "connected" && worker.set_aside.some((it) => !it.data_set) ? "set aside" : worker.state), h("button", { type: "button", "data-key": `drain-${worker.id}`, "aria-label": `${draining ? "Undrain" : "Drain"} ${worker.id}`, onclick: act }, draining ? "Undrain…" : "Drain…")),
    h("p", { class: "quiet small" }, [worker.host && worker.host !== worker.id ? `host ${worker.host}` : "", worker.version ? `version ${worker.version}` : "", labels.length ? `labels ${labels.join(", ")}` : ""].filter(Boolean).join(" · "), worker.state === "away" && worker.last_seen ? [" last seen ", instant(worker.last_seen)] : null),
    usageOf(worker),
    h("ul", { class: "slots" }, slots),
    worker.set_aside.map((it) => h("p", { class: "error" }, `Set aside after ${plural(it.failures, "failure")} in a row${it.data_set ? ` on ${it.data_set}` : ""}${it.message ? `: ${it.message}` : ""}`, it.until ? ["; a test comes ", instant(it.until)] : null)),
    worker.warnings.map((text) => h("p", { class: "why" }, text)),
  );
}

function drawPools(pools) {
  $("pools").hidden = !pools || (pools.pools.length === 0 && !pools.trouble);
  if ($("pools").hidden) return;
  $("pools-trouble").hidden = !pools.trouble;
  $("pools-trouble").textContent = pools.trouble ?? "";
  const columns = [{ text: "Pool" }, { text: "State" }, { text: "Workers", class: "number" }, { text: "Tasks wait" }, { text: "Jobs", class: "wide" }];
  const rows = pools.pools.map((pool) => ({
    cells: [
      pool.name,
      pool.removing ? "being removed" : pool.paused ? `paused${pool.pause_reason ? `: ${pool.pause_reason}` : ""}` : "active",
      `${pool.min_workers} to ${pool.max_workers}`,
      pool.wanted ? "yes" : "no",
      [jobs(pool), pool.trouble ? h("p", { class: "error" }, pool.trouble) : null],
    ],
  }));
  table($("pools").querySelector("table"), "Pools", columns, rows);
}

/** Jobs by state and, where the batch system says it, why they wait or how they ended. */
function jobs(pool) {
  const counts = new Map();
  for (const job of pool.jobs) {
    const what = job.state === "ended" ? job.detail ?? "ended" : `${job.state}${job.detail ? ` (${job.detail})` : ""}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  if (counts.size === 0) return "none";
  return h("ul", { class: "plain" }, [...counts].slice(0, 12).map(([what, count]) => h("li", {}, `${count} ${what}`)));
}
