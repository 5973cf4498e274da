// Shows series side by side from the node's own DICOMweb: every pane shows the slice nearest to one position in the
// patient, along the slice normal of the target series.

import { Slice, clamp, cross, describePosition, dot, reasonOf, side } from "/static/slice.js";

const page = document.body.dataset;
const PREFETCH_AT_A_TIME = 4;
const PREFETCH_SLICES = 400;
const PARALLEL = 0.99;
const MILLIMETRES_OFF = 0.05;
const WHEEL_STEP = 40;

class Pane {
  constructor(element) {
    this.element = element;
    this.path = `${page.service}/studies/${page.study}/series/${element.dataset.series}`;
    this.canvas = element.querySelector("canvas");
    this.raster = document.createElement("canvas");
    this.label = this.canvas.getAttribute("aria-label").replace(", loading", "");
    this.slices = [];
    this.index = 0;
    this.isLinked = true;
    this.loaded = 0;
  }

  text(name, text) { this.element.querySelector(`.${name}`).textContent = text; }

  fail(reason) {
    this.element.dataset.state = "failed";
    this.text("notice", reason);
    tellReady();
  }

  async open() {
    const response = await fetch(`${this.path}/metadata`, { headers: { Accept: "application/dicom+json" } });
    if (!response.ok) throw new Error(await reasonOf(response));
    const headers = await response.json();
    const problem = headers.map(Slice.problem).find(Boolean);
    if (problem) throw new Error(problem);
    this.slices = headers.map((header) => new Slice(header));
    this.element.dataset.total = this.slices.length;
  }

  // Order the slices along the normal, in the direction in which the target's instances are numbered.
  arrange(normal, isReversed) {
    const first = this.slices[0];
    this.normal = first.isPlaced ? cross(first.along, first.down) : null;
    this.isLinked = Boolean(normal && this.normal && Math.abs(dot(this.normal, normal)) > PARALLEL);
    const axis = this.isLinked ? normal : this.normal;
    for (const slice of this.slices) slice.position = axis && slice.isPlaced ? dot(slice.center, axis) : slice.number;
    this.axis = axis;
    this.slices.sort((a, b) => (isReversed && this.isLinked ? b.position - a.position : a.position - b.position));
    this.index = Math.floor(this.slices.length / 2);
  }

  nearest(position) {
    return this.slices.reduce((best, slice, i) =>
      (Math.abs(slice.position - position) < Math.abs(this.slices[best].position - position) ? i : best), 0);
  }

  // The pane's own window: from the middle instance, or the range of its values.
  async chooseWindow() {
    const middle = this.slices[Math.floor(this.slices.length / 2)];
    await middle.load(this.path);
    if (middle.window.every(Number.isFinite)) {
      this.window = middle.window;
      return;
    }
    const sorted = Float64Array.from(middle.pixels, (bits) => middle.valueOf(bits)).sort();
    const [low, high] = [sorted[Math.floor(sorted.length * 0.01)], sorted[Math.floor(sorted.length * 0.995)]];
    this.window = [(low + high) / 2, Math.max(high - low, 1)];
  }

  async show(index) {
    this.index = clamp(index, 0, this.slices.length - 1);
    const wanted = this.index;
    try {
      await this.slices[wanted].load(this.path);
    } catch (error) {
      this.fail(error.message);
      return;
    }
    if (wanted === this.index) this.draw();
  }

  draw() {
    const slice = this.slices[this.index];
    if (!slice?.pixels || !this.window) return;
    const center = this.window[0] + level.shift * this.window[1];
    const width = Math.max(this.window[1] * level.gain, 1);
    this.paint(slice, center, width);
    this.fit(slice);
    this.tell(slice, center, width);
  }

  paint(slice, center, width) {
    const key = [center, width, slice.slope, slice.intercept].join();
    if (this.greysKey !== key) [this.greysKey, this.greys] = [key, slice.greys(center, width)];
    Object.assign(this.raster, { width: slice.columns, height: slice.rows });
    const context = this.raster.getContext("2d");
    const image = context.createImageData(slice.columns, slice.rows);
    const colours = new Uint32Array(image.data.buffer);
    for (let i = 0; i < slice.pixels.length; i += 1) colours[i] = 0xff000000 | (this.greys[slice.pixels[i]] * 0x010101);
    context.putImageData(image, 0, 0);
  }

