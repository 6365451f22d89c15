// Results of a sweep: averages with verdicts, and metrics against a setting.

import { $, bind, fill, fixed, h, number, pager, plural, query, remember, settingText, showError, signed, table } from "./dom.js";
import { ApiError, ofSweep } from "./api.js";
import { chart, colour, dash } from "./charts.js";
import { throttled } from "./live.js";
import { followSweep, sweepName, sweepUrl, unlessAway } from "./sweep-page.js";

const PAGE = 100;
const MOST_LINES = 6;

const reader = new Worker(`${document.body.dataset.assets}results-reader.js`);
const waiting = new Map();
let asked = 0;
reader.onmessage = ({ data }) => {
  const [resolve, reject] = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.document) resolve(data.document);
  else reject(new ApiError(data.status, data.code, data.message));
};
// Its module cannot be loaded, or it has failed as a whole.
reader.onerror = () => {
  for (const [, reject] of waiting.values()) reject(new ApiError(500, "unknown", "The results cannot be read here: load the page again."));
  waiting.clear();
};
const read = () =>
  new Promise((resolve, reject) => {
    asked += 1;
    waiting.set(asked, [resolve, reject]);
    reader.postMessage({ id: asked, path: `/api/v1/${ofSweep(sweepName, "/results")}` });
  });

let results;
let underWay = false;
const drawChart = chart($("chart"));

const drawAll = throttled(2000, async () => {
  try {
    results = await read();
  } catch (error) {
    return unlessAway(error);
  }
  showError(null);
  draw();
});

function draw() {
  if (!results) return;
  lead();
  choices();
  drawTable();
  plotted();
}

/** What one wants to know first: the best on validation, and the verdicts. */
function lead() {
  const best = results.configurations.find((row) => row.id === results.best);
  const judged = results.verdict_metric;
  const mean = best?.metrics[judged];
  const verdicts = new Map(["PCL", "equivalent", "inconclusive", "NCL"].map((verdict) => [verdict, 0]));
  for (const { verdict } of results.configurations) if (verdict) verdicts.set(verdict, verdicts.get(verdict) + 1);
  const given = [...verdicts.values()].some((count) => count > 0);
  $("lead").hidden = !mean && !given;
  fill(
    $("lead"),
    mean ? [`Best ${results.choose_by}: `, h("strong", {}, best.name), ` with ${judged} `, h("strong", {}, withDeviation(mean)), ` (n = ${best.n} of ${best.expected}). `] : null,
    given ? `Against the baseline in ${judged}: ${[...verdicts].map(([verdict, count]) => `${count} ${verdict}`).join(", ")}${underWay ? " so far" : ""}.` : null,
  );
}

const withDeviation = (it) => `${fixed(it.mean)}${it.std === null ? "" : ` ± ${fixed(it.std)}`}`;

/** Metrics in the order of the sweep file; without one there, all. */
function metrics() {
  const named = results.definition.report.metrics;
  if (named.length) return named;
  return [...new Set(results.configurations.flatMap((row) => Object.keys(row.metrics)))];
}

const parameters = () => results.definition.parameters.filter((name) => !results.replicates.includes(name));

function choices() {
  const set = (field, names, name) => {
    const wanted = query.get(name) ?? field.value;
    if ([...field.options].map((option) => option.value).join("|") !== names.join("|")) {
      fill(field, names.map((value) => h("option", { value }, value)));
    }
    field.value = names.includes(wanted) ? wanted : names[0] ?? "";
  };
  set($("metric"), metrics(), "metric");
  set($("setting"), parameters(), "setting");
}
for (const name of ["metric", "setting"]) {
  $(name).addEventListener("change", () => {
    remember({ [name]: $(name).value });
    if (results) plotted();
  });
}
$("axes").addEventListener("submit", (event) => event.preventDefault());

