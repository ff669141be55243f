// The chat: shows the new answer, keeps what was typed when the server is out of reach, copies
// the list for the doctor, and reads aloud where the browser has a voice of its own (no sound or text leaves the device).
"use strict";

(() => {
  const main = document.querySelector("main.chat");
  const log = document.getElementById("log");
  if (!main || !log) return;

  const latest = () => [...log.querySelectorAll("[data-answer]")].at(-1);
  const show = () => {
    const answer = latest();
    if (!answer) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    answer.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  };

  const complain = () => {
    const composer = document.getElementById("composer");
    composer.querySelector(".notice.bad")?.remove();
    const notice = document.createElement("div");
    notice.className = "notice bad";
    notice.setAttribute("role", "alert");
    notice.textContent = main.dataset.failed;
    composer.prepend(notice);
  };
  document.addEventListener("htmx:sendError", complain);
  document.addEventListener("htmx:timeout", complain);
  document.addEventListener("htmx:afterRequest", (event) => {
    const kind = event.detail.xhr?.getResponseHeader("content-type") || "";
    if (event.detail.xhr?.status && !kind.startsWith("text/html")) complain();
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== log || !event.detail.xhr) return;
    if (event.detail.xhr.status >= 400) return;
    document.querySelector(".welcome")?.remove();
    show();
    speakers(log);
    copiers(log);
    goOn();
  });

  // The composer was replaced: with a keyboard the next answer starts at its first control; a
  // phone's keyboard is not called up unasked.
  const goOn = () => {
    const keyboard = matchMedia("(pointer: fine)").matches;
    const next = document.querySelector("#composer .quick input, #composer .quick-present, #text");
    (keyboard && next ? next : latest())?.focus({ preventScroll: true });
  };

  // Copying works on plain http too, where browsers have no clipboard for scripts.
  const copiers = (scope) => {
    for (const button of scope.querySelectorAll("[data-copy]")) button.hidden = false;
  };
  const copied = async (list) => {
    const words = [...list.children].map((line) => line.innerText).join("\n");
    if (navigator.clipboard) {
      try {
        await navigator.clipboard.writeText(words);
        return true;
      } catch {
        // Refused: the selection below is left for the reader's own copy key.
      }
    }
    getSelection().selectAllChildren(list);
    return document.execCommand("copy");
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const block = button.closest("[data-copy-from]");
    const status = block.querySelector("[data-copied]");
    status.textContent = (await copied(block.querySelector("[data-copy-text]"))) ? status.dataset.copied : "";
  });

  // Enter sends where there is a real keyboard; never while a Chinese word is being composed.
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "text" || event.key !== "Enter") return;
    if (event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (!matchMedia("(pointer: fine)").matches && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    event.target.form.querySelector("button.send").click();
  });

  const voiceFor = (code) =>
    window.speechSynthesis
      ?.getVoices()
      .find((voice) => voice.localService && voice.lang.toLowerCase().startsWith(code));
  const speakers = (scope) => {
    for (const button of scope.querySelectorAll("[data-speak]")) {
      button.hidden = !voiceFor(button.dataset.speak);
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-speak]");
    if (!button) return;
    speechSynthesis.cancel();
    const parts = button.closest("article").querySelectorAll(".urgency, .block:not(.understood) li, .question");
    const words = new SpeechSynthesisUtterance([...parts].map((part) => part.innerText).join("。"));
    words.voice = voiceFor(button.dataset.speak);
    words.lang = words.voice.lang;
    speechSynthesis.speak(words);
  });
  window.speechSynthesis?.addEventListener("voiceschanged", () => speakers(log));
  speakers(log);
  copiers(log);
  if (latest()) latest().scrollIntoView({ block: "start" });
})();
