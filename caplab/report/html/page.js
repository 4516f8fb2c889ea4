"use strict";
// Everything that comes from results is written as text, never as markup; the sections of runs were escaped when made.
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const unpack = async name => {
  const packed = Uint8Array.from(atob(find(`#packed-${name}`).textContent), sign => sign.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};

// The table of all runs: filters and order.
const rows = all("#runs > tbody > tr"), filters = find("#filters");
const filter = () => {
  const wanted = ["engine", "fault", "verdict"].map(name => [name, filters.elements[name].value]);
  for (const row of rows) row.hidden = !wanted.every(([name, value]) => !value || row.dataset[name] === value);
  const shown = rows.filter(row => !row.hidden).length;
  const none = shown ? "" : ": no run matches all of these filters. Set one of them to all";
  find("#shown").textContent = shown === rows.length ? `${shown} shown` : `${shown} of ${rows.length} shown${none}`;
};
filters.addEventListener("change", filter);
filters.addEventListener("submit", event => event.preventDefault());
for (const [column, head] of all("#runs th").entries()) {
  find("button", head).addEventListener("click", () => {
    const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of all("#runs th")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
    const key = row => row.cells[column]?.dataset.sort ?? "";
    const numbers = rows.every(row => key(row) === "" || !isNaN(key(row)));
    const compare = (one, other) => numbers ? Number(key(one)) - Number(key(other)) : key(one).localeCompare(key(other));
    find("#runs > tbody").append(...[...rows].sort((one, other) => order * compare(one, other)));
  });
}
filter();

// The timeline: stretched and moved along the axis of time, read by pointer, its marks opened.
class Timeline {
  constructor(article, number, data) {
    Object.assign(this, data, { article, number, begin: data.frame.begin, end: data.frame.end, at: -1 });
    this.box = find(".timeline", article);
    this.svg = find("svg", this.box);
    this.readout = find(".readout", article);
    this.moving = all(".moves", this.svg);
    this.names = find(".names", this.svg);
    this.svg.setAttribute("aria-hidden", "true");
    this.box.addEventListener("scroll", () => this.stick());
    this.bring(0);
    for (const button of all("[data-do]", article)) button.addEventListener("click", () => this.act(button.dataset.do));
    this.box.addEventListener("keydown", event => this.key(event));
    this.svg.addEventListener("pointerdown", event => this.press(event));
    this.svg.addEventListener("pointermove", event => this.move(event));
    this.svg.addEventListener("pointerup", event => this.release(event));
    this.svg.addEventListener("pointerleave", () => { this.pressed = null; });
    this.svg.addEventListener("wheel", event => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.seconds(this.point(event).x));
    }, { passive: false });
  }
  // On a narrow screen the picture scrolls sideways; the strips' names stay in sight.
  stick() {
    const scrolled = this.box.scrollLeft * this.units();
    const by = Math.max(0, scrolled - Number(this.names.dataset.x));
    this.names.setAttribute("transform", `translate(${by} 0)`);
    this.names.classList.toggle("sticks", scrolled > 10);
  }
  // Scroll until a moment is in view; the injection is at 0.
  bring(seconds) { this.box.scrollLeft = Math.max(0, this.x(seconds) / this.units() - 0.6 * this.box.clientWidth); }
  units() { return this.frame.width / this.svg.getBoundingClientRect().width; }
  x(seconds) {
    const { left, right } = this.frame;
    return left + (seconds - this.begin) / (this.end - this.begin) * (right - left);
  }
  seconds(x) {
    const { left, right } = this.frame;
    return this.begin + (x - left) / (right - left) * (this.end - this.begin);
  }
  point(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }
  show(begin, end) {
    const { frame } = this, whole = frame.end - frame.begin;
    const span = Math.min(whole, Math.max(end - begin, 5 * frame.bin));
    this.begin = Math.min(Math.max(begin, frame.begin), frame.end - span);
    this.end = this.begin + span;
    const scale = whole / span, shift = this.x(frame.begin) - frame.left * scale;
    find(".stretches", this.svg).setAttribute("transform", `matrix(${scale} 0 0 1 ${shift} 0)`);
    for (const part of this.moving) {
      const x = scale * Number(part.dataset.x) + shift, last = scale * Number(part.dataset.end ?? part.dataset.x) + shift;
      const place = part.dataset.end ? Math.max(x, frame.left) : x;
      part.toggleAttribute("hidden", last < frame.left - 1 || x > frame.right + 1);
      part.setAttribute("transform", `translate(${place - Number(part.dataset.x)} 0)`);
      part.style.display = part.hasAttribute("hidden") ? "none" : "";
    }
    this.ticks(scale);
  }
  ticks(scale) {
    for (const tick of all(".tick", this.svg)) tick.style.display = scale > 1.001 ? "none" : "";
    for (const tick of all(".tick-of-zoom", this.svg)) tick.remove();
    if (scale <= 1.001) return;
    const least = (this.end - this.begin) / 10, power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map(size => size * power).find(size => size >= least);
    for (let number = Math.ceil(this.begin / step); number * step <= this.end; number++) {
      const tick = document.createElementNS("http://www.w3.org/2000/svg", "text");
      tick.setAttribute("class", "tick-of-zoom");
      tick.setAttribute("x", this.x(number * step));
      tick.setAttribute("y", this.frame.bottom + 20);
      tick.textContent = Number((number * step).toPrecision(8)).toLocaleString("en");
      this.svg.append(tick);
    }
  }
  zoom(factor, around = (this.begin + this.end) / 2) {
    this.show(around - (around - this.begin) * factor, around + (this.end - around) * factor);
  }
  act(what) {
    const step = (this.end - this.begin) / 4;
    if (what === "in" || what === "out") this.zoom(what === "in" ? 0.5 : 2);
    if (what === "left" || what === "right") {
      const by = what === "left" ? -step : step;
      this.show(this.begin + by, this.end + by);
    }
    if (what === "all") this.show(this.frame.begin, this.frame.end);
    if (what === "next" || what === "previous") this.step(what === "next" ? 1 : -1);
  }
  key(event) {
    const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "all", n: "next", p: "previous" };
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.box) return;
    if (event.key === "Enter" && this.at >= 0) location.hash = `run-${this.number}-mark-${this.order()[this.at]}`;
    else if (keys[event.key]) this.act(keys[event.key]);
    else return;
    event.preventDefault();
  }
  order() {
    return this.byTime ??= this.marks.map((_, number) => number).sort((one, other) => this.marks[one][1] - this.marks[other][1]);
  }
  step(by) {
    const order = this.order();
    if (!order.length) { this.readout.textContent = "No operation is marked here."; return; }
    // The first is one since the injection: what is marked before it belongs to the load's beginning.
    const first = Math.max(0, order.findIndex(number => this.marks[number][1] >= 0));
    this.at = this.at < 0 ? (by > 0 ? first : order.length - 1) : (this.at + by + order.length) % order.length;
    this.reveal(order[this.at]);
  }
  reveal(number) {
    const [, seconds] = this.marks[number], span = Math.min(this.end - this.begin, 4);
    this.at = this.order().indexOf(number);
    this.show(seconds - span / 2, seconds + span / 2);
    this.bring(seconds);
    this.point_at(number);
    this.readout.textContent = this.told(number);
  }
  point_at(number) {
    const [, seconds, strip] = this.marks[number];
    find(".pointed", this.svg)?.remove();
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const { top, bottom } = this.strips[strip] ?? this.frame;
    for (const [name, value] of Object.entries({
      class: "pointed tick-of-zoom", cx: this.x(seconds), cy: (top + bottom) / 2, r: 12, fill: "none", stroke: "#0550ae", "stroke-width": 2,
    })) ring.setAttribute(name, value);
    this.svg.append(ring);
  }
  told(number) {
    const [, seconds, strip, what] = this.marks[number];
    return `${seconds.toFixed(3)} s, ${this.strips[strip]?.name ?? ""}: ${what} Its operations are in the list below.`;
  }
  near({ x, y }) {
    let best = -1, least = 7;
    for (const [number, [, seconds, strip]] of this.marks.entries()) {
      const row = this.strips[strip];
      if (!row || y < row.top - 2 || y > row.bottom + 3) continue;
      const away = Math.abs(this.x(seconds) - x);
      if (away < least) { least = away; best = number; }
    }
    return best;
  }
  press(event) {
    const { x } = this.point(event);
    this.pressed = { x, begin: this.begin, end: this.end, dragged: false };
  }
  move(event) {
    const point = this.point(event), { frame, pressed } = this;
    if (pressed && event.buttons && event.pointerType === "mouse") {
      const by = (pressed.x - point.x) / (frame.right - frame.left) * (pressed.end - pressed.begin);
      pressed.dragged ||= Math.abs(pressed.x - point.x) > 4;
      if (pressed.dragged) this.show(pressed.begin + by, pressed.end + by);
      return;
    }
    const number = this.near(point);
    this.svg.style.cursor = number >= 0 ? "pointer" : "";
    const text = number >= 0 ? this.told(number) : this.read(point);
    if (text) this.readout.textContent = text;
  }
  release(event) {
    const point = this.point(event), dragged = this.pressed?.dragged;
    this.pressed = null;
    if (dragged) return;
    const number = this.near(point);
    if (number >= 0) location.hash = `run-${this.number}-mark-${number}`;
    else this.readout.textContent = this.read(point) || this.readout.textContent;
  }
  read(point) {
    const { frame } = this, row = this.strips.find(strip => point.y >= strip.top && point.y <= strip.bottom);
    const seconds = this.seconds(point.x);
    if (!row || point.x < frame.left || point.x > frame.right) return "";
    const bin = Math.floor((seconds - frame.begin) / frame.bin + 1e-9), share = row.share[bin], p99 = row.p99[bin];
    const begin = (frame.begin + bin * frame.bin).toFixed(2), wide = Math.round(1000 * frame.bin);
    const acked = share < 0 ? "nothing was scheduled" : `${share} % of what was scheduled was acknowledged`;
    return `${begin} s, for ${wide} ms, ${row.name}: ${acked}${p99 < 0 ? "" : `, p99 ${p99} ms`}.`;
  }
}

