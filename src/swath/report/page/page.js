"use strict";
// Draws the report from its numbers. Text from the sweep enters the page as text nodes only.

const COLOURS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];
const colour = (i) => COLOURS[i % COLOURS.length];
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);
const score = (x) => (known(x) ? x.toFixed(4) : "–");
const points = (x) => (known(x) ? (x >= 0 ? "+" : "−") + Math.abs(x).toFixed(2) : "–");
const range = (low, high, show = score) => (known(low) && known(high) ? `${show(low)} to ${show(high)}` : "–");
const state = { filter: {}, sort: {} }; // what the reader chose; kept when live numbers arrive

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

// --- tables -------------------------------------------------------------------------------------------------------

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
          (column.text ?? column.value)(row) ?? "–")))));
  }
  fill();
  return make("div", { class: `scroll${rows.length > 25 ? " tall" : ""}` },
    make("table", { id }, make("thead", {}, make("tr", {}, heads)), body));
}

// --- charts -------------------------------------------------------------------------------------------------------

function ticks(low, high, count = 5) {
  const raw = (high - low) / Math.max(count, 1) || 1;
  const step = [1, 2, 2.5, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(raw))).find((s) => s >= raw);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-9; x += step) found.push(x);
  return { values: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / 10 ** Math.floor(Math.log10(step)) === 2.5 ? 1 : 0)) };
}

function extent(values, margin = 0.05) {
  const some = values.filter(known);
  if (!some.length) return [0, 1];
  let [low, high] = [Math.min(...some), Math.max(...some)];
  if (low === high) [low, high] = [low - 0.5 * Math.abs(low || 1), high + 0.5 * Math.abs(high || 1)];
  return [low - margin * (high - low), high + margin * (high - low)];
}

/** 1, 2, 5, 10, ... within the range; powers of ten alone where those are too many. */
function logTicks(low, high) {
  const within = (steps) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      found.push(...steps.map((m) => m * 10 ** power).filter((v) => v >= low && v <= high));
    return found;
  };
  const fine = within([1, 2, 5]);
  return { values: fine.length > 8 ? within([1]) : fine };
}

