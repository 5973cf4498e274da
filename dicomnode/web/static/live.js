"use strict";
// Keeps the part of a page inside #live current: asks for the page again and changes only what differs, so that
// nothing jumps, and opened details, focus and selection stay.

const SECONDS_BETWEEN = 3;
const SECONDS_AFTER_POINTER = 1.5;
const live = document.getElementById("live");
const stale = document.getElementById("stale");
let pointerMoved = 0;
let lastAnswer = new Date();

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
  const [old, fresh] = [[...now.childNodes], [...then.childNodes]];
  fresh.forEach((child, i) => (old[i] ? becomeLike(old[i], child) : now.append(child.cloneNode(true))));
  old.slice(fresh.length).forEach((child) => child.remove());
}

function isBusy() {
  const aiming = performance.now() - pointerMoved < SECONDS_AFTER_POINTER * 1000 && live.matches(":hover");
  return document.hidden || aiming || !getSelection().isCollapsed;
}

async function refresh() {
  try {
    const response = await fetch(location.href, { signal: AbortSignal.timeout(10000) });
    const text = await response.text();
    const then = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!response.ok || !then) throw new Error(`HTTP ${response.status}`);
    lastAnswer = new Date();
    stale.hidden = true;
    if (!isBusy()) becomeLike(live, then);
  } catch (error) {
    stale.hidden = false;
    stale.textContent = `The node has not answered since ${lastAnswer.toLocaleTimeString()}: what is shown may be out of date.`;
  }
}

live.addEventListener("pointermove", () => { pointerMoved = performance.now(); });
setInterval(() => { if (!document.hidden) refresh(); }, SECONDS_BETWEEN * 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
