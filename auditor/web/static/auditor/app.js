// Keyboard, menus and announcements. Every page works without it.
"use strict";
(() => {
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");
  const keys = document.getElementById("keys");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      const search = document.getElementById("search");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "?" && keys) {
      event.preventDefault();
      keys.togglePopover();
    } else if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());
      if (!rows.length) return;
      const at = rows.indexOf(document.activeElement);
      const next = event.key === "j" ? at + 1 : at < 0 ? rows.length - 1 : at - 1;
      rows[Math.min(Math.max(next, 0), rows.length - 1)].focus();
    } else if (event.key === "Escape") {
      closeMenus(null);
    }
  });

  const closeMenus = (except) => document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (menu !== except) menu.open = false;
  });
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));

  // printing shows what is folded away
  const folded = [];
  addEventListener("beforeprint", () => document.querySelectorAll("details.fold:not([open])").forEach((fold) => {
    folded.push(fold);
    fold.open = true;
  }));
  addEventListener("afterprint", () => folded.splice(0).forEach((fold) => { fold.open = false; }));

  // a milestone is announced once, when it changes
  document.addEventListener("htmx:afterSwap", () => {
    const said = document.getElementById("announce");
    const now = document.querySelector("[data-milestone]");
    if (said && now && said.textContent !== now.dataset.milestone) said.textContent = now.dataset.milestone;
  });
  // what the reader had unfolded stays so when the live part is replaced
  const unfolded = new Set();
  document.addEventListener("htmx:beforeSwap", () => {
    unfolded.clear();
    document.querySelectorAll("#live details[id][open]").forEach((fold) => unfolded.add(fold.id));
  });
  document.addEventListener("htmx:afterSettle", () => unfolded.forEach((id) => {
    const fold = document.getElementById(id);
    if (fold) fold.open = true;
  }));
})();
