"use strict";
// The rule editor without loading the page anew: buttons change the form in place and keep the keyboard where it is,
// and while somebody types the server checks the rule and the problems stand at the fields they belong to.

const SECONDS_BEFORE_CHECK = 0.35;
const SECONDS_BEFORE_SEARCH = 0.15;
const form = document.getElementById("editor");
const status = document.getElementById("check");
const words = document.getElementById("words");
let checking = 0;
let searching = 0;
let asked = 0;
let changed = false;
let last = Promise.resolve();

const controls = () => [...form.elements].filter((one) => one.name && one.name !== "press");
const stateOf = (one) => (one.type === "checkbox" ? one.checked : one.value);
const keyOf = (one) => one.id || `${one.name}=${one.value}`;
const snapshot = () => new Map(controls().map((one) => [keyOf(one), stateOf(one)]));

function body(press) {
  const data = new URLSearchParams(new FormData(form));
  data.set("press", press);
  return data;
}

async function post(path, press) {
  const response = await fetch(path, { method: "POST", body: body(press), signal: AbortSignal.timeout(15000) });
  if (response.status >= 500 || response.redirected) throw new Error(`HTTP ${response.status}`);
  return response;
}

// What was typed while the answer was on its way is put into the new fields.
function carryOver(before, now) {
  for (const one of controls()) {
    const key = keyOf(one);
    if (!now.has(key) || now.get(key) === before.get(key)) continue;
    if (one.type === "checkbox") one.checked = now.get(key);
    else one.value = now.get(key);
  }
}

function goOnAt(id, caret) {
  const place = id && document.getElementById(id);
  if (!place) return false;
  place.focus({ preventScroll: true });
  if (caret && typeof place.setSelectionRange === "function" && place.type === "text") place.setSelectionRange(...caret);
  return true;
}

async function press(button) {
  const before = snapshot();
  form.setAttribute("aria-busy", "true");
  const page = new DOMParser().parseFromString(await (await post(form.action, button)).text(), "text/html");
  const fresh = page.getElementById("fields");
  if (!fresh) throw new Error("no form in the answer");
  const active = document.activeElement;
  const [id, caret] = [active?.id, active?.selectionStart == null ? null : [active.selectionStart, active.selectionEnd]];
  const now = snapshot();
  const opened = [...form.querySelectorAll("details")].map((one) => one.open);
  document.getElementById("fields").replaceWith(document.adoptNode(fresh));
  if (button === "refresh") carryOver(before, now);
  const details = [...form.querySelectorAll("details")];
  if (details.length === opened.length) details.forEach((one, i) => { one.open = opened[i] || one.open; });
  const next = fresh.querySelector("[autofocus]");
  if (button === "refresh") goOnAt(id, caret);
  else if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  else goOnAt(id, caret) || document.getElementById("what").focus();
  await check();
  form.removeAttribute("aria-busy");
}

function inTurn(work) {
  last = last.then(work).catch((error) => {
    form.removeAttribute("aria-busy");
    status.textContent = `The node does not answer (${error.message}). Nothing is lost: try again.`;
    status.dataset.tone = "bad";
  });
  return last;
}

function suggestionButton(fault) {
  const button = document.createElement("button");
  button.className = "small";
  button.name = "press";
  button.value = `use:${fault.suggested_at}:${fault.suggestion}`;
  button.id = `use:${fault.suggested_at}`;
  button.textContent = `Use “${fault.suggestion}”`;
  return button;
}

function show(place, faults) {
  const text = faults.map((fault) => `${fault.text}|${fault.suggestion}`).join("\n");
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.replaceChildren(...faults.map((fault) => {
    const line = document.createElement("p");
    line.append(fault.text);
    if (fault.suggestion) line.append(" ", suggestionButton(fault));
    return line;
  }));
}

async function check() {
  const number = ++asked;
  const found = await (await post(form.dataset.check, "check")).json();
  if (number !== asked) return;
  const wrong = new Set(found.faults.map((fault) => fault.path));
  for (const place of form.querySelectorAll("[data-at]")) {
    show(place, found.faults.filter((fault) => fault.place === place.dataset.at));
  }
  for (const one of controls()) {
    if (wrong.has(one.name)) one.setAttribute("aria-invalid", "true");
    else one.removeAttribute("aria-invalid");
  }
  if (!found.faults.length) document.getElementById("refused")?.remove();
  status.textContent = found.said;
  status.dataset.tone = found.faults.length ? "bad" : "good";
  words.replaceChildren(...new DOMParser().parseFromString(found.words, "text/html").body.childNodes);
}

async function search(field) {
  const asks = new URLSearchParams({ scope: field.dataset.scope, search: field.value });
  const response = await fetch(`/rules/facts?${asks}`, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) return;
  document.getElementById(`facts-${field.dataset.scope}`).replaceChildren(...(await response.json()).map((fact) => {
    const option = document.createElement("option");
    option.value = fact.name;
    option.textContent = fact.description;
    return option;
  }));
}

// A list of values always has an empty field for the next one.
function makeRoom(field) {
  const list = field.closest(".values.list");
  if (!list || !field.value || field !== list.querySelector("input:last-of-type")) return;
  const next = field.cloneNode();
  next.value = "";
  next.id = `${field.name}:${list.querySelectorAll("input").length}`;
  next.placeholder = "one more";
  next.removeAttribute("autofocus");
  list.append(next);
}

form.addEventListener("input", (event) => {
  changed = true;
  makeRoom(event.target);
  clearTimeout(checking);
  checking = setTimeout(() => inTurn(check), SECONDS_BEFORE_CHECK * 1000);
  if (!event.target.dataset.scope) return;
  clearTimeout(searching);
  searching = setTimeout(() => search(event.target).catch(() => {}), SECONDS_BEFORE_SEARCH * 1000);
});
form.addEventListener("change", (event) => {
  if ("refresh" in event.target.dataset) inTurn(() => press("refresh"));
});
form.addEventListener("submit", (event) => {
  const button = event.submitter?.value ?? "refresh";
  if (button.startsWith("save")) {
    changed = false;
    return;
  }
  event.preventDefault();
  changed = true;
  inTurn(() => press(button));
});
addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
inTurn(check);
