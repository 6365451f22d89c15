// Charts by uPlot, in the colours of the page.

import { fill, h, number } from "./dom.js";

let loading;
/** uPlot is loaded by the first chart only. */
function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: `${document.body.dataset.assets}uplot.js` });
    script.addEventListener("load", () => resolve(globalThis.uPlot));
    script.addEventListener("error", () => {
      loading = undefined;
      script.remove();
      reject(new Error("The charts cannot be loaded."));
    });
    document.head.append(script);
  });
  return loading;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const colour = (at) => css(`--line-${at % 8}`);

/** Dashes tell lines apart where colours do not. */
const DASHES = [[], [6, 4], [2, 3], [9, 3, 2, 3], [12, 4], [4, 2, 1, 2], [1, 4], [8, 2, 8, 4]];
export const dash = (at) => DASHES[at % DASHES.length];

/**
 * Draws a chart in `place`: `series` are `{label, values, low, high, colour, dash, points, grows, width, quiet}` over `x`.
 * A line that `grows` ends in a dot.
 * `words` names the values of an axis that has no numbers; `whole` ones have no parts; a `logarithmic` axis has equal
 * distances for equal ratios. Draws again when the place or the colours change.
 */
export function chart(place) {
  let plot;
  let last;
  let drawn;
  let width = 0;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  async function draw() {
    if (!last) return;
    const given = last;
    const UPlot = await library();
    if (given !== last) return;
    const { x, series, title, xLabel, yLabel, words, whole, logarithmic } = given;
    const data = [x, ...series.map((line) => line.values)];
    // What only grows keeps the chart, and what the pointer shows of it.
    const looks = JSON.stringify([place.clientWidth, xLabel, yLabel, words, logarithmic, x.length === 1, css("--ink"), series.map(({ values, low, high, ...look }) => [look, Boolean(low)])]);
    if (plot && looks === drawn) {
      plot.root.setAttribute("aria-label", title);
      plot.setData(data);
      return;
    }
    drawn = looks;
    width = place.clientWidth;
    const ink = css("--ink");
    const rule = css("--rule");
    const axis = (label) => ({
      label,
      labelFont: "13px system-ui",
      font: "12px system-ui",
      stroke: ink,
      grid: { stroke: rule, width: 1 },
      ticks: { stroke: rule, width: 1 },
    });
    const horizontal = axis(xLabel);
    if (whole) horizontal.incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000];
    if (words) {
      horizontal.splits = () => x.filter((_, at) => at % Math.ceil(x.length / Math.max(2, width / 90)) === 0);
      horizontal.values = (_, at) => at.map((value) => (words[value] ?? "").slice(0, 14));
    }
    const margin = ({ x: at }) => (at.length > 1 ? (at.at(-1) - at[0]) * 0.04 : 0.5);
    const options = {
      width,
      height: Math.max(240, Math.min(380, Math.round(width * 0.5))),
      padding: [12, 12, 0, 0],
      cursor: { y: false },
      legend: { live: series.length <= 12, show: series.length <= 12 },
      scales: {
        x: logarithmic
          ? { time: false, distr: 3, range: (_, low, high) => [low / 1.3, high * 1.3] }
          : { time: false, range: (_, low, high) => [low - margin(last), high + margin(last)] },
        y: { range: (u, low, high) => spread(u, last, low, high) },
      },
      axes: [horizontal, { ...axis(yLabel), size: 64, values: (_, at) => at.map((value) => number(value)) }],
      series: [
        { label: xLabel, value: (_, value) => (value === null ? "–" : words ? words[value] : number(value)) },
        ...series.map((line) => ({
          label: line.label,
          stroke: line.colour,
          width: line.width ?? 2,
          dash: line.dash,
          spanGaps: true,
          points: line.points ? { show: true, size: 7, fill: line.colour } : line.grows ? { show: true, size: 8, fill: line.colour, filter: atEnd } : { show: x.length === 1 },
          value: (_, value) => number(value),
        })),
      ],
      hooks: { draw: [(u) => whiskers(u, last)] },
    };
    plot?.destroy();
    fill(place);
    plot = new UPlot(options, data, place);
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", title);
  }

  new ResizeObserver(() => {
    if (place.clientWidth !== width) draw();
  }).observe(place);
  dark.addEventListener("change", () => {
    last?.recolour?.();
    draw();
  });
  return (now) => {
    last = now;
    return draw();
  };
}

/** The place of the last value of a line. */
function atEnd(u, line) {
  const at = u.data[line].findLastIndex((value) => value !== null && value !== undefined);
  return at < 0 ? null : [at];
}

/** Room for the intervals too. */
function spread(u, { series }, low, high) {
  let [least, most] = [low ?? Infinity, high ?? -Infinity];
  for (const line of series) {
    for (const value of [...(line.low ?? []), ...(line.high ?? [])]) {
      if (value === null || value === undefined) continue;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
  }
  if (!Number.isFinite(least)) return [0, 1];
  const room = (most - least) * 0.06 || Math.abs(most) * 0.05 || 0.5;
  return [least - room, most + room];
}

/** Intervals as vertical lines with caps. */
function whiskers(u, { x, series }) {
  const context = u.ctx;
  const ratio = devicePixelRatio || 1;
  context.save();
  context.lineWidth = 1.5 * ratio;
  series.forEach((line) => {
    if (!line.low) return;
    context.strokeStyle = line.colour;
    context.setLineDash([]);
    x.forEach((value, at) => {
      if (line.low[at] === null || line.low[at] === undefined || line.high[at] === null) return;
      const left = u.valToPos(value, "x", true);
      const top = u.valToPos(line.high[at], "y", true);
      const bottom = u.valToPos(line.low[at], "y", true);
      const cap = 4 * ratio;
      context.beginPath();
      context.moveTo(left, top);
      context.lineTo(left, bottom);
      context.moveTo(left - cap, top);
      context.lineTo(left + cap, top);
      context.moveTo(left - cap, bottom);
      context.lineTo(left + cap, bottom);
      context.stroke();
    });
  });
  context.restore();
}
