// The console: single-key shortcuts (can be switched off), the heatmap's opacity, the size of
// an upload checked before it is sent.
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

  for (const viewer of document.querySelectorAll("[data-viewer]")) {
    const slider = viewer.querySelector("[data-opacity]");
    const heat = viewer.querySelector(".heat");
    if (!slider || !heat) continue;
    const apply = () => {
      heat.style.opacity = String(slider.value / 100);
      viewer.querySelector("output").textContent = `${slider.value} %`;
    };
    slider.addEventListener("input", apply);
    apply();
  }

  const upload = document.querySelector("form[data-upload]");
  upload?.addEventListener("submit", (event) => {
    const files = [...upload.querySelector("input[type=file]").files];
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (size > Number(upload.dataset.maxBytes)) {
      event.preventDefault();
      const problem = document.getElementById("problem");
      problem.hidden = false;
      problem.querySelector("p").textContent = upload.dataset.tooLarge;
      return;
    }
    upload.classList.add("htmx-request");
    upload.querySelector("button").disabled = true;
  });
})();
