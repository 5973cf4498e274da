"use strict";
// Keeps the part of a page inside #live current. The node tells by server-sent events that something changed; the page
// is then asked for again, and only what differs is changed, so that opened details, focus and selection stay. While
// the pointer is on a row, no row comes, goes or moves.

const SECONDS_BETWEEN = 3; // where no stream stands
const SECONDS_BETWEEN_AGES = 15; // where one does: only ages grow without it
const SECONDS_TO_GATHER = 0.4;
const SECONDS_AFTER_POINTER = 1.5;
const live = document.getElementById("live");
const stale = document.getElementById("stale");
let pointerMoved = 0;
let lastAnswer = new Date();
let held = null;
let isStreaming = false;
let isAsking = false;
let isAskedAgain = false;

function becomeLike(now, then) {
  if (now.nodeType !== then.nodeType || now.nodeName !== then.nodeName) {
    now.replaceWith(then.cloneNode(true));
    return;
  }
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data !== then.data) now.data = then.data;
    return;
  }
  for (const { name } of [...now.attributes ?? []]) {
    if (name !== "open" && !then.hasAttribute(name)) now.removeAttribute(name);
  }
  for (const { name, value } of then.attributes ?? []) {
    if (name !== "open" && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  if (keysOf(then).length || keysOf(now).length) becomeLikeByKeys(now, then);
  else becomeLikeByPlace(now, then);
}

function becomeLikeByPlace(now, then) {
  const [old, fresh] = [[...now.childNodes], [...then.childNodes]];
  fresh.forEach((child, i) => (old[i] ? becomeLike(old[i], child) : now.append(child.cloneNode(true))));
  old.slice(fresh.length).forEach((child) => child.remove());
}

// What has a name of its own is found again by it, wherever it is now; the others follow each other as they did.
function becomeLikeByKeys(now, then) {
  const known = new Map();
  const nameless = [];
  for (const child of now.children) {
    if (child.dataset.key === undefined) nameless.push(child);
    else known.set(child.dataset.key, child);
  }
  let place = now.firstElementChild;
  for (const child of then.children) {
    const { key } = child.dataset;
    const old = key === undefined ? nameless.shift() : known.get(key);
    known.delete(key);
    if (!old) now.insertBefore(child.cloneNode(true), place);
    else {
      if (old === place) place = place.nextElementSibling;
      else now.insertBefore(old, place);
      becomeLike(old, child);
    }
  }
  for (const gone of [...nameless, ...known.values()]) gone.remove();
}

function keysOf(element) {
  return [...element.children ?? []].map((child) => child.dataset?.key).filter((key) => key !== undefined);
}

function namesOf(root) {
  return [...root.querySelectorAll("[data-key]")].map((row) => row.dataset.key).join("\n");
}

function isBusy() {
  const aiming = performance.now() - pointerMoved < SECONDS_AFTER_POINTER * 1000 && live.matches(":hover");
  const isChoosing = live.querySelector("details.menu[open]") !== null;
  return document.hidden || aiming || isChoosing || !getSelection().isCollapsed;
}

function wouldJump(then) {
  return live.querySelector("[data-key]:hover") !== null && namesOf(live) !== namesOf(then);
}

function show(then) {
  held = wouldJump(then) ? then : null;
  live.classList.toggle("held", held !== null);
  if (!held && !isBusy()) becomeLike(live, then);
}

function say(text) {
  stale.hidden = !text;
  stale.textContent = text;
}

async function refresh() {
  if (isAsking) {
    isAskedAgain = true;
    return;
  }
  isAsking = true;
  const asked = location.href;
  try {
    const response = await fetch(asked, { headers: { "Dicomnode-By-Itself": "1" }, signal: AbortSignal.timeout(10000) });
    // Whoever is logged out has to log in again.
    if (response.status === 401) location.reload();
    const text = await response.text();
    const then = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!response.ok || !then) throw new Error(`HTTP ${response.status}`);
    lastAnswer = new Date();
    say("");
    if (asked === location.href) show(then);
  } catch (error) {
    say(`The node has not answered since ${lastAnswer.toLocaleTimeString()}: what is shown may be out of date.`);
  }
  isAsking = false;
  if (isAskedAgain) {
    isAskedAgain = false;
    soon();
  }
}

let gathering = 0;
function soon() {
  clearTimeout(gathering);
  gathering = setTimeout(() => { if (!document.hidden) refresh(); }, SECONDS_TO_GATHER * 1000);
}

function listen() {
  const study = /^[0-9.]+$/.test(live.dataset.watch ?? "") ? `?study=${live.dataset.watch}` : "";
  const stream = new EventSource(`${document.documentElement.dataset.stream}${study}`);
  stream.addEventListener("changed", soon);
  stream.onopen = () => { isStreaming = true; };
  stream.onerror = () => { isStreaming = false; };
  addEventListener("pagehide", () => stream.close());
}

let beats = 0;
function beat() {
  beats += 1;
  const every = isStreaming ? SECONDS_BETWEEN_AGES / SECONDS_BETWEEN : 1;
  if (!document.hidden && beats % every === 0) refresh();
}

if (live) {
  live.addEventListener("pointermove", () => { pointerMoved = performance.now(); });
  live.addEventListener("pointerleave", () => { if (held) show(held); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setInterval(beat, SECONDS_BETWEEN * 1000);
  if (live.dataset.watch && document.documentElement.dataset.stream) listen();
}
