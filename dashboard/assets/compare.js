// Sweeps side by side.

import { $, fill, h, number, query, remember, showError, signed, table } from "./dom.js";
import { get } from "./api.js";

const confidence = (value) => `${Math.round(value * 1000) / 10} %`;
const interval = (low, high, write = number) => (low === null || low === undefined ? "" : ` [${write(low)}, ${write(high)}]`);
const chosen = new Set((query.get("sweeps") ?? "").split(",").filter(Boolean));

async function choices() {
  const { sweeps } = await get("sweeps");
  const names = sweeps.map((sweep) => sweep.name);
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
  const side = (results) => (results.summary ? `${number(results.summary.mean, 3)}${results.summary.std === null ? "" : ` ± ${number(results.summary.std, 3)}`} (n=${results.n})` : undefined);
  const columns = [{ text: "Configuration" }, { text: "Metric" }, { text: first, class: "number" }, { text: second, class: "number" }, { text: `Difference, ${confidence(level)} interval`, class: "number" }, { text: "p (t, paired)", class: "number" }];
  const rows = comparisons.map((row) => ({
    cells: [
      row.name,
      row.metric,
      side(row.first_results),
      side(row.second_results),
      row.comparison ? `${signed(row.comparison.mean_difference)}${interval(row.comparison.ci_low, row.comparison.ci_high, signed)}` : undefined,
      number(row.comparison?.t_p, 3),
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
      const columns = [{ text: "Configuration" }, { text: "n", class: "number" }, ...sweeps.map((text) => ({ text, class: "number" })), { text: "Interquartile mean", class: "number" }, { text: "Better than the baseline", class: "number" }, { text: "Average rank", class: "number" }];
      // An estimate is a number, or an object with its interval.
      const estimate = (it) => (it === null || it === undefined ? undefined : typeof it === "number" ? number(it, 3) : `${number(it.value ?? it.estimate ?? it.mean, 3)}${interval(it.ci_low, it.ci_high)}`);
      const rows = metric.configurations.map((row) => ({
        cells: [row.name, `${row.n}`, ...sweeps.map((name) => number(typeof row.means[name] === "object" ? row.means[name]?.mean : row.means[name], 3)), estimate(row.interquartile_mean), estimate(row.probability_of_improvement), number(row.average_rank, 2)],
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
choices().catch(showError);
compare().catch(showError);
