"use strict";
// What every page does: a menu closes again, and a button that was pressed says so at once.

function openMenus() {
  return document.querySelectorAll("details.menu[open]");
}

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  const button = event.submitter;
  if (!button || button.name) return;
  // Not at once: a disabled button would not send the form.
  setTimeout(() => {
    button.disabled = true;
    button.textContent = form.dataset.busy ?? `${button.textContent.trim()}…`;
  });
});

// A page that comes back from the browser's memory has no button that was pressed.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
