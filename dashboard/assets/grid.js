// The grid of configurations and seeds. Only what is seen is in the document, so that its size does not matter.

import { LETTERS, fill, h } from "./dom.js";

const ROW = 28;
const CELL = 28;
const BEYOND = 6;

/** A grid in `place`; `link(row, seed)` is the address of a task. */
export function grid(place, label, link) {
  let data = { seeds: [], rows: [] };
  let at = { row: 0, column: 0 };
  let head = 240;
  const rows = new Map();
  let heads = {};

  const header = h("div", { class: "grid-row grid-head", role: "row", "aria-rowindex": 1 });
  const body = h("div", { class: "grid-body", role: "rowgroup" });
  const top = h("div", { class: "grid-top", role: "rowgroup" }, header);
  const box = h("div", { class: "grid", role: "grid", "aria-label": label }, top, body);
  fill(place, box);

  const range = () => {
    const firstRow = Math.max(0, Math.floor((box.scrollTop - ROW) / ROW) - BEYOND);
    const lastRow = Math.min(data.rows.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + BEYOND);
    const firstColumn = Math.max(0, Math.floor(box.scrollLeft / CELL) - BEYOND);
    const lastColumn = Math.min(data.seeds.length, Math.ceil((box.scrollLeft + box.clientWidth) / CELL) + BEYOND);
    return { firstRow, lastRow, firstColumn, lastColumn };
  };

  function drawRow(index, { firstColumn, lastColumn }, fresh) {
    const row = data.rows[index];
    let kept = rows.get(index);
    if (!kept) {
      const name = h("div", { class: "grid-name", role: "rowheader", "aria-colindex": 1 });
      const element = h("div", { class: "grid-row", role: "row", "aria-rowindex": index + 2 }, name);
      element.style.top = `${index * ROW}px`;
      kept = { element, name, cells: new Map(), shown: "" };
      rows.set(index, kept);
      body.append(element);
    }
    const text = row.name ?? row.id;
    if (kept.shown !== text) {
      kept.shown = text;
      kept.name.textContent = text;
      kept.name.title = `${text} (${row.id})`;
    }
    for (const [column, cell] of kept.cells) {
      const held = cell.link === document.activeElement;
      if ((column < firstColumn || column >= lastColumn) && !held) {
        cell.element.remove();
        kept.cells.delete(column);
      }
    }
    for (let column = firstColumn; column < lastColumn; column += 1) {
      const letter = row.states[column] ?? "-";
      let cell = kept.cells.get(column);
      if (!cell) {
        const link = h("a", { class: "cell", tabindex: -1 });
        const element = h("div", { class: "grid-cell", role: "gridcell", "aria-colindex": column + 2 }, link);
        element.style.left = `${head + column * CELL}px`;
        cell = { element, link, letter: undefined, row: undefined };
        link.dataset.row = index;
        link.dataset.column = column;
        kept.cells.set(column, cell);
        kept.element.append(element);
      }
      if (cell.letter === letter && cell.row === row.id) continue;
      const state = LETTERS[letter] ?? "none";
      const changed = fresh && cell.letter !== undefined && cell.row === row.id;
      cell.letter = letter;
      cell.row = row.id;
      cell.link.className = `cell ${state}${changed ? " changed" : ""}`;
      cell.link.textContent = letter === "-" ? "" : letter.toUpperCase();
      cell.link.href = link(row, data.seeds[column]);
      cell.link.setAttribute("aria-label", `${text}, seed ${data.seeds[column]}: ${state}`);
    }
  }

  function draw(fresh) {
    const seen = range();
    drawHead(seen);
    for (const [index, kept] of rows) {
      const outside = index < seen.firstRow || index >= seen.lastRow;
      if (index >= data.rows.length || (outside && !kept.element.contains(document.activeElement))) {
        kept.element.remove();
        rows.delete(index);
      }
    }
    for (let index = seen.firstRow; index < seen.lastRow; index += 1) drawRow(index, seen, fresh);
    // A row that was scrolled out of sight with the focus in it stays what it is.
    for (const index of rows.keys()) if (index < seen.firstRow || index >= seen.lastRow) drawRow(index, seen, fresh);
    mark();
  }

  /** Exactly one cell can be reached with the tab key. */
  function mark() {
    for (const link of body.querySelectorAll('a[tabindex="0"]')) link.tabIndex = -1;
    const cell = rows.get(at.row)?.cells.get(at.column) ?? rows.values().next().value?.cells.values().next().value;
    if (cell) cell.link.tabIndex = 0;
  }

  /** The headings of the columns in sight, and a few beside them. */
  function drawHead({ firstColumn, lastColumn }) {
    if (heads.firstColumn === firstColumn && heads.lastColumn === lastColumn) return;
    heads = { firstColumn, lastColumn };
    const corner = h("div", { class: "grid-name", role: "columnheader", "aria-colindex": 1 }, "seed");
    const cells = data.seeds.slice(firstColumn, lastColumn).map((seed, index) => {
      const column = firstColumn + index;
      const element = h("div", { class: "grid-cell seed", role: "columnheader", "aria-colindex": column + 2, title: `seed ${seed}` }, `${seed}`.length > 3 ? `…${`${seed}`.slice(-2)}` : `${seed}`);
      element.style.left = `${head + column * CELL}px`;
      return element;
    });
    fill(header, corner, cells);
  }

  function measure() {
    const longest = data.rows.reduce((most, row) => Math.max(most, (row.name ?? row.id).length), 4);
    const most = Math.max(110, Math.min(420, place.clientWidth * 0.55));
    head = Math.round(Math.max(80, Math.min(most, longest * 7.6 + 20)));
    box.style.setProperty("--head", `${head}px`);
    box.setAttribute("aria-rowcount", data.rows.length + 1);
    box.setAttribute("aria-colcount", data.seeds.length + 1);
    const width = `${head + data.seeds.length * CELL + 4}px`;
    body.style.width = width;
    header.style.width = width;
    body.style.height = `${data.rows.length * ROW}px`;
  }

  function lay() {
    const held = body.contains(document.activeElement);
    for (const kept of rows.values()) kept.element.remove();
    rows.clear();
    heads = {};
    measure();
    draw(false);
    if (held) go(at.row, at.column);
  }

  function go(row, column) {
    at = {
      row: Math.max(0, Math.min(data.rows.length - 1, row)),
      column: Math.max(0, Math.min(data.seeds.length - 1, column)),
    };
    const above = at.row * ROW;
    if (above < box.scrollTop) box.scrollTop = above;
    if (above + 2 * ROW > box.scrollTop + box.clientHeight) box.scrollTop = above + 2 * ROW - box.clientHeight + 4;
    const left = at.column * CELL;
    const room = box.clientWidth - head;
    if (left < box.scrollLeft) box.scrollLeft = left;
    if (left + CELL > box.scrollLeft + room) box.scrollLeft = left + CELL - room + 4;
    draw(false);
    rows.get(at.row)?.cells.get(at.column)?.link.focus({ preventScroll: true });
  }

  let queued = false;
  box.addEventListener("scroll", () => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      draw(false);
    });
  });
  new ResizeObserver(() => lay()).observe(place);
  body.addEventListener("focusin", (event) => {
    const { row, column } = event.target.dataset;
    if (row !== undefined) {
      at = { row: Number(row), column: Number(column) };
      mark();
    }
  });
  box.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 2);
    const moves = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -Infinity], End: [0, Infinity],
    };
    const move = moves[event.key];
    if (!move || event.altKey || event.metaKey) return;
    event.preventDefault();
    const all = event.ctrlKey && (event.key === "Home" ? -Infinity : event.key === "End" ? Infinity : 0);
    go(at.row + (all || move[0]), at.column + move[1]);
  });

  return (now) => {
    const same = now.rows.length === data.rows.length && now.seeds.length === data.seeds.length && now.rows[0]?.id === data.rows[0]?.id && now.seeds[0] === data.seeds[0];
    data = now;
    if (same) draw(true);
    else lay();
  };
}
