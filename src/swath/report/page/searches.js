// What a search found: the score along each range with its band, importances, the best so far.

const valueText = (v) => (typeof v === "number" ? `${+v.toPrecision(4)}` : v ?? "–");

/** A parameter of a search as a column of the ranking: numbers sort as numbers. */
function searchedColumn(name) {
  return { title: name, number: true, value: (r) => r.point?.[name] ?? null, text: (r) => valueText(r.point?.[name]) };
}

function searches(task, id) {
  return (task.search ?? []).flatMap((result, at) => {
    const name = (part) => id(at ? `${part}-space${at}` : part);
    const rows = result.slices.flatMap((s) => s.values.map((value, i) => ({ along: s.name, value, mean: s.mean[i], low: s.low[i], high: s.high[i] })));
    const importances = Object.entries(result.importances).map(([field, share]) => ({ field, share }));
    const charts = [...result.slices.filter((s) => s.kind !== "choice").map((s) => alongRange(task, result, s)), bestSoFar(task, result)].filter(Boolean);
    return [
      task.search.length > 1 ? make("h3", {}, result.origins.join(", ")) : null,
      make("p", {}, result.states),
      ...result.advice.map((text) => make("p", {}, text)),
      charts.length ? make("div", { class: `figures${charts.length > 2 ? " three" : ""}` }, charts) : null,
      importances.length ? table(name("importances"), [
        { title: "field", value: (r) => r.field },
        { title: "importance", number: true, value: (r) => r.share, text: (r) => `${Math.round(100 * r.share)} %` }], importances) : null,
      rows.length ? table(name("slices"), [
        { title: "along", value: (r) => r.along },
        { title: "value", number: true, value: (r) => r.value, text: (r) => valueText(r.value) },
        { title: task.metric_title, number: true, value: (r) => r.mean, text: (r) => score(r.mean) },
        { title: "95 % band", number: true, value: (r) => r.low, text: (r) => range(r.low, r.high) }], rows) : null,
      ...result.remarks.map((text) => make("p", { class: "note" }, text)),
    ].filter(Boolean);
  });
}

function alongRange(task, result, slice) {
  const logX = slice.kind === "loguniform";
  const [least, most] = [slice.values[0], slice.values[slice.values.length - 1]];
  const xs = logX ? [0.85 * least, 1.18 * most] : extent(slice.values);
  const dots = result.points.map((p) => ({ ...p, at: p.values[slice.name] }));
  return figure(`${slice.name}${slice.flat ? ": no change shown" : ""}. The line is the mean over what else was searched, with its 95 % band; dots are the points.`,
    plot({ width: 400, height: 280, xs, ys: extent([...slice.low, ...slice.high, ...dots.map((d) => d.score)]), xTitle: slice.name, yTitle: task.metric_title, logX, label: `score along ${slice.name}` },
      (x, y) => [
        svg("path", { d: band(slice.values, slice.low, slice.high, x, y), fill: "var(--c0)", "fill-opacity": 0.15 }),
        svg("path", { d: path(slice.values, slice.mean, x, y), fill: "none", stroke: "var(--c0)", "stroke-width": 2 }),
        ...dots.map((d) => svg("circle", { cx: x(d.at), cy: y(d.score), r: 3.5, fill: "var(--faint)" }, tip(`${d.cell}: ${score(d.score)}`)))]));
}

function bestSoFar(task, result) {
  const shown = result.best.filter((b) => b.number);
  const most = Math.max(2, ...shown.map((b) => b.asked));
  if (!shown.length) return null;
  return figure(`Best so far, by number of points${shown.length > 1 ? ", in each cell of the grid" : ""}: the highest of several noisy scores, so a little too high.`,
    plot({ width: 400, height: 280, xs: [1, most], ys: extent(shown.flatMap((b) => b.scores)), xTitle: "points", yTitle: task.metric_title, wholeX: true, label: "best so far" },
      (x, y) => shown.map((b, i) => svg("path", { d: path(b.scores.map((_, n) => n + 1), b.scores, x, y), fill: "none", stroke: colour(i), "stroke-width": 2 }, tip(b.origin)))));
}