function plotted() {
  const metric = $("metric").value;
  const setting = $("setting").value;
  const baselines = results.configurations.filter((row) => row.baseline);
  const points = results.configurations.filter((row) => row.metrics[metric] && row.values[setting] !== undefined && row.values[setting] !== null);
  $("charts").hidden = points.length === 0 || !metric;
  if ($("charts").hidden) return;

  const values = [...new Set(points.map((row) => row.values[setting]).map((value) => (typeof value === "object" ? JSON.stringify(value) : value)))];
  const numeric = values.every((value) => typeof value === "number");
  if (numeric) values.sort((a, b) => a - b);
  const keyOf = (row) => (typeof row.values[setting] === "object" ? JSON.stringify(row.values[setting]) : row.values[setting]);
  // Settings that go with this one, such as those of a zip, make no lines of their own.
  const others = parameters().filter((name) => {
    if (name === setting) return false;
    const seen = new Map();
    return points.some((row) => {
      const value = JSON.stringify(row.values[name] ?? null);
      const before = seen.get(keyOf(row));
      seen.set(keyOf(row), value);
      return before !== undefined && before !== value;
    });
  });
  const groups = new Map();
  for (const row of points) {
    const name = others.map((other) => `${other}=${settingText(row.values[other])}`).join(", ") || metric;
    if (!groups.has(name)) groups.set(name, new Map());
    groups.get(name).set(keyOf(row), row);
  }
  const x = numeric ? values : values.map((_, at) => at);
  const shown = [...groups].slice(0, MOST_LINES);
  const series = shown.map(([label, rows], at) => {
    const of = (key) => values.map((value) => rows.get(value)?.metrics[metric]?.[key] ?? null);
    return { label, values: of("mean"), low: of("ci_low"), high: of("ci_high"), colour: colour(at), dash: dash(at), points: true };
  });
  // Several baselines are usually values of the axis, and points of their lines.
  const apart = baselines.filter((row) => !points.includes(row));
  // Many are those of some of the lines only, which a line across the chart would hide; the table has all.
  const lines = baselines.length === 1 ? baselines : apart.length <= 2 ? apart : [];
  const logarithmic = numeric && values.length > 2 && values[0] > 0 && values.at(-1) / values[0] >= 50;
  for (const row of lines) {
    const mean = row.metrics[metric]?.mean;
    if (mean !== undefined) series.push({ label: `baseline ${row.name}`, values: x.map(() => mean), colour: colour(7), dash: [8, 6], width: 1.5 });
  }
  const confidence = Math.round(results.confidence * 1000) / 10;
  const title = `${metric} by ${setting}: means over seeds with ${confidence} % intervals`;
  drawChart({ x, series, title, xLabel: setting, yLabel: metric, logarithmic, words: numeric ? undefined : values.map(settingText), recolour: plotted }).catch(showError);
  const rest = groups.size - shown.length;
  const columns = [{ text: setting }, ...shown.flatMap(([label]) => [{ text: label, class: "number" }, { text: `${confidence} % interval`, class: "number" }, { text: "n", class: "number" }])];
  const rows = values.map((value) => ({
    cells: [
      settingText(value),
      ...shown.flatMap(([, of]) => {
        const row = of.get(value);
        const it = row?.metrics[metric];
        return [number(it?.mean), it && it.ci_low !== null ? `${number(it.ci_low)} to ${number(it.ci_high)}` : undefined, row ? `${row.n}` : undefined];
      }),
    ],
  }));
  for (const row of baselines.filter((it) => !points.includes(it))) {
    const it = row.metrics[metric];
    if (it) rows.push({ cells: [`baseline ${row.name}`, number(it.mean), it.ci_low !== null ? `${number(it.ci_low)} to ${number(it.ci_high)}` : undefined, `${row.n}`] });
  }
  table($("chart-data"), title + (rest > 0 ? `; ${plural(rest, "more line")} not shown` : ""), columns, rows);
}

function compare(key) {
  if (key === "name") return (row) => row.name;
  if (key === "n") return (row) => row.n;
  if (key === "difference") return (row) => row.comparisons[results.verdict_metric ?? ""]?.mean_difference;
  if (key.startsWith("=")) return (row) => row.values[key.slice(1)];
  return (row) => row.metrics[key]?.mean;
}

/** Null and undefined come last in both directions. */
function ordered(rows) {
  const key = query.get("sort");
  if (!key) return rows;
  const of = compare(key);
  const sign = query.has("descending") ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [of(a), of(b)];
    const [noLeft, noRight] = [left === undefined || left === null, right === undefined || right === null];
    if (noLeft || noRight) return noLeft - noRight;
    if (typeof left === "number" && typeof right === "number") return sign * (left - right);
    return sign * String(left).localeCompare(String(right), "en", { numeric: true });
  });
}

function heading(text, key, other) {
  const sorted = query.get("sort") === key ? (query.has("descending") ? "descending" : "ascending") : undefined;
  const sort = () => {
    // Once for the smallest first, twice for the largest, three times for the order of the sweep file.
    if (sorted === "descending") remember({ sort: "", descending: "" });
    else remember({ sort: key, descending: sorted === "ascending" ? "1" : "" });
    drawTable();
  };
  const arrow = sorted === "ascending" ? " ▲" : sorted === "descending" ? " ▼" : "";
  return { ...other, text, sorted, content: h("button", { type: "button", class: "sort", "data-key": `sort-${key}`, onclick: sort }, text, h("span", { "aria-hidden": "true" }, arrow)) };
}