// The list of lost, stale and two-primaries operations.
const PER_PAGE = 20;
class Operations {
  constructor(article, number, marks, timeline) {
    Object.assign(this, { number, marks, timeline, shown: 0, place: find(".anomalies", article) });
    if (!this.place || !marks.length) return;
    const head = ["", "kind", "row", "client", "operation", "outcome", "invoked", "returned", "where", "what is wrong"];
    const table = make("table"), line = make("tr");
    table.append(make("caption", "Times in seconds since the injection; rows are those of history.parquet."));
    for (const name of head) line.append(name ? make("th", name, { scope: "col" }) : make("td"));
    table.append(make("thead"), this.body = make("tbody"));
    table.tHead.append(line);
    const scroll = make("div", undefined, { class: "scroll", tabindex: 0, role: "region", "aria-label": "operations that went wrong" });
    scroll.append(table);
    this.more = make("button", "", { type: "button" });
    this.more.addEventListener("click", () => this.upTo(this.shown + PER_PAGE));
    this.place.append(scroll, this.more);
    this.upTo(PER_PAGE);
  }
  upTo(count) {
    for (; this.shown < Math.min(count, this.marks.length); this.shown++) this.body.append(this.row(this.shown));
    this.more.hidden = this.shown >= this.marks.length;
    this.more.textContent = `show ${Math.min(PER_PAGE, this.marks.length - this.shown)} more (${(this.marks.length - this.shown).toLocaleString("en")} left)`;
  }
  row(mark) {
    const [kind, , , what, operation, witness] = this.marks[mark];
    const row = make("tr", undefined, { id: `run-${this.number}-mark-${mark}`, tabindex: -1 });
    const show = make("button", "show", { type: "button", "aria-label": `show operation ${mark + 1} in the picture` });
    show.addEventListener("click", () => {
      this.timeline?.reveal(mark);
      this.timeline?.box.scrollIntoView({ block: "center" });
      this.timeline?.box.focus({ preventScroll: true });
    });
    const first = make("td");
    first.append(show);
    row.append(first, make("td", kind));
    for (const cell of operation) row.append(make("td", cell));
    const [at, client, done, outcome, invoked, returned, where] = witness;
    const other = witness.length ? ` Row ${at}: client ${client}, ${done}, ${outcome}, ${invoked} to ${returned} s, ${where}` : "";
    row.append(make("td", `${what}${other}`));
    return row;
  }
  open(mark) {
    if (!this.place || !(mark < this.marks.length)) return null;
    this.upTo(PER_PAGE * Math.ceil((mark + 1) / PER_PAGE));
    for (const row of all("tr.chosen", this.body)) row.classList.remove("chosen");
    const row = this.body.rows[mark];
    row.classList.add("chosen");
    return row;
  }
}

