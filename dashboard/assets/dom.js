// Elements, words and numbers. Text from elsewhere becomes text nodes only.

/** An element with attributes and children; properties that begin with `on` are listeners. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Replaces the children of an element. The focus stays where the same `data-key` is. */
export function fill(element, ...children) {
  const held = document.activeElement;
  const key = element.contains(held) ? held.dataset.key : undefined;
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined));
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** Says something to a screen reader, not faster than it can be read. */
let saidAt = -Infinity;
let waiting;
export function announce(text) {
  clearTimeout(waiting);
  const say = () => {
    saidAt = performance.now();
    $("announcer").textContent = text;
  };
  waiting = setTimeout(say, Math.max(0, saidAt + 5000 - performance.now()));
}

/** Shows or hides an error in its place. */
export function showError(error, place = $("error")) {
  place.hidden = !error;
  place.textContent = error ? error.message ?? String(error) : "";
}

/** A table: names of columns with `{text, class, sort}`, and rows of cells. */
export function table(element, caption, columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.class, "aria-sort": column.sorted }, column.content ?? column.text));
  const body = rows.map((row) => {
    const cells = row.cells.map((cell, at) => {
      const attributes = { class: columns[at]?.class };
      if (at === (row.header ?? 0)) return h("th", { ...attributes, scope: "row" }, cell ?? "–");
      return h("td", attributes, cell ?? "–");
    });
    return h("tr", row.attributes, cells);
  });
  fill(element, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

/** State of a view in the query of its address. */
export const query = new URLSearchParams(location.search);
export function remember(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value === null || value === undefined || value === false) query.delete(name);
    else query.set(name, String(value));
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
}

/** Binds a field to the query; calls back after changes. */
export function bind(field, name, changed) {
  field.value = query.get(name) ?? "";
  let timer;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      remember({ [name]: field.value, page: "" });
      changed();
    }, field.tagName === "INPUT" ? 150 : 0);
  };
  field.addEventListener("input", listen);
  field.form?.addEventListener("submit", (event) => event.preventDefault());
}

export const STATES = { pending: "P", running: "R", done: "D", failed: "F", cancelled: "C" };
export const LETTERS = { p: "pending", r: "running", d: "done", f: "failed", c: "cancelled", "-": "none" };

/** A state as a coloured word with its letter. */
export function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return Number(value.toFixed(digits)).toString();
}

/** With the same number of digits for all, for columns of means. */
export function fixed(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : value.toFixed(size >= 1000 ? 1 : 3);
}

export function signed(value) {
  return value >= 0 ? `+${value.toFixed(3)}` : value.toFixed(3).replace("-", "−");
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} days`;
}

const CLOCK = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
export function instant(text) {
  if (!text) return "–";
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : h("time", { datetime: text, title: text }, CLOCK.format(at));
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

export const settingText = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** Pages of a list: buttons before and after. */
export function pager(place, from, size, total, go) {
  if (total <= size) return fill(place);
  const button = (word, to, usable) => h("button", { type: "button", "data-key": word, disabled: !usable, onclick: () => go(to) }, word);
  fill(
    place,
    button("Previous", Math.max(0, from - size), from > 0),
    h("span", {}, `${from + 1}–${Math.min(total, from + size)} of ${total.toLocaleString("en")}`),
    button("Next", from + size, from + size < total),
  );
}
