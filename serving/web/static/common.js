// Small conveniences of every page. Everything works without them.
"use strict";

(() => {
  const root = document.documentElement;

  // Times are sent in UTC and shown in the reader's zone.
  const localise = (scope) => {
    const format = new Intl.DateTimeFormat(root.lang, { dateStyle: "medium", timeStyle: "short" });
    for (const time of scope.querySelectorAll("time[data-local]")) {
      time.title = time.textContent;
      time.textContent = format.format(new Date(time.dateTime));
      time.removeAttribute("data-local");
    }
  };

  // The type size changes in place, so that nothing typed is lost.
  const toggle = document.getElementById("type-toggle");
  toggle?.addEventListener("click", (event) => {
    event.preventDefault();
    const large = root.classList.toggle("large");
    document.cookie = `fenzhen_type=${large ? "large" : "normal"};path=/;max-age=31536000;samesite=strict`;
    const words = large ? toggle.dataset.normal : toggle.dataset.large;
    toggle.querySelector(".visually-hidden").textContent = ` ${words}`;
  });

  // A menu closes with Escape and with a click elsewhere.
  const close = (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (event.type === "keydown" ? event.key === "Escape" : !menu.contains(event.target)) {
        menu.open = false;
      }
    }
  };
  document.addEventListener("click", close);
  document.addEventListener("keydown", close);

  // What is not HTML (a proxy's answer, a refusal as JSON) is never put into the page.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const kind = event.detail.xhr.getResponseHeader("content-type") || "";
    if (!kind.startsWith("text/html")) event.detail.shouldSwap = false;
  });

  document.addEventListener("htmx:load", (event) => localise(event.detail.elt));
  localise(document);
})();