// Charts: drawn when they come into view, by a library that is unpacked with the first of them.
let loading = null;
const loaded = () => loading ??= load();
const load = async () => {
  if (find("#packed-library")) {
    const script = make("script");
    script.textContent = await unpack("library");
    document.head.append(script);
  }
  return JSON.parse(await unpack("specifications"));
};
const OUTCOMES = { ok: "acknowledged", fail: "failed", info: "unknown" };
const values = (name, data) => {
  if (name !== "operations") return data[name] ?? [];
  const { t, ms, strip, words, ...codes } = data.operations, top = 1.5 * Math.max(10, ...ms);
  const word = (column, place) => words[column][codes[column][place]] ?? "";
  return t.map((seconds, place) => ({
    t: seconds, ms: ms[place] < 0 ? top : Math.max(ms[place], 0.05), strip: data.strips[strip[place]]?.name ?? "",
    outcome: OUTCOMES[word("outcome", place)], error: word("error", place), op: word("op", place), server: word("server", place),
  }));
};
const draw = async (place, data) => {
  const specification = (await loaded())[place.dataset.chart], rows = values(place.dataset.chart, data);
  if (!window.vegaEmbed || !specification || !rows.length) {
    place.closest("figure").hidden = true;
    place.dataset.drawn = "no";
    return;
  }
  const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(name).trim();
  const axis = { labelColor: colour("--muted"), titleColor: colour("--ink"), gridColor: colour("--grid"), domainColor: colour("--muted"), tickColor: colour("--muted") };
  const config = { background: null, axis, legend: { labelColor: colour("--ink"), titleColor: colour("--ink") }, view: { stroke: null }, font: "system-ui, sans-serif" };
  const options = { actions: false, renderer: "svg", ast: true, config, tooltip: { disableDefaultStyle: true } };
  await window.vegaEmbed(place, { ...specification, datasets: { rows } }, options);
  place.dataset.drawn = "yes";
};

