// Tasks of a sweep as a list.

import { $, badge, bind, h, pager, plural, query, remember, showError, table } from "./dom.js";
import { get, ofSweep, taskPath } from "./api.js";
import { throttled } from "./live.js";
import { followSweep, sweepName, sweepUrl, unlessAway } from "./sweep-page.js";

const PAGE = 100;

const look = throttled(1000, async () => {
  const page = Math.max(0, Math.trunc(Number(query.get("page") ?? 0)) || 0);
  const wanted = new URLSearchParams({ from: String(page * PAGE), limit: String(PAGE) });
  if (query.get("filter")) wanted.set("configuration", query.get("filter"));
  if (query.get("state")) wanted.set("state", query.get("state"));
  let found;
  try {
    found = await get(ofSweep(sweepName, `/tasks?${wanted}`));
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  $("count").textContent = plural(found.total, "task");
  const columns = [{ text: "Configuration" }, { text: "Seed", class: "number" }, { text: "State" }, { text: "Attempts", class: "number" }, { text: "Now", class: "wide" }];
  const rows = found.tasks.map((task) => ({
    attributes: { "data-state": task.state },
    cells: [
      h("a", { href: sweepUrl(taskPath(task.configuration, task.seed)), "data-key": `${task.configuration}-${task.seed}`, class: "long" }, task.name ?? task.configuration),
      `${task.seed}`,
      badge(task.state),
      `${task.attempts}`,
      now(task),
    ],
  }));
  $("tasks").hidden = rows.length === 0;
  if (rows.length) table($("tasks"), "Tasks", columns, rows);
  pager($("pages"), page * PAGE, PAGE, found.total, (to) => {
    remember({ page: to / PAGE || "" });
    look();
  });
});

function now(task) {
  if (task.state === "running") return `${task.worker}, slot ${task.slot}${task.epochs ? `, epoch ${task.epoch} of ${task.epochs}` : ""}`;
  if (task.reason) return [`${task.reason}: `, h("span", { class: "message" }, task.message)];
  return undefined;
}

bind($("filter"), "filter", look);
bind($("state"), "state", look);
followSweep(() => look());
