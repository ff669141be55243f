// The console: single-key shortcuts, which can be switched off.
"use strict";

(() => {
  const KEYS = "fenzhen-keys";
  const on = () => localStorage.getItem(KEYS) !== "off";
  const box = document.getElementById("keys-on");
  if (box) {
    box.checked = on();
    box.addEventListener("change", () => localStorage.setItem(KEYS, box.checked ? "on" : "off"));
  }

  let selected = null;
  const rows = () => [...document.querySelectorAll("tr[data-task]")];
  const mark = (scroll) => {
    for (const row of rows()) {
      const here = row.dataset.task === selected;
      row.classList.toggle("selected", here);
      if (here && scroll) {
        row.scrollIntoView({ block: "nearest" });
        row.querySelector("a").focus({ preventScroll: true });
      }
    }
  };
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.dataset.task === selected);
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
    selected = all[Math.max(0, Math.min(all.length - 1, next))].dataset.task;
    mark(true);
  };
  document.addEventListener("htmx:afterSwap", () => mark(false));

  const actions = {
    j: () => move(1),
    k: () => move(-1),
    n: () => document.querySelector("form[data-next-task]")?.requestSubmit(),
    s: () => {
      const form = document.getElementById("sign") || document.getElementById("claim");
      form?.scrollIntoView({ block: "center" });
      (document.getElementById("sign-confirm") || form)?.focus();
    },
    Enter: (event) => {
      const row = rows().find((each) => each.dataset.task === selected);
      if (row && event.target === document.body) row.querySelector("a").click();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (!on() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const action = actions[event.key];
    if (!action) return;
    if (event.key !== "Enter") event.preventDefault();
    action(event);
  });
})();