// Which run is shown is in the address: #run-3, #run-3-operations, #run-3-mark-17.
const open = { number: 0 };
const openRun = async number => {
  const { html, data } = JSON.parse(await unpack(number));
  const place = find("#run");
  place.innerHTML = html;
  const article = find("article", place);
  const timeline = data.frame ? new Timeline(article, number, data) : null;
  const operations = new Operations(article, number, data.marks ?? [], timeline);
  const observer = new IntersectionObserver(entries => {
    for (const entry of entries.filter(entry => entry.isIntersecting)) {
      observer.unobserve(entry.target);
      draw(entry.target, data);
    }
  }, { rootMargin: "300px" });
  for (const chart of all("[data-chart]", article)) observer.observe(chart);
  Object.assign(open, { number, article, operations, timeline, data });
};
const route = async () => {
  const [, number, mark] = location.hash.match(/^#run-(\d+)(?:-mark-(\d+))?/) ?? [];
  const isRun = number && find(`#packed-${Number(number)}`);
  find("#overview").hidden = Boolean(isRun);
  find("#run").hidden = !isRun;
  if (!isRun) {
    document.title = document.title.replace(/^.* · (caplab: .*)$/, "$1");
    if (open.number) find(`a[href="#run-${open.number}"]`)?.focus();
    return;
  }
  const changed = open.number !== Number(number);
  if (changed) await openRun(Number(number));
  const suite = document.title.replace(/^.* · (caplab: .*)$/, "$1");
  document.title = `${find("h1", open.article).textContent} · ${suite}`;
  const row = mark === undefined ? null : open.operations.open(Number(mark));
  const target = row ?? document.getElementById(location.hash.slice(1)) ?? open.article;
  target.scrollIntoView({ block: row ? "center" : "start" });
  (row ?? open.article).focus({ preventScroll: true });
  document.body.dataset.ready = location.hash;
};
addEventListener("hashchange", route);
// What was not looked at yet would be an empty box on paper.
addEventListener("beforeprint", () => {
  for (const chart of all("[data-chart]:not([data-drawn])", find("#run"))) draw(chart, open.data);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { open.number = 0; route(); });
route();