const shortened = (names) => {
  const last = names.map((name) => name.split(".").at(-1));
  return names.map((name, at) => (last.filter((it) => it === last[at]).length === 1 ? last[at] : name));
};

function drawTable() {
  if (!results) return;
  const filter = $("filter").value.toLowerCase();
  const verdict = $("verdict").value;
  const judged = results.verdict_metric;
  const found = ordered(results.configurations.filter((row) => row.name.toLowerCase().includes(filter) && (!verdict || row.verdict === verdict)));
  const from = Math.min(Number(query.get("page") ?? 0) * PAGE || 0, Math.max(0, found.length - 1));
  const names = parameters();
  const short = shortened(names);
  const shown = metrics();
  const columns = [
    heading("Configuration", "name"),
    ...names.map((name, at) => heading(short[at], `=${name}`, { class: "number setting" })),
    heading("n", "n", { class: "number" }),
    ...shown.map((name) => heading(name, name, { class: "number" })),
  ];
  // Verdicts are about modalities: sweeps over programs have none.
  const isJudged = results.configurations.some((row) => row.verdict);
  $("verdict").parentElement.hidden = !isJudged;
  if (isJudged) columns.push({ text: "Verdict" });
  if (judged) columns.push(heading(`${judged} − baseline`, "difference", { class: "number" }));
  const rows = found.slice(from, from + PAGE).map((row) => {
    const comparison = judged ? row.comparisons[judged] : undefined;
    const failed = Object.keys(row.failed_seeds).length;
    const cancelled = row.cancelled_seeds.length;
    const cells = [
      [h("a", { href: sweepUrl(`/curves?configurations=${row.id}`), "data-key": `row-${row.id}`, class: "long" }, row.name), row.id === results.best ? h("span", { class: "badge small" }, "best") : null],
      ...names.map((name) => settingText(row.values[name])),
      [`${row.n}/${row.expected}`, failed ? h("span", { class: "badge failed small" }, `${failed} failed`) : null, cancelled ? h("span", { class: "badge cancelled small" }, `${cancelled} cancelled`) : null],
      ...shown.map((name) => {
        const it = row.metrics[name];
        return it ? withDeviation(it) : undefined;
      }),
    ];
    if (isJudged) {
      cells.push(row.baseline ? h("span", { class: "quiet" }, "baseline") : row.verdict ? h("span", { class: `badge verdict-${row.verdict}` }, row.verdict) : undefined);
    }
    if (judged) {
      const low = comparison?.simultaneous_ci_low ?? comparison?.ci_low ?? null;
      const high = comparison?.simultaneous_ci_high ?? comparison?.ci_high ?? null;
      cells.push(row.baseline && !isJudged ? h("span", { class: "quiet" }, "baseline") : comparison ? `${signed(comparison.mean_difference)}${low === null ? "" : ` [${signed(low)}, ${signed(high)}]`}` : undefined);
    }
    return { attributes: { "data-configuration": row.id }, cells };
  });
  table($("results"), "Averages over seeds", columns, rows);
  const level = Math.round(results.confidence * 1000) / 10;
  fill($("explained"), `Mean ± standard deviation over seeds${judged ? `; in brackets the ${level} % interval of the difference${results.adjustment === "simultaneous" ? ", for all comparisons of a metric at once" : ""}` : ""}.`);
  const done = results.configurations.reduce((sum, row) => sum + row.n, 0);
  const expected = results.configurations.reduce((sum, row) => sum + row.expected, 0);
  fill($("state"), `${done.toLocaleString("en")} of ${plural(expected, "result")}, ${plural(found.length, "configuration")} shown.`);
  pager($("pages"), from, PAGE, found.length, (to) => {
    remember({ page: to / PAGE || "" });
    drawTable();
  });
  fill($("warnings"), results.warnings.slice(0, 20).map((text) => h("li", {}, text)));
}

bind($("filter"), "filter", drawTable);
bind($("verdict"), "verdict", drawTable);
fill(
  $("downloads"),
  [
    ["csv", "CSV"],
    ["per-seed-csv", "CSV, every seed"],
    ["history-csv", "CSV, every epoch"],
    ["json", "JSON"],
    ["markdown", "Markdown"],
    ["latex", "LaTeX"],
  ].map(([format, words]) => h("li", {}, h("a", { href: `/api/v1/${ofSweep(sweepName, `/results?format=${format}&download=true`)}`, download: "" }, words))),
);
followSweep((sweep) => {
  underWay = sweep.state === "active";
  drawAll();
});
