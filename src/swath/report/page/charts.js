// Charts as SVG: axes, forest plots, tables of coloured squares.

function ticks(low, high, count = 5, whole = false) {
  const raw = (high - low) / Math.max(count, 1) || 1;
  const steps = [1, 2, 2.5, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(raw)));
  const step = whole ? Math.max(1, Math.ceil(steps.find((s) => s >= raw))) : steps.find((s) => s >= raw);
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
  const [fine, finest] = [within([1, 2, 5]), within([1, 1.5, 2, 3, 4, 6, 8])];
  if (finest.length < 2) return { values: [low, high].map((v) => +v.toPrecision(2)).filter((v) => v >= low && v <= high) };
  return { values: fine.length > 8 ? within([1]) : fine.length < 3 && finest.length < 9 ? finest : fine };
}

const WIDE = 6.6; // px of an average letter in the charts' 12 px

/** A frame with two linear (or log x) axes; draw(x, y) returns the marks. */
function plot({ width = 560, height = 320, xs, ys, xTitle, yTitle, logX = false, wholeX = false, label }, draw) {
  const yTicks = ticks(...ys);
  const left = 32 + WIDE * Math.max(3, ...yTicks.values.map((v) => v.toFixed(yTicks.digits).length));
  const box = { left, right: width - 18, top: 12, bottom: height - 44 };
  const to = logX ? Math.log10 : (v) => v;
  const [x0, x1] = xs.map(to);
  const x = (v) => box.left + ((to(v) - x0) / (x1 - x0)) * (box.right - box.left);
  const y = (v) => box.bottom - ((v - ys[0]) / (ys[1] - ys[0])) * (box.bottom - box.top);
  const grid = [];
  for (const v of yTicks.values) {
    grid.push(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) }));
    grid.push(svg("text", { x: box.left - 7, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(yTicks.digits)));
  }
  const xTicks = logX ? logTicks(...xs) : ticks(x0, x1, Math.min(8, width / 80), wholeX);
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
    svg("text", { x: x(v), y: height - 28, "text-anchor": "middle" }, Math.abs(v) < 1e-9 ? "0" : points(v).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""))]);
  marks.push(svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 8, y2: height - 44, "stroke-width": 1.5 }));
  rows.forEach((row, i) => {
    const at = 22 + i * line;
    const paint = row.clear ? (row.value > 0 ? "var(--good)" : "var(--bad)") : "var(--faint)";
    marks.push(svg("text", { class: "ink", x: left - 12, y: at + 4, "text-anchor": "end" }, shortened(row.name, 40), tip(row.name)));
    if (known(row.low)) marks.push(svg("line", { x1: x(row.low), x2: x(row.high), y1: at, y2: at, stroke: paint, "stroke-width": 2.5 }));
    marks.push(svg("circle", { cx: x(row.value), cy: at, r: 5, fill: paint },
      tip(`${row.name}: ${points(row.value)} points (${range(row.low, row.high, points)})`)));
  });
  marks.push(svg("text", { x: (left + width) / 2, y: height - 8, "text-anchor": "middle" }, shortened(title, 80), tip(title)));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, marks);
}

const shortened = (text, limit) => (text.length > limit ? `${text.slice(0, limit / 2)}…${text.slice(-limit / 2 + 1)}` : text);

/**
 * A table of numbers as coloured squares; both signs with `diverging`.
 * titles: what rows and columns are, [rows, columns]; least: the narrowest square in px.
 */
function heat(rowNames, columnNames, values, show, label, { diverging = true, titles = null, least = 26 } = {}) {
  const longest = (names, limit) => Math.max(...names.map((name) => Math.min(name.length, limit)));
  const left = 26 + WIDE * longest([...rowNames, titles ? `${titles[0]} ↓` : ""], 26), lean = WIDE * longest(columnNames, 22);
  const side = Math.max(columnNames.length > 30 ? 23 : least, Math.min(72, 760 / columnNames.length)), line = 26;
  const top = 22 + (titles ? 18 : 0) + 0.62 * lean;
  const most = Math.max(...values.flat().filter(known).map(Math.abs), 1e-12);
  const cells = values.flatMap((row, i) => row.map((v, j) => {
    const strength = known(v) ? Math.min(1, Math.abs(v) / most) : 0;
    const below = diverging && v < 0;
    const tone = strength > 0.9 && !below ? "strong" : strength > 0.62 ? "mid" : "ink"; // page.css has the colours that stand out
    return svg("g", {},
      svg("rect", { x: left + j * side, y: top + i * line, width: side - 2, height: line - 2, rx: 3, fill: below ? "var(--c1)" : "var(--c0)", "fill-opacity": 0.05 + 0.9 * strength }),
      svg("text", { class: tone, x: left + j * side + side / 2 - 1, y: top + i * line + 16, "text-anchor": "middle" }, known(v) ? show(v) : ""),
      tip(`${rowNames[i]} / ${columnNames[j]}: ${known(v) ? show(v) || "0" : "–"}`));
  }));
  const heads = columnNames.map((name, j) => {
    const at = `${left + j * side + side / 2} ${top - 8}`;
    return svg("text", { x: left + j * side + side / 2, y: top - 8, transform: `rotate(-38 ${at})` }, shortened(name, 22), tip(name));
  });
  const sides = rowNames.map((name, i) =>
    svg("text", { class: "ink", x: left - 8, y: top + i * line + 16, "text-anchor": "end" }, shortened(name, 26), tip(name)));
  const [width, height] = [left + columnNames.length * side + Math.max(10, 0.79 * lean - side / 2 + 14), top + rowNames.length * line + 6];
  const named = titles ? [
    svg("text", { x: left + (columnNames.length * side) / 2, y: 13, "text-anchor": "middle" }, `${titles[1]} →`),
    svg("text", { x: left - 8, y: top - 8, "text-anchor": "end" }, shortened(`${titles[0]} ↓`, 26))] : [];
  return make("div", { class: "scroll" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "heat", role: "img", "aria-label": label }, named, heads, sides, cells));
}