  // Draw the slice as large as the pane allows, with square millimetres.
  fit(slice) {
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [this.canvas.clientWidth * scale, this.canvas.clientHeight * scale].map(Math.round);
    Object.assign(this.canvas, { width: w, height: h });
    const width = Math.min(w, h / slice.aspect);
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.raster, (w - width) / 2, (h - width * slice.aspect) / 2, width, width * slice.aspect);
  }

  tell(slice, center, width) {
    const place = this.axis ? describePosition(slice.position, this.axis) : `instance ${slice.number}`;
    this.text("position", place);
    this.text("slice", `slice ${this.index + 1} of ${this.slices.length}`);
    this.text("window", `C ${Math.round(center)}  W ${Math.round(width)}`);
    this.text("notice", this.notice(slice));
    this.canvas.setAttribute("aria-label", `${this.label}, ${place}, slice ${this.index + 1} of ${this.slices.length}`);
    if (slice.isPlaced) {
      const negative = (vector) => vector.map((part) => -part);
      const edges = { right: slice.along, left: negative(slice.along), bottom: slice.down, top: negative(slice.down) };
      for (const [name, vector] of Object.entries(edges)) this.text(name, side(vector));
    }
    Object.assign(this.element.dataset, { state: "shown", slice: this.index, position: slice.position });
    tellReady();
  }

  notice(slice) {
    if (!this.isLinked) return "Other orientation: scrolls on its own.";
    const target = targetPane();
    if (target === this) return "";
    if (slice.frameOfReference !== target.slices[0].frameOfReference) {
      return "Other Frame of Reference: the same position need not be the same place.";
    }
    const off = Math.abs(slice.position - target.slices[target.index].position);
    return off > MILLIMETRES_OFF ? `Nearest slice, ${off.toFixed(1)} mm away.` : "";
  }

  async prefetch() {
    const order = [...this.slices].sort((a, b) => this.distance(a) - this.distance(b)).slice(0, PREFETCH_SLICES);
    const work = async () => {
      for (let slice = order.shift(); slice; slice = order.shift()) {
        await slice.load(this.path);
        this.loaded += 1;
        this.element.dataset.loaded = this.loaded;
        this.text("loaded", this.loaded < this.slices.length ? `${this.loaded} of ${this.slices.length} loaded` : "");
      }
    };
    await Promise.all(Array.from({ length: PREFETCH_AT_A_TIME }, work)).catch((error) => this.fail(error.message));
  }

  distance(slice) { return Math.abs(this.slices.indexOf(slice) - this.index); }
}

const panes = [...document.querySelectorAll(".pane")].map((element) => new Pane(element));
const level = { gain: 1, shift: 0 };
const live = () => panes.filter((pane) => pane.slices.length);
const targetPane = () => live().find((pane) => "target" in pane.element.dataset) ?? live()[0];

function tellReady() {
  page.ready = String(panes.every((pane) => ["shown", "failed"].includes(pane.element.dataset.state)));
}

function go(pane, index) {
  const target = targetPane();
  if (!pane.isLinked) {
    pane.show(index);
    return;
  }
  target.show(index);
  const { position } = target.slices[target.index];
  for (const other of live()) if (other !== target && other.isLinked) other.show(other.nearest(position));
}

function step(pane, by) { go(pane, (pane.isLinked ? targetPane() : pane).index + by); }
function redraw() { for (const pane of live()) pane.draw(); }
function setLevel(gain, shift) {
  Object.assign(level, { gain: clamp(gain, 0.01, 100), shift: clamp(shift, -5, 5) });
  requestAnimationFrame(redraw);
}

function listen(pane) {
  const stage = pane.element.querySelector(".stage");
  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    turned += event.deltaMode ? event.deltaY * WHEEL_STEP : event.deltaY;
    if (Math.abs(turned) < WHEEL_STEP) return;
    step(pane, Math.sign(turned));
    turned = 0;
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
  stage.addEventListener("pointermove", (event) => {
    if (!stage.hasPointerCapture(event.pointerId)) return;
    setLevel(level.gain * Math.exp(event.movementX / 250), level.shift + event.movementY / 400);
  });
  new ResizeObserver(() => pane.draw()).observe(stage);
}

const KEYS = {
  ArrowDown: () => step(targetPane(), 1), ArrowUp: () => step(targetPane(), -1),
  ArrowRight: () => step(targetPane(), 1), ArrowLeft: () => step(targetPane(), -1),
  PageDown: () => step(targetPane(), 10), PageUp: () => step(targetPane(), -10),
  Home: () => go(targetPane(), 0), End: () => go(targetPane(), targetPane().slices.length - 1),
  "+": () => setLevel(level.gain * 1.1, level.shift), "-": () => setLevel(level.gain / 1.1, level.shift),
  "[": () => setLevel(level.gain, level.shift - 0.05), "]": () => setLevel(level.gain, level.shift + 0.05),
  r: () => setLevel(1, 0), R: () => setLevel(1, 0),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input") || !live().length) return;
  const press = KEYS[event.key];
  if (press) {
    event.preventDefault();
    press();
  }
});

async function open() {
  await Promise.all(panes.map((pane) => pane.open().catch((error) => pane.fail(error.message))));
  const target = targetPane();
  if (!target) return;
  const [first] = target.slices;
  const normal = first.isPlaced ? cross(first.along, first.down) : null;
  const byNumber = [...target.slices].sort((a, b) => a.number - b.number);
  const isReversed = Boolean(normal) && dot(byNumber[0].center, normal) > dot(byNumber.at(-1).center, normal);
  for (const pane of live()) pane.arrange(normal, isReversed);
  await Promise.all(live().map((pane) => pane.chooseWindow().catch((error) => pane.fail(error.message))));
  for (const pane of live()) listen(pane);
  for (const pane of live()) if (!pane.isLinked) pane.show(pane.index);
  go(target, target.index);
  await Promise.all(live().map((pane) => pane.prefetch()));
}

document.getElementById("reset")?.addEventListener("click", () => setLevel(1, 0));
open();
