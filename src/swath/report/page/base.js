"use strict";
// What every part of the page uses: texts of numbers, elements, tables. Text from the sweep enters as text nodes only.

const COLOURS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];
const colour = (i) => COLOURS[i % COLOURS.length];
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);
const score = (x) => (known(x) ? x.toFixed(4) : "–");
const points = (x) => (known(x) ? (x >= 0 ? "+" : "−") + Math.abs(x).toFixed(2) : "–");
const range = (low, high, show = score) => (known(low) && known(high) ? `${show(low)} to ${show(high)}` : "–");
const pValue = (p) => (known(p) ? (p < 0.001 ? "<.001" : p.toFixed(3).replace(/^0/, "")) : "–");
const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const state = { filter: {}, sort: {}, chosen: {} }; // what the reader chose; kept when live numbers arrive

function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const svg = (tag, attributes, ...children) => make(`svg:${tag}`, attributes, ...children);

/** A name that may break after its punctuation: names of levels have few spaces. */
const breakable = (text) => String(text).split(/(?<=[(=_,|./])/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

/** columns: {title, value(row), text?(row), number?, kind?(row)}; rows sort by a click on a heading. */
function table(id, columns, rows, options = {}) {
  const chosen = state.sort[id] ?? { column: options.sort ?? -1, down: options.down ?? false };
  const body = make("tbody");
  const heads = columns.map((column, i) =>
    make("th", {
      class: column.number ? "n" : null, tabindex: 0, scope: "col", "aria-sort": "none",
      onclick: () => choose(i), onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(i); } },
    }, column.title));
  function choose(i) {
    chosen.down = chosen.column === i ? !chosen.down : Boolean(columns[i].number);
    chosen.column = i;
    state.sort[id] = chosen;
    fill();
  }
  function fill() {
    const ordered = [...rows];
    if (chosen.column >= 0) {
      const value = columns[chosen.column].value;
      ordered.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (!known(x) && typeof x !== "string") return 1; // what is not known comes last, either way
        if (!known(y) && typeof y !== "string") return -1;
        const order = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
        return chosen.down ? -order : order;
      });
    }
    heads.forEach((head, i) =>
      head.setAttribute("aria-sort", chosen.column !== i ? "none" : chosen.down ? "descending" : "ascending"));
    body.replaceChildren(...ordered.map((row) =>
      make("tr", { class: options.mark?.(row) ? "base" : null }, columns.map((column) =>
        make("td", { class: [column.number ? "n" : "", column.kind?.(row) ?? ""].join(" ").trim() || null },
          column.number ? (column.text ?? column.value)(row) ?? "–" : breakable((column.text ?? column.value)(row) ?? "–"))))));
  }
  fill();
  return make("div", { class: `scroll${rows.length > 25 ? " tall" : ""}` },
    make("table", { id }, make("thead", {}, make("tr", {}, heads)), body));
}
