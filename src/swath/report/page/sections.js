// Sections of a task, each from its numbers. `at` is the number of the task, `id` makes names of elements unique.

function ranking(task, at) {
  const names = Object.keys(task.factors);
  const searched = task.searched ?? [];
  const filter = (state.filter[at] ??= { text: "", levels: {} });
  const place = make("div");
  const rows = task.cells.map((cell, i) => ({ rank: i + 1, ...cell }));
  function fill() {
    const text = filter.text.toLowerCase();
    const shown = rows.filter((row) => row.cell.toLowerCase().includes(text) &&
      names.every((name) => !filter.levels[name] || row.factors[name] === filter.levels[name]));
    const columns = [
      { title: "rank", number: true, value: (r) => r.rank },
      ...((names.length || searched.length) && !task.named ? names.map((name) => ({ title: name, value: (r) => r.factors[name] ?? "" })) : [{ title: "cell", value: (r) => r.cell }]),
      ...(task.named ? [] : searched.map(searchedColumn)),
      { title: task.metric_title, number: true, value: (r) => r.score, text: (r) => score(r.score) },
      { title: "95 % interval", number: true, value: (r) => r.low, text: (r) => range(r.low, r.high) },
      { title: "seeds", number: true, value: (r) => r.seeds, text: (r) => (r.seeds === r.seeds_planned ? `${r.seeds}` : `${r.seeds} of ${r.seeds_planned}`) },
      { title: "sd", number: true, value: (r) => r.sd, text: (r) => score(r.sd) },
      { title: "epochs", number: true, value: (r) => r.epochs, text: (r) => `${+r.epochs.toFixed(1)}` },
      { title: "device time", number: true, value: (r) => r.device_s, text: (r) => duration(r.device_s) },
    ];
    place.replaceChildren(
      make("p", { class: "note", id: `shown-${at}` }, `${shown.length} of ${rows.length} finished cells${rows.some((r) => r.baseline) ? "; the baseline is marked" : ""}.`),
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

function effects(task, id) {
  const noise = task.matched_trials?.seed_noise;
  const parts = (task.effects ?? []).flatMap((factor) => {
    const rows = factor.levels.filter((l) => known(l.difference)).map((l) => ({
      name: l.level, value: l.difference, low: l.low, high: l.high, clear: l.clear }));
    return [
      make("h3", {}, `${factor.factor}, against ${factor.baseline}`),
      ...factor.levels.map((l) => (l.verdict ? make("p", {}, l.verdict) : null)),
      rows.length ? figure(factor.note ?? "", forest(rows, `points of ${task.metric_title} against ${factor.baseline}`, `effects of ${factor.factor}`)) : null,
      table(id(`effects-${factor.factor}`), [
        { title: "level", value: (r) => r.level },
        { title: "points", number: true, value: (r) => r.difference, text: (r) => points(r.difference), kind: (r) => (r.clear ? (r.difference > 0 ? "good" : "bad") : "") },
        { title: "95 % interval", number: true, value: (r) => r.low, text: (r) => range(r.low, r.high, points) },
        { title: "p (corrected)", number: true, value: (r) => r.p, text: (r) => pValue(r.p) },
        { title: "pairs", number: true, value: (r) => r.pairs },
        { title: "won", number: true, value: (r) => r.won, text: (r) => (known(r.won) ? `${Math.round(100 * r.won)} %` : "–") },
        { title: "could have shown", number: true, value: (r) => r.detectable, text: (r) => (known(r.detectable) ? r.detectable.toFixed(2) : "–") },
      ], factor.levels),
      ...factor.levels.flatMap((l) => (l.remarks ?? []).map((text) => make("p", { class: "note" }, text))),
    ].filter(Boolean);
  });
  if (parts.length && noise) parts.push(make("p", { class: "note" },
    `Seed noise: scores of one cell have a standard deviation of ${(100 * noise.sd).toFixed(2)} points between seeds; two trials less than ${(100 * noise.floor).toFixed(1)} points apart may differ in nothing but their seed.`));
  return [...parts, ...atRungs(task, id)];
}

const estimateColumns = [
  { title: "points", number: true, value: (r) => r.estimate.difference, text: (r) => points(100 * r.estimate.difference) },
  { title: "95 % interval", number: true, value: (r) => r.estimate.low, text: (r) => (known(r.estimate.low) ? range(100 * r.estimate.low, 100 * r.estimate.high, points) : "–") },
];

function atRungs(task, id) {
  const rows = task.matched_trials?.rungs ?? [];
  if (!rows.length) return [];
  return [
    make("h3", {}, "After a few epochs"),
    make("p", { class: "note" }, `Trials of this sweep were stopped. These are effects at the budget of a rung, not at the end: where the better level starts slowly even the sign may change. They enter no verdict and rank nothing.${rows.some((r) => r.selected) ? " Where earlier rungs had stopped trials (*), the pairs left are chosen by luck as well." : ""}`),
    table(id("rungs"), [
      { title: "level", value: (r) => `${r.level} against ${r.baseline}` },
      { title: "after", number: true, value: (r) => r.epochs, text: (r) => `${count(r.epochs, "epoch")}${r.selected ? " *" : ""}` },
      ...estimateColumns,
      { title: "pairs", number: true, value: (r) => r.estimate.units },
      { title: "won", number: true, value: (r) => r.estimate.won, text: (r) => `${Math.round(100 * r.estimate.won)} %` },
    ], rows),
  ];
}

function interactions(task, id) {
  const found = task.matched_trials?.interactions ?? [];
  const parts = (task.interactions ?? []).map((pair) => figure(
    `Does the effect of ${pair.first} depend on ${pair.second}?`,
    heat(pair.rows, pair.columns, pair.values, (v) => (v ? points(v) : "0"), `interaction of ${pair.first} and ${pair.second}`, { titles: [pair.first, pair.second], least: 52 })));
  if (!parts.length) return shares(task);
  return [
    make("p", { class: "note" }, "Points by which each combination departs from the sum of its two effects; baseline levels are 0 by definition."),
    make("div", { class: `figures${parts.length > 2 ? " three" : ""}` }, parts),
    make("p", { class: "note" }, `The same with intervals. Exploratory: q is Benjamini and Hochberg's over ${count(found.length, "interaction")}.`),
    table(id("interaction-table"), [
      { title: "effect of", value: (r) => `${r.level} against ${r.baseline}` },
      { title: "at", value: (r) => r.by_level },
      { title: "points there", number: true, value: (r) => r.within, text: (r) => points(100 * r.within) },
      { title: "at baseline", number: true, value: (r) => r.within_baseline, text: (r) => points(100 * r.within_baseline) },
      { ...estimateColumns[0], title: "difference" }, estimateColumns[1],
      { title: "q", number: true, value: (r) => r.q, text: (r) => pValue(r.q) },
    ], found, { sort: 6 }),
    ...shares(task),
  ];
}

/** Each factor's share of the differences between finished trials, as bars. */
function shares(task) {
  const found = task.matched_trials?.shares;
  if (!found?.parts.length) return [];
  const how = found.method === "anova" ? "exact, the grid is full" : "main effects estimated by regression trees (fANOVA), for the grid is not full";
  const line = 24, left = 26 + WIDE * Math.max(...found.parts.map((p) => Math.min(p.source.length, 40)));
  const [width, height] = [left + 380, found.parts.length * line + 6];
  const bars = found.parts.map((part, i) => svg("g", {},
    svg("text", { class: "ink", x: left - 8, y: 17 + i * line, "text-anchor": "end" }, shortened(part.source, 40), tip(part.source)),
    svg("rect", { x: left, y: 5 + i * line, width: Math.max(1, 300 * part.share), height: line - 8, rx: 3, fill: "var(--c0)" }),
    svg("text", { x: left + 300 * part.share + 8, y: 17 + i * line }, `${(100 * part.share).toFixed(part.share < 0.1 ? 1 : 0)} %`)));
  return [
    make("h3", {}, "What the scores depend on"),
    figure(`Share of the differences between finished trials (${how}).`,
      svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "shares of variance" }, bars)),
  ];
}

function curves(task, id) {
  const trials = task.trials.filter((t) => t.curve.epoch.length);
  if (!trials.length) return [];
  const factors = Object.keys(task.factors).filter((name) => task.factors[name].length > 1);
  const few = factors.find((name) => task.factors[name].length <= COLOURS.length);
  const all = (field) => trials.flatMap((t) => t.curve[field]);
  const rungs = [...new Set(trials.flatMap((t) => t.rungs))].filter((r) => r <= Math.max(...all("epoch")));
  const stopped = trials.some((t) => t.state === "STOPPED");
  const place = make("div");
  function show(factor) {
    state.chosen[id("colour")] = factor;
    const levels = task.factors[factor] ?? [""];
    const paint = (t) => colour(Math.max(0, levels.indexOf(t.factors[factor] ?? "")));
    const draw = (field, title) => plot({ xs: extent([1, ...all("epoch")], 0.02), ys: extent(all(field)), xTitle: "epoch", yTitle: title, wholeX: true, label: `${title} by epoch` },
      (x, y) => [
        rungs.map((r) => svg("line", { class: "axis", x1: x(r), x2: x(r), y1: 12, y2: 276, "stroke-dasharray": "3 4" }, tip(`rung after ${r} epochs`))),
        trials.map((t) => svg("g", {},
          svg("path", { d: path(t.curve.epoch, t.curve[field], x, y), fill: "none", stroke: paint(t), "stroke-width": 1.6, "stroke-opacity": t.state === "COMPLETE" ? 0.85 : 0.55 }),
          t.state === "STOPPED" && known(t.curve[field].at(-1)) ? svg("text", { class: "ink", x: x(t.curve.epoch.at(-1)), y: y(t.curve[field].at(-1)) + 4, "text-anchor": "middle" }, "×") : null,
          tip(`${t.cell}, seed ${t.seed}: ${t.state}, ${score(t.score)}`))),
      ]);
    const marks = [rungs.length ? "dashed lines are rungs" : "", stopped ? "× is where a trial was stopped" : ""].filter(Boolean).join(", ");
    place.replaceChildren(...[
      factor ? legend(levels) : null,
      make("div", { class: "figures" },
        figure(`Validation score of each trial${marks ? `; ${marks}` : ""}.`, draw("score", task.metric_title)),
        all("train_loss").some(known) ? figure("Training loss.", draw("train_loss", "training loss")) : null)].filter(Boolean));
  }
  show(state.chosen[id("colour")] ?? few ?? factors[0] ?? null);
  if (factors.length < 2) return [place];
  const select = make("select", { "aria-label": "factor that decides the colour", id: id("colour"), onchange: (e) => show(e.target.value) },
    factors.map((name) => make("option", { value: name, selected: state.chosen[id("colour")] === name ? "" : null }, name)));
  return [make("div", { class: "controls" }, "Colour by", select), place];
}

function cost(task) {
  const kinds = [["device_s", "device-seconds of the cell"], ["parameters", "parameters"], ["ms_per_image", "ms per image, validation"]];
  const figures = kinds.map(([field, title]) => {
    const cells = task.cells.filter((c) => c[field] > 0 && known(c.score));
    const values = cells.map((c) => c[field]);
    if (new Set(values).size < 2) return null;
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
  }).filter(Boolean);
  return figures.length ? make("div", { class: `figures${figures.length > 2 ? " three" : ""}` }, figures) : null;
}

function ensembles(task, id) {
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
    table(id("ensembles"), columns, task.ensembles),
    make("div", { class: "figures" },
      tops.length > 1 ? figure("The k best runs averaged; dotted: scored on the images that chose them, which is too good.", plot(
        { xs: extent(tops.map((e) => e.size)), ys: extent(tops.flatMap((e) => [e.low, e.high, e.naive])), xTitle: "members", yTitle: task.metric_title, wholeX: true, label: "score by number of members" },
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
    task.diversity?.length ? table(id("diversity"), [
      { title: "differ in", value: (d) => d.factor }, { title: "pairs", number: true, value: (d) => d.pairs },
      { title: "points gained", number: true, value: (d) => d.gain, text: (d) => points(d.gain) },
      { title: "error correlation", number: true, value: (d) => d.correlation, text: (d) => d.correlation.toFixed(2) }], task.diversity) : null,
  ].filter(Boolean);
}

function labels(task, id) {
  const thresholds = task.per_label.some((r) => known(r.threshold)) ? [
    { title: "threshold", number: true, value: (r) => r.threshold, text: (r) => (known(r.threshold) ? r.threshold.toFixed(3) : "–") },
    { title: "F1 points by threshold", number: true, value: (r) => r.moved, text: (r) => points(r.moved) }] : [];
  const parts = [table(id("labels"), [
    { title: "label", value: (r) => r.label }, { title: "positives", number: true, value: (r) => r.positives },
    { title: "best cell", number: true, value: (r) => r.best, text: (r) => score(r.best) },
    { title: "baseline cell", number: true, value: (r) => r.baseline, text: (r) => score(r.baseline) },
    ...thresholds,
  ], task.per_label, { sort: 2 }), ...precisionRecall(task, id)];
  if (task.confusion) parts.push(make("h3", {}, "Confusion"), figure("Predictions of the best cell: rows are the truth, columns the prediction, percent of the row.",
    heat(task.labels, task.labels, task.confusion, (v) => (v ? `${Math.round(100 * v)}` : ""), "confusion", { diverging: false, titles: ["true", "predicted"] })));
  return [...parts, ...labelEffects(task, id)];
}

/** The curve of one label of the best cell, at first of its weakest. */
function precisionRecall(task, id) {
  const found = task.precision_recall ?? [];
  if (!found.length) return [];
  const rows = Object.fromEntries(task.per_label.map((r) => [r.label, r]));
  const place = make("div");
  function show(name) {
    state.chosen[id("curve")] = name;
    const curve = found.find((c) => c.label === name);
    const share = rows[name].positives / task.validation_images;
    place.replaceChildren(figure(
      `Precision and recall of the best cell for ${name}: ${count(rows[name].positives, "positive")} among ${task.validation_images} images, which is the dashed line.`,
      plot({ xs: [0, 1], ys: [0, 1.02], xTitle: "recall", yTitle: "precision", label: `precision and recall of ${name}` },
        (x, y) => [
          svg("line", { class: "axis", x1: x(0), x2: x(1), y1: y(share), y2: y(share), "stroke-dasharray": "4 4" }),
          svg("path", { d: path(curve.recall, curve.precision, x, y), fill: "none", stroke: "var(--c0)", "stroke-width": 2 })])));
  }
  const weakest = found.reduce((a, b) => ((rows[b.label].best ?? 2) < (rows[a.label].best ?? 2) ? b : a)).label;
  const kept = state.chosen[id("curve")];
  show(found.some((c) => c.label === kept) ? kept : weakest);
  const select = make("select", { "aria-label": "label of the curve", id: id("curve"), onchange: (e) => show(e.target.value) },
    found.map((c) => make("option", { value: c.label, selected: c.label === state.chosen[id("curve")] ? "" : null }, c.label)));
  return [make("h3", {}, "Precision and recall"), make("div", { class: "controls" }, "Label", select), place];
}

/** Which labels a choice helps: all comparisons in one table that sorts. */
function labelEffects(task, id) {
  const rows = (task.matched_trials?.labels ?? []).flatMap((t) => t.labels.map((l) => ({ ...l, choice: `${t.level} against ${t.baseline}` })));
  if (!rows.length) return [];
  return [
    make("h3", {}, "Which labels each choice moves"),
    make("p", { class: "note" }, "Exploratory: q is Benjamini and Hochberg's over the labels of one comparison; labels with few positives are one row together."),
    table(id("label-effects"), [
      { title: "choice", value: (r) => r.choice },
      { title: "label", value: (r) => r.label || count(r.pooled, "rare label") },
      ...estimateColumns,
      { title: "q", number: true, value: (r) => r.q, text: (r) => pValue(r.q) },
    ], rows),
  ];
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

function unfinished(task, id) {
  const rows = task.trials.filter((t) => t.state !== "COMPLETE" && t.state !== "UNFINISHED");
  return table(id("states"), [
    { title: "cell", value: (t) => t.cell }, { title: "seed", number: true, value: (t) => t.seed }, { title: "fold", number: true, value: (t) => t.fold },
    { title: "state", value: (t) => t.state.toLowerCase() },
    { title: "epochs", number: true, value: (t) => t.epochs, text: (t) => `${t.epochs} of ${t.epochs_planned}` },
    { title: "score there", number: true, value: (t) => t.score, text: (t) => score(t.score) },
    { title: "why", value: (t) => t.why },
  ], rows);
}
