// The page from its numbers, and again as often as a running sweep has new ones.

/** short: its name in the bar of sections. */
function section(parts, id, title, content, short = title) {
  const nodes = [content].flat().filter(Boolean);
  if (nodes.length) parts.push({ id, short, nodes: [make("h2", { id }, title), ...nodes] });
}

function draw(numbers) {
  const parts = [];
  const several = numbers.tasks.length > 1;
  if (numbers.live) section(parts, "running", "Running", [liveSummary(numbers), ...running(numbers)]);
  numbers.tasks.forEach((task, at) => {
    const first = parts.length;
    const id = (name) => (several ? `${name}-${at}` : name);
    const title = (name) => (several ? `${name}: ${task.label}` : name);
    if (task.cells.length) section(parts, id("ranking-of"), title("Ranking"), ranking(task, at), "Ranking");
    section(parts, id("effects"), title("Effects"), effects(task, id), "Effects");
    section(parts, id("interactions"), title(task.interactions?.length ? "Interactions" : "Shares of variance"), interactions(task, id), task.interactions?.length ? "Interactions" : "Shares");
    section(parts, id("search"), title("Search"), searches(task, id), "Search");
    section(parts, id("curves"), title("Learning curves"), curves(task, id), "Curves");
    section(parts, id("ensembles-of"), title("Ensembles"), ensembles(task, id), "Ensembles");
    if (task.cells.length > 1) section(parts, id("cost"), title("Score and cost"), cost(task), "Cost");
    if (task.other_metrics?.length) section(parts, id("others-of"), title("Other metrics"), otherMetrics(task, at), "Metrics");
    if (task.cells.length) section(parts, id("labels-of"), title("Labels"), labels(task, id), "Labels");
    if (task.mistakes?.length) section(parts, id("mistakes"), title("Worst mistakes"), [make("p", { class: "note" }, `Validation images on which the best cell is most wrong${task.mistakes.some((m) => m.picture) ? ", as its model saw them" : ""}.`), mistakes(task)], "Mistakes");
    if (task.trials.some((t) => t.state !== "COMPLETE" && t.state !== "UNFINISHED")) section(parts, id("states-of"), title("Stopped, failed, not run"), unfinished(task, id), "Stopped");
    if (task.audit?.length) section(parts, id("audit"), title("Data audit"), table(id("findings"), [
      { title: "severity", value: (f) => f.severity, kind: (f) => (f.severity === "serious" ? "bad" : "") },
      { title: "finding", value: (f) => f.text },
      { title: "count", number: true, value: (f) => f.count, text: (f) => `${f.count} ${f.unit}` },
      { title: "what to do", value: (f) => f.advice }], task.audit), "Audit");
    if (several && parts[first]) parts[first].task = task.label;
  });
  if (numbers.sheets?.length) section(parts, "sheets", "Preprocessing", sheets(numbers));
  section(parts, "settings", "How to reproduce", [make("pre", {}, make("code", {}, numbers.commands.join("\n"))),
    ...numbers.notes.map((note) => make("p", { class: "note" }, note))], "Reproduce");
  const spent = numbers.tasks.flatMap((t) => t.trials).reduce((sum, t) => sum + (t.device_s || 0), 0);
  document.getElementById("page").replaceChildren(
    make("header", {},
      make("h1", {}, numbers.sweep),
      make("div", { class: "chips", id: "states-summary" }, Object.entries(numbers.counts).map(([name, n]) => make("span", { class: "chip" }, make("b", {}, `${n}`), ` ${name.toLowerCase()}`)),
        make("span", { class: "chip" }, `${duration(spent)} of device time`), numbers.live ? make("span", { class: "chip live", id: "pulse" }, "live") : null),
      make("div", { class: "verdict" }, numbers.tasks.flatMap((task) => [several ? make("h3", {}, task.label) : null, ...task.headline.map((line) => make("p", {}, line))]))),
    make("nav", { "aria-label": "sections" }, make("div", {}, parts.map((p) => [p.task ? make("b", {}, p.task) : null, make("a", { href: `#${p.id}` }, p.short)]))),
    make("main", {}, parts.flatMap((p) => p.nodes)),
    make("footer", {}, `${numbers.made_by}${numbers.updated ? `, ${numbers.updated}` : ""}`));
}

function liveSummary(numbers) {
  const live = numbers.live;
  const chip = (name, value) => make("span", { class: "chip" }, `${name} `, make("b", {}, value));
  return make("div", { class: "chips" }, chip("images/s", known(live.images_per_s) ? live.images_per_s.toFixed(0) : "–"),
    chip("epochs left, at most", `${live.epochs_left}`), chip("time left, at most", duration(live.left_s)), chip("device time left, at most", duration(live.left_device_s)),
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
