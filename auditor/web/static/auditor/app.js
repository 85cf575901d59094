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

  // an attribution: the value of the part under the pointer, or of the one that the arrow keys are at
  document.querySelectorAll("[data-heat]").forEach((text) => {
    const said = document.getElementById(text.dataset.heat);
    const parts = [...text.querySelectorAll("[data-value]")];
    let at = -1;
    const tell = (next) => {
      if (next < 0 || next >= parts.length) return;
      if (at >= 0) parts[at].classList.remove("at");
      at = next;
      parts[at].classList.add("at");
      said.textContent = `${parts[at].textContent.trim()} ${parts[at].dataset.value}`;
    };
    const steps = { ArrowRight: () => at + 1, ArrowLeft: () => Math.max(at - 1, 0), Home: () => 0, End: () => parts.length - 1 };
    text.addEventListener("pointerover", (event) => tell(parts.indexOf(event.target.closest("[data-value]"))));
    text.addEventListener("keydown", (event) => {
      if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      tell(steps[event.key]());
    });
  });
})();