/** A frame with two linear (or log x) axes; draw(x, y) returns the marks. */
function plot({ width = 560, height = 320, left = 58, xs, ys, xTitle, yTitle, logX = false, label }, draw) {
  const box = { left, right: width - 14, top: 12, bottom: height - 44 };
  const to = logX ? Math.log10 : (v) => v;
  const [x0, x1] = xs.map(to);
  const x = (v) => box.left + ((to(v) - x0) / (x1 - x0)) * (box.right - box.left);
  const y = (v) => box.bottom - ((v - ys[0]) / (ys[1] - ys[0])) * (box.bottom - box.top);
  const grid = [];
  const yTicks = ticks(...ys);
  for (const v of yTicks.values) {
    grid.push(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) }));
    grid.push(svg("text", { x: box.left - 7, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(yTicks.digits)));
  }
  const xTicks = logX ? logTicks(...xs) : ticks(x0, x1, Math.min(8, width / 80));
  for (const v of xTicks.values) {
    grid.push(svg("text", { x: x(v), y: box.bottom + 17, "text-anchor": "middle" }, logX ? compact(v) : v.toFixed(xTicks.digits)));
  }
  grid.push(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  grid.push(svg("text", { x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, xTitle));
  grid.push(svg("text", { x: 14, y: (box.top + box.bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 14 ${(box.top + box.bottom) / 2})` }, yTitle));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, grid, draw(x, y));
}

const compact = (v) => (v >= 1e9 ? `${+(v / 1e9).toPrecision(2)}G` : v >= 1e6 ? `${+(v / 1e6).toPrecision(2)}M`
  : v >= 1e3 ? `${+(v / 1e3).toPrecision(2)}k` : `${+v.toPrecision(2)}`);
const path = (xs, ys, x, y) =>
  xs.map((v, i) => [v, ys[i]]).filter(([, v]) => known(v)).map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
const band = (xs, lows, highs, x, y) =>
  path([...xs, ...[...xs].reverse()], [...highs, ...[...lows].reverse()], x, y) + "Z";
const tip = (text) => svg("title", {}, text);

function figure(caption, ...content) {
  return make("figure", {}, ...content, make("figcaption", {}, caption));
}

function legend(names) {
  return make("div", { class: "legend" }, names.map((name, i) =>
    make("span", {}, make("i", { style: `background:${colour(i)}` }), name)));
}

/** Estimates with intervals, one row each: {name, value, low, high, clear}. */
function forest(rows, title, label) {
  const width = 760, line = 26, left = 270, height = rows.length * line + 62;
  const [low, high] = extent([0, ...rows.flatMap((r) => [r.value, r.low, r.high])], 0.08);
  const x = (v) => left + ((v - low) / (high - low)) * (width - left - 20);
  const marks = ticks(low, high).values.flatMap((v) => [
    svg("line", { class: "grid", x1: x(v), x2: x(v), y1: 8, y2: height - 44 }),
    svg("text", { x: x(v), y: height - 28, "text-anchor": "middle" }, points(v).replace(/\.?0+$/, "") || "0")]);
  marks.push(svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 8, y2: height - 44, "stroke-width": 1.5 }));
  rows.forEach((row, i) => {
    const at = 22 + i * line;
    const paint = row.clear ? (row.value > 0 ? "var(--good)" : "var(--bad)") : "var(--faint)";
    marks.push(svg("text", { class: "ink", x: left - 12, y: at + 4, "text-anchor": "end" }, shortened(row.name, 40), tip(row.name)));
    if (known(row.low)) marks.push(svg("line", { x1: x(row.low), x2: x(row.high), y1: at, y2: at, stroke: paint, "stroke-width": 2.5 }));
    marks.push(svg("circle", { cx: x(row.value), cy: at, r: 5, fill: paint },
      tip(`${row.name}: ${points(row.value)} points (${range(row.low, row.high, points)})`)));
  });
  marks.push(svg("text", { x: (left + width) / 2, y: height - 8, "text-anchor": "middle" }, title));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, marks);
}

const shortened = (text, limit) => (text.length > limit ? `${text.slice(0, limit / 2)}…${text.slice(-limit / 2 + 1)}` : text);

/** A table of numbers as coloured squares; both signs with `diverging`. */
function heat(rowNames, columnNames, values, show, label, diverging = true) {
  const side = Math.max(22, Math.min(64, 620 / columnNames.length)), left = 170, top = 96;
  const most = Math.max(...values.flat().filter(known).map(Math.abs), 1e-12);
  const cells = values.flatMap((row, i) => row.map((v, j) => {
    const strength = known(v) ? Math.min(1, Math.abs(v) / most) : 0;
    const hue = diverging && v < 0 ? "var(--c1)" : "var(--c0)";
    return svg("g", {},
      svg("rect", { x: left + j * side, y: top + i * 26, width: side - 2, height: 24, rx: 3, fill: hue, "fill-opacity": 0.06 + 0.7 * strength }),
      side >= 38 ? svg("text", { class: "ink", x: left + j * side + side / 2 - 1, y: top + i * 26 + 16, "text-anchor": "middle" }, known(v) ? show(v) : "") : null,
      tip(`${rowNames[i]} / ${columnNames[j]}: ${known(v) ? show(v) : "–"}`));
  }));
  const heads = columnNames.map((name, j) => {
    const at = `${left + j * side + side / 2} ${top - 8}`;
    return svg("text", { x: left + j * side + side / 2, y: top - 8, transform: `rotate(-38 ${at})` }, shortened(name, 22), tip(name));
  });
  const sides = rowNames.map((name, i) =>
    svg("text", { class: "ink", x: left - 8, y: top + i * 26 + 16, "text-anchor": "end" }, shortened(name, 26), tip(name)));
  const [width, height] = [left + columnNames.length * side + 70, top + rowNames.length * 26 + 8];
  return make("div", { class: "scroll" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, heads, sides, cells));
}

// --- sections -----------------------------------------------------------------------------------------------------

function ranking(task, at) {
  const names = Object.keys(task.factors);
  const filter = (state.filter[at] ??= { text: "", levels: {} });
  const place = make("div");
  const rows = task.cells.map((cell, i) => ({ rank: i + 1, ...cell }));
  function fill() {
    const text = filter.text.toLowerCase();
    const shown = rows.filter((row) => row.cell.toLowerCase().includes(text) &&
      names.every((name) => !filter.levels[name] || row.factors[name] === filter.levels[name]));
    const columns = [
      { title: "rank", number: true, value: (r) => r.rank },
      ...(names.length && !task.named ? names.map((name) => ({ title: name, value: (r) => r.factors[name] ?? "" })) : [{ title: "cell", value: (r) => r.cell }]),
      { title: task.metric_title, number: true, value: (r) => r.score, text: (r) => score(r.score) },
      { title: "95 % interval", number: true, value: (r) => r.low, text: (r) => range(r.low, r.high) },
      { title: "seeds", number: true, value: (r) => r.seeds, text: (r) => (r.seeds === r.seeds_planned ? `${r.seeds}` : `${r.seeds} of ${r.seeds_planned}`) },
      { title: "sd", number: true, value: (r) => r.sd, text: (r) => score(r.sd) },
      { title: "epochs", number: true, value: (r) => r.epochs, text: (r) => `${+r.epochs.toFixed(1)}` },
      { title: "device time", number: true, value: (r) => r.device_s, text: (r) => duration(r.device_s) },
    ];
    place.replaceChildren(
      make("p", { class: "note", id: `shown-${at}` }, `${shown.length} of ${rows.length} finished cells; the baseline is marked.`),
      table(`ranking-${at}`, columns, shown, { mark: (r) => r.baseline }));
  }
  const search = make("input", { type: "search", placeholder: "filter cells", "aria-label": "filter cells", id: `filter-${at}`,
    value: filter.text, oninput: (e) => { filter.text = e.target.value; fill(); } });
  const selects = names.map((name) => make("select", { "aria-label": name, id: `filter-${at}-${name}`,
    onchange: (e) => { filter.levels[name] = e.target.value; fill(); } },
    make("option", { value: "" }, `${name}: all`),
    task.factors[name].map((level) => make("option", { value: level, selected: filter.levels[name] === level ? "" : null }, level))));
  fill();
  return [make("div", { class: "controls" }, search, selects), place];
}

function otherMetrics(task, at) {
  const columns = [
    { title: "cell", value: (r) => r.cell },
    { title: task.metric_title, number: true, value: (r) => r.score, text: (r) => score(r.score) },
    ...task.other_metrics.map((m) => ({ title: m.title, number: true, value: (r) => r.scores[m.name], text: (r) => score(r.scores[m.name]) })),
  ];
  const notes = task.other_metrics.map((m) => m.note).filter(Boolean).join(" ");
  return [make("p", { class: "note" }, `Means over seeds and folds, without intervals; verdicts rest on the task's own metric alone. ${notes}`),
    table(`others-${at}`, columns, task.cells, { mark: (r) => r.baseline })];
}

function effects(task) {
  return (task.effects ?? []).flatMap((factor) => {
    const rows = factor.levels.filter((l) => known(l.difference)).map((l) => ({
      name: l.level, value: l.difference, low: l.low, high: l.high, clear: l.clear }));
    return [
      make("h3", {}, `${factor.factor}, against ${factor.baseline}`),
      ...(factor.levels.map((l) => (l.verdict ? make("p", {}, l.verdict) : null))),
      rows.length ? figure(factor.note ?? "", forest(rows, `points of ${task.metric_title} against ${factor.baseline}`, `effects of ${factor.factor}`)) : null,
      table(`effects-${factor.factor}`, [
        { title: "level", value: (r) => r.level },
        { title: "points", number: true, value: (r) => r.difference, text: (r) => points(r.difference), kind: (r) => (r.clear ? (r.difference > 0 ? "good" : "bad") : "") },
        { title: "95 % interval", number: true, value: (r) => r.low, text: (r) => range(r.low, r.high, points) },
        { title: "p (Holm)", number: true, value: (r) => r.p, text: (r) => (known(r.p) ? r.p.toFixed(3) : "–") },
        { title: "pairs", number: true, value: (r) => r.pairs },
        { title: "won", number: true, value: (r) => r.won, text: (r) => (known(r.won) ? `${Math.round(100 * r.won)} %` : "–") },
        { title: "could have shown", number: true, value: (r) => r.detectable, text: (r) => (known(r.detectable) ? r.detectable.toFixed(2) : "–") },
      ], factor.levels),
    ].filter(Boolean);
  });
}

function interactions(task) {
  return (task.interactions ?? []).map((pair) => figure(
    `Does the effect of ${pair.first} depend on ${pair.second}? Points by which each combination departs from the sum of its two effects.`,
    heat(pair.rows, pair.columns, pair.values, points, `interaction of ${pair.first} and ${pair.second}`)));
}

function curves(task) {
  const trials = task.trials.filter((t) => t.curve.epoch.length);
  if (!trials.length) return [];
  const factor = Object.keys(task.factors).find((name) => task.factors[name].length <= COLOURS.length) ?? null;
  const levels = factor ? task.factors[factor] : [""];
  const all = (field) => trials.flatMap((t) => t.curve[field]);
  const paint = (t) => colour(Math.max(0, levels.indexOf(t.factors[factor] ?? "")));
  const rungs = [...new Set(trials.flatMap((t) => t.rungs))];
  const draw = (field, title) => plot({ xs: extent([1, ...all("epoch")], 0.02), ys: extent(all(field)), xTitle: "epoch", yTitle: title, label: `${title} by epoch` },
    (x, y) => [
      rungs.map((r) => svg("line", { class: "axis", x1: x(r), x2: x(r), y1: 12, y2: 276, "stroke-dasharray": "3 4" }, tip(`rung after ${r} epochs`))),
      trials.map((t) => svg("g", {},
        svg("path", { d: path(t.curve.epoch, t.curve[field], x, y), fill: "none", stroke: paint(t), "stroke-width": 1.6, "stroke-opacity": t.state === "COMPLETE" ? 0.85 : 0.45 }),
        t.state === "STOPPED" && known(t.curve[field].at(-1)) ? svg("text", { x: x(t.curve.epoch.at(-1)), y: y(t.curve[field].at(-1)) + 4, "text-anchor": "middle" }, "×") : null,
        tip(`${t.cell}, seed ${t.seed}: ${t.state}, ${score(t.score)}`))),
    ]);
  return [
    factor ? legend(levels) : null,
    make("div", { class: "figures" },
      figure("Validation score; dashed lines are rungs, × is where a trial was stopped.", draw("score", task.metric_title)),
      figure("Training loss.", draw("train_loss", "training loss"))),
  ].filter(Boolean);
}

function cost(task) {
  const kinds = [["device_s", "device-seconds of the cell"], ["parameters", "parameters"], ["ms_per_image", "ms per image, validation"]];
  return make("div", { class: "figures" }, kinds.map(([field, title]) => {
    const cells = task.cells.filter((c) => c[field] > 0 && known(c.score));
    if (cells.length < 2) return null;
    const values = cells.map((c) => c[field]);
    const front = cells.filter((c) => !cells.some((o) => o[field] <= c[field] && o.score >= c.score && (o[field] < c[field] || o.score > c.score)));
    front.sort((a, b) => a[field] - b[field]);
    const xs = [Math.min(...values) / 1.3, Math.max(...values) * 1.3];
    return figure("On the line: no other cell is both cheaper and better.", plot(
      { xs, ys: extent(cells.map((c) => c.score)), xTitle: title, yTitle: task.metric_title, logX: true, label: `score against ${title}` },
      (x, y) => [
        svg("path", { d: path(front.map((c) => c[field]), front.map((c) => c.score), x, y), fill: "none", stroke: "var(--accent)", "stroke-dasharray": "5 4" }),
        cells.map((c) => svg("circle", { cx: x(c[field]), cy: y(c.score), r: front.includes(c) ? 6 : 4, fill: front.includes(c) ? "var(--accent)" : "var(--faint)" },
          tip(`${c.cell}: ${score(c.score)}, ${compact(c[field])}`))),
      ]));
  }).filter(Boolean));
}

function ensembles(task) {
  if (!task.ensembles?.length) return [];
  const columns = [
    { title: "ensemble", value: (e) => e.name },
    { title: "members", number: true, value: (e) => e.size },
    { title: "cross-fitted", number: true, value: (e) => e.score, text: (e) => score(e.score) },
    { title: "95 % interval", number: true, value: (e) => e.low, text: (e) => range(e.low, e.high) },
    { title: "points to single", number: true, value: (e) => e.gain, text: (e) => (e.name === "single" ? "" : points(e.gain)), kind: (e) => (e.gain_low > 0 ? "good" : "") },
    { title: "95 % interval", number: true, value: (e) => e.gain_low, text: (e) => (e.name === "single" ? "" : range(e.gain_low, e.gain_high, points)) },
    { title: "on what chose it", number: true, value: (e) => e.naive, text: (e) => score(e.naive) },
  ];
  const tops = task.ensembles.filter((e) => (e.name === "single" || /^top\d+$/.test(e.name)) && known(e.score)).sort((a, b) => a.size - b.size);
  return [
    table("ensembles", columns, task.ensembles),
    make("div", { class: "figures" },
      tops.length > 1 ? figure("The k best runs averaged; dotted: scored on the images that chose them, which is too good.", plot(
        { xs: extent(tops.map((e) => e.size)), ys: extent(tops.flatMap((e) => [e.low, e.high, e.naive])), xTitle: "members", yTitle: task.metric_title, label: "score by number of members" },
        (x, y) => [
          svg("path", { d: band(tops.map((e) => e.size), tops.map((e) => e.low), tops.map((e) => e.high), x, y), fill: "var(--c0)", "fill-opacity": 0.1 }),
          svg("path", { d: path(tops.map((e) => e.size), tops.map((e) => e.score), x, y), fill: "none", stroke: "var(--c0)", "stroke-width": 2 }),
          svg("path", { d: path(tops.map((e) => e.size), tops.map((e) => e.naive), x, y), fill: "none", stroke: "var(--faint)", "stroke-dasharray": "2 4", "stroke-width": 2 }),
          tops.map((e) => svg("circle", { cx: x(e.size), cy: y(e.score), r: 4, fill: "var(--c0)" }, tip(`${e.name}: ${score(e.score)}`))),
        ])) : null,
      task.calibration ? figure(`Reliability of the best ensemble: expected calibration error ${task.calibration.error.toFixed(4)}, best temperature ${task.calibration.temperature.toFixed(2)}.`, plot(
        { xs: [0, 1], ys: [0, 1], xTitle: "predicted probability", yTitle: "share that is right", label: "reliability" },
        (x, y) => [
          svg("line", { class: "axis", x1: x(0), y1: y(0), x2: x(1), y2: y(1), "stroke-dasharray": "4 4" }),
          svg("path", { d: path(task.calibration.confidence, task.calibration.frequency, x, y), fill: "none", stroke: "var(--c0)", "stroke-width": 2 }),
          task.calibration.confidence.map((c, i) => svg("circle", { cx: x(c), cy: y(task.calibration.frequency[i]), r: 4, fill: "var(--c0)" }, tip(`${task.calibration.count[i]} decisions`))),
        ])) : null),
    task.diversity?.length ? make("p", {}, "What averaging two runs is worth that differ in one thing only:") : null,
    task.diversity?.length ? table("diversity", [
      { title: "differ in", value: (d) => d.factor }, { title: "pairs", number: true, value: (d) => d.pairs },
      { title: "points gained", number: true, value: (d) => d.gain, text: (d) => points(d.gain) },
      { title: "error correlation", number: true, value: (d) => d.correlation, text: (d) => d.correlation.toFixed(2) }], task.diversity) : null,
  ].filter(Boolean);
}

function labels(task) {
  const parts = [table("labels", [
    { title: "label", value: (r) => r.label }, { title: "positives", number: true, value: (r) => r.positives },
    { title: "best cell", number: true, value: (r) => r.best, text: (r) => score(r.best) },
    { title: "baseline cell", number: true, value: (r) => r.baseline, text: (r) => score(r.baseline) },
    { title: "threshold", number: true, value: (r) => r.threshold, text: (r) => (known(r.threshold) ? r.threshold.toFixed(3) : "–") },
    { title: "F1 points by threshold", number: true, value: (r) => r.moved, text: (r) => points(r.moved) },
  ], task.per_label, { sort: 2 })];
  if (task.precision_recall?.length) {
    const place = make("div");
    const draw = (name) => {
      const found = task.precision_recall.find((c) => c.label === name);
      place.replaceChildren(plot({ xs: [0, 1], ys: [0, 1.02], xTitle: "recall", yTitle: "precision", label: `precision and recall of ${name}` },
        (x, y) => svg("path", { d: path(found.recall, found.precision, x, y), fill: "none", stroke: "var(--c0)", "stroke-width": 2 })));
    };
    const select = make("select", { "aria-label": "label of the curve", onchange: (e) => draw(e.target.value) },
      task.precision_recall.map((c) => make("option", { value: c.label }, c.label)));
    draw(task.precision_recall[0].label);
    parts.push(make("div", { class: "controls" }, "Precision and recall of the best cell:", select), place);
  }
  if (task.confusion) parts.push(figure("Confusion of the best cell: rows are the truth, columns the prediction, shares of the row.",
    heat(task.labels, task.labels, task.confusion, (v) => v.toFixed(2), "confusion", false)));
  return parts;
}

function mistakes(task) {
  return make("div", { class: "cards" }, task.mistakes.map((m) => make("div", { class: "card" },
    m.picture ? make("img", { src: m.picture, alt: m.id, title: `${m.id}: ${m.chain}` }) : null,
    make("b", {}, m.id), make("div", {}, `true: ${m.truth.join(", ") || "none"}`),
    m.missed.length ? make("div", {}, "missed: ", m.missed.map((s) => `${s.label} ${s.p.toFixed(2)}`).join(", ")) : null,
    m.wrong.length ? make("div", {}, "wrong: ", m.wrong.map((s) => `${s.label} ${s.p.toFixed(2)}`).join(", ")) : null)));
}

function sheets(numbers) {
  const left = numbers.sheets_left_out ? ` ${numbers.sheets_left_out} more lie beside this page, as contact-*.jpg.` : "";
  return [
    make("p", { class: "note" }, `Some images of each cache entry: above as they are in the files, below as the models see them.${left}`),
    ...numbers.sheets.map((s) => make("figure", { class: "sheet" }, make("figcaption", {}, s.title), make("img", { src: s.picture, alt: `contact sheet: ${s.title}` }))),
  ];
}

function running(numbers) {
  const rows = numbers.tasks.flatMap((task) => task.trials).filter((t) => t.state === "UNFINISHED");
  if (!rows.length) return [make("p", { class: "note" }, "Nothing is running.")];
  return [table("running", [
    { title: "cell", value: (t) => t.cell }, { title: "seed", number: true, value: (t) => t.seed }, { title: "fold", number: true, value: (t) => t.fold },
    { title: "epoch", number: true, value: (t) => t.epochs, text: (t) => `${t.epochs} of ${t.epochs_planned}` },
    { title: "score", number: true, value: (t) => t.score, text: (t) => score(t.score) },
    { title: "images/s", number: true, value: (t) => t.images_per_s, text: (t) => (known(t.images_per_s) ? t.images_per_s.toFixed(0) : "–") },
    { title: "left", number: true, value: (t) => t.left_s, text: (t) => duration(t.left_s) },
    { title: "at work", value: (t) => t.at_work || "nobody" },
  ], rows)];
}

function unfinished(task) {
  const rows = task.trials.filter((t) => t.state !== "COMPLETE" && t.state !== "UNFINISHED");
  return table("states", [
    { title: "cell", value: (t) => t.cell }, { title: "seed", number: true, value: (t) => t.seed }, { title: "fold", number: true, value: (t) => t.fold },
    { title: "state", value: (t) => t.state.toLowerCase() },
    { title: "epochs", number: true, value: (t) => t.epochs, text: (t) => `${t.epochs} of ${t.epochs_planned}` },
    { title: "score there", number: true, value: (t) => t.score, text: (t) => score(t.score) },
    { title: "why", value: (t) => t.why },
  ], rows);
}

function section(parts, id, title, content) {
  const nodes = [content].flat().filter(Boolean);
  if (nodes.length) parts.push({ id, title, nodes: [make("h2", { id }, title), ...nodes] });
}

function draw(numbers) {
  const parts = [];
  const several = numbers.tasks.length > 1;
  if (numbers.live) section(parts, "running", "Running", [liveSummary(numbers), ...running(numbers)]);
  numbers.tasks.forEach((task, at) => {
    const id = (name) => (several ? `${name}-${at}` : name);
    const title = (name) => (several ? `${name}: ${task.label}` : name);
    if (task.cells.length) section(parts, id("ranking"), title("Ranking"), ranking(task, at));
    section(parts, id("effects"), title("Effects"), effects(task));
    section(parts, id("interactions"), title("Interactions"), interactions(task));
    section(parts, id("curves"), title("Learning curves"), curves(task));
    section(parts, id("ensembles"), title("Ensembles"), ensembles(task));
    if (task.cells.length > 1) section(parts, id("cost"), title("Score and cost"), cost(task));
    if (task.other_metrics?.length) section(parts, id("others"), title("Other metrics"), otherMetrics(task, at));
    if (task.cells.length) section(parts, id("labels"), title("Labels"), labels(task));
    if (task.mistakes?.length) section(parts, id("mistakes"), title("Worst mistakes"), [make("p", { class: "note" }, `Validation images on which the best cell is most wrong${task.mistakes.some((m) => m.picture) ? ", as its model saw them" : ""}.`), mistakes(task)]);
    if (task.trials.some((t) => t.state !== "COMPLETE" && t.state !== "UNFINISHED")) section(parts, id("states"), title("Stopped, failed, not run"), unfinished(task));
    if (task.audit?.length) section(parts, id("audit"), title("Data audit"), table(`audit-${at}`, [
      { title: "severity", value: (f) => f.severity, kind: (f) => (f.severity === "serious" ? "bad" : "") },
      { title: "finding", value: (f) => f.text },
      { title: "count", number: true, value: (f) => f.count, text: (f) => `${f.count} ${f.unit}` },
      { title: "what to do", value: (f) => f.advice }], task.audit));
  });
  if (numbers.sheets?.length) section(parts, "sheets", "Preprocessing", sheets(numbers));
  section(parts, "settings", "How to reproduce", [make("pre", {}, make("code", {}, numbers.commands.join("\n"))),
    ...numbers.notes.map((note) => make("p", { class: "note" }, note))]);
  const spent = numbers.tasks.flatMap((t) => t.trials).reduce((sum, t) => sum + (t.device_s || 0), 0);
  document.getElementById("page").replaceChildren(
    make("header", {},
      make("h1", {}, numbers.sweep),
      make("div", { class: "chips", id: "states-summary" }, Object.entries(numbers.counts).map(([name, n]) => make("span", { class: "chip" }, make("b", {}, `${n}`), ` ${name.toLowerCase()}`)),
        make("span", { class: "chip" }, `${duration(spent)} of device time`), numbers.live ? make("span", { class: "chip live", id: "pulse" }, "live") : null),
      make("div", { class: "verdict" }, numbers.tasks.flatMap((task) => task.headline.map((line) => make("p", {}, line))))),
    make("nav", { "aria-label": "sections" }, make("div", {}, parts.map((p) => make("a", { href: `#${p.id}` }, p.title)))),
    make("main", {}, parts.flatMap((p) => p.nodes)),
    make("footer", {}, `${numbers.made_by}${numbers.updated ? `, ${numbers.updated}` : ""}`));
}

// --- live ---------------------------------------------------------------------------------------------------------

function liveSummary(numbers) {
  const live = numbers.live;
  const chip = (name, value) => make("span", { class: "chip" }, `${name} `, make("b", {}, value));
  return make("div", { class: "chips" }, chip("images/s", known(live.images_per_s) ? live.images_per_s.toFixed(0) : "–"),
    chip("epochs left, at most", `${live.epochs_left}`), chip("time left, at most", duration(live.left_s)),
    Object.entries(live.cluster ?? {}).map(([name, text]) => chip(name, text)),
    live.ray_dashboard ? make("a", { class: "chip", href: live.ray_dashboard }, "Ray's dashboard") : null);
}

async function follow(etag) {
  let next = etag;
  try {
    const answer = await fetch("report.json", { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
    if (answer.status === 200) {
      next = answer.headers.get("ETag");
      const [x, y] = [window.scrollX, window.scrollY];
      const focused = document.activeElement?.id;
      draw(await answer.json());
      window.scrollTo(x, y);
      if (focused) document.getElementById(focused)?.focus();
    } else if (answer.status !== 304) throw new Error(`status ${answer.status}`);
  } catch (error) {
    const pulse = document.getElementById("pulse");
    if (pulse) { pulse.textContent = "no connection"; pulse.className = "chip stale"; }
  }
  setTimeout(() => follow(next), window.SWATH_EVERY_MS ?? 3000);
}

const numbers = JSON.parse(document.getElementById("numbers").textContent);
draw(numbers);
if (numbers.live) follow(null);
