// Sweeps side by side.

import { $, fill, fixed, h, query, remember, showError, signed, table } from "./dom.js";
import { get } from "./api.js";

const confidence = (value) => `${Math.round(value * 1000) / 10} %`;
const interval = (low, high, write = fixed) => (low === null || low === undefined ? "" : ` [${write(low)}, ${write(high)}]`);
const chosen = new Set((query.get("sweeps") ?? "").split(",").filter(Boolean));

async function choices() {
  const { sweeps } = await get("sweeps");
  const names = sweeps.map((sweep) => sweep.name);
  // One that the address names may have been removed.
  for (const name of chosen) if (!names.includes(name)) chosen.delete(name);
  fill(
    $("sweeps"),
    names.map((name) => {
      const box = h("input", { type: "checkbox", value: name });
      box.checked = chosen.has(name);
      box.addEventListener("change", () => (box.checked ? chosen.add(name) : chosen.delete(name)));
      return h("li", {}, h("label", {}, box, " ", h("span", { class: "long" }, name)));
    }),
  );
  if (names.length < 2) $("sweeps").append(h("li", { class: "quiet" }, "There are fewer than two sweeps."));
}

async function compare() {
  fill($("comparison"));
  fill($("warnings"));
  showError(null);
  if (chosen.size < 2) return;
  const answer = await get(`compare?sweeps=${[...chosen].map(encodeURIComponent).join(",")}`);
  if (answer.kind === "pairs") pairs(answer);
  else across(answer);
  fill($("warnings"), (answer.warnings ?? []).map((text) => h("li", {}, text)));
}

const boxed = (element, label) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, element);

function pairs({ first, second, confidence: level, comparisons }) {
  const element = h("table", {});
  const side = (results) => (results.summary ? `${fixed(results.summary.mean)}${results.summary.std === null ? "" : ` ± ${fixed(results.summary.std)}`} (n=${results.n})` : undefined);
  const columns = [{ text: "Configuration" }, { text: "Metric" }, { text: first, class: "number" }, { text: second, class: "number" }, { text: `Difference, ${confidence(level)} interval`, class: "number" }, { text: "p (t, paired)", class: "number" }];
  const rows = comparisons.map((row) => ({
    cells: [
      row.name,
      row.metric,
      side(row.first_results),
      side(row.second_results),
      row.comparison ? `${signed(row.comparison.mean_difference)}${interval(row.comparison.ci_low, row.comparison.ci_high, signed)}` : undefined,
      fixed(row.comparison?.t_p),
    ],
  }));
  table(element, `${first} and ${second}`, columns, rows);
  fill($("comparison"), h("h2", {}, `${first} and ${second}`), rows.length ? boxed(element, "Comparison") : h("p", {}, "They have no configuration in common that has results."));
}

function across({ sweeps, baseline, metrics }) {
  fill(
    $("comparison"),
    metrics.flatMap((metric) => {
      const element = h("table", {});
      const estimate = (it) => (it ? `${fixed(it.value)}${interval(it.ci_low, it.ci_high)}` : undefined);
      const optional = [
        ["Interquartile mean", (row) => estimate(row.interquartile_mean)],
        ["Better than the baseline", (row) => estimate(row.probability_of_improvement)],
        ["Average rank", (row) => (row.average_rank === null ? undefined : row.average_rank.toFixed(2))],
      ].filter(([, of]) => metric.configurations.some((row) => of(row) !== undefined));
      const columns = [{ text: "Configuration" }, ...["n", ...sweeps, ...optional.map(([text]) => text)].map((text) => ({ text, class: "number" }))];
      const rows = metric.configurations.map((row) => ({
        cells: [row.name, `${row.n}`, ...sweeps.map((name) => fixed(row.means[name])), ...optional.map(([, of]) => of(row))],
      }));
      table(element, metric.metric, columns, rows);
      return [h("h2", {}, metric.metric, baseline ? h("span", { class: "quiet small" }, ` baseline ${baseline}`) : ""), boxed(element, `Comparison in ${metric.metric}`)];
    }),
  );
}

$("choice").addEventListener("submit", (event) => {
  event.preventDefault();
  remember({ sweeps: [...chosen].join(",") });
  if (chosen.size < 2) showError(new Error("Choose two sweeps or more."));
  else compare().catch(showError);
});
choices().then(compare).catch(showError);
