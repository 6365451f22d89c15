// All sweeps.

import { $, announce, badge, bind, fill, h, instant, query, remember, showError, table } from "./dom.js";
import { follow } from "./live.js";
import { bar, counted, leftText, stateWord } from "./measures.js";

let sweeps;
const chosen = new Set((query.get("compare") ?? "").split(",").filter(Boolean));
let before = new Map();

function draw() {
  if (!sweeps) return;
  const filter = $("filter").value.toLowerCase();
  const state = $("state").value;
  // What runs comes first, then what came last.
  const at = (sweep) => (sweep.state === "active" ? 1 : 0);
  const ordered = [...sweeps].reverse().sort((a, b) => at(b) - at(a));
  const shown = ordered.filter((sweep) => sweep.name.toLowerCase().includes(filter) && (!state || sweep.state === state));
  const columns = [
    { text: "Compare", class: "choose", content: h("span", { class: "unseen" }, "Compare") },
    { text: "Sweep" },
    { text: "Progress", class: "wide" },
    { text: "Time left" },
    { text: "Workers", class: "number" },
    { text: "Submitted" },
  ];
  const rows = shown.map((sweep) => {
    const box = h("input", { type: "checkbox", "aria-label": `Compare ${sweep.name}`, "data-key": `box-${sweep.name}` });
    box.checked = chosen.has(sweep.name);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(sweep.name);
      else chosen.delete(sweep.name);
      choose();
    });
    const name = h("a", { href: `/sweeps/${encodeURIComponent(sweep.name)}`, class: "long", "data-key": `name-${sweep.name}` }, sweep.name);
    const text = sweep.why_waiting ?? sweep.stopped;
    const why = text ? h("p", { class: "quiet small why" }, text) : null;
    return {
      header: 1,
      attributes: { "data-sweep": sweep.name, "data-state": sweep.state },
      cells: [
        box,
        [name, h("p", {}, badge(stateWord(sweep)))],
        [bar(sweep), h("p", { class: "small" }, counted(sweep)), why],
        leftText(sweep),
        sweep.state === "active" ? `${sweep.workers}` : undefined,
        [instant(sweep.submitted_at), sweep.submitted_by ? h("p", { class: "quiet small" }, `by ${sweep.submitted_by}`) : null],
      ],
    };
  });
  $("sweeps").hidden = rows.length === 0;
  if (rows.length) table($("sweeps"), "Sweeps", columns, rows);
  $("none").hidden = rows.length > 0;
  fill($("none"), sweeps.length ? "No sweep is like this." : ["There is no sweep yet: ", h("a", { href: "/submit" }, "submit one"), "."]);
}

function choose() {
  const names = [...chosen].filter((name) => !sweeps || sweeps.some((sweep) => sweep.name === name));
  remember({ compare: names.join(",") });
  $("compare").disabled = names.length < 2;
}

bind($("filter"), "filter", draw);
bind($("state"), "state", draw);
$("compare").addEventListener("click", () => {
  location.href = `/compare?sweeps=${encodeURIComponent(query.get("compare") ?? "")}`;
});
choose();
follow(
  "events",
  "sweeps",
  {
    sweeps: (document) => {
      sweeps = document.sweeps;
      const now = new Map(sweeps.map((sweep) => [sweep.name, stateWord(sweep)]));
      const news = [...now].filter(([name, state]) => before.size && before.get(name) !== state);
      if (news.length) announce(news.map(([name, state]) => `${name} is ${state}`).join(", "));
      before = now;
      showError(null);
      draw();
    },
  },
  showError,
);
// The time that is left goes on while nothing happens.
setInterval(() => sweeps?.some((sweep) => sweep.state === "active") && !document.hidden && draw(), 5000);
