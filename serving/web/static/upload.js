// The upload page: files by drag and drop with small previews, checked before they are sent, a bar
// while they travel, and the server's words for each file. Without scripts the form works as it is.
"use strict";

(() => {
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const list = document.getElementById("chosen");
  const words = form.dataset;
  const template = document.getElementById("chosen-file");
  const problem = document.getElementById("problem");
  const bar = form.querySelector("progress");
  const state = document.getElementById("upload-state");
  const button = form.querySelector("button.primary");
  let chosen = [];

  const size = (bytes) =>
    bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

  const say = (text) => {
    problem.hidden = !text;
    problem.querySelector("p").textContent = text;
    if (text) problem.scrollIntoView({ block: "nearest" });
  };

  // The form sends what the input holds, so the list and the input stay the same.
  const keep = (files) => {
    chosen = files;
    const held = new DataTransfer();
    for (const file of files) held.items.add(file);
    input.files = held.files;
    list.replaceChildren(...files.map(row));
    list.hidden = !files.length;
    say(fault());
  };

  const fault = () => {
    if (chosen.length > Number(words.maxFiles)) return words.tooMany;
    const total = chosen.reduce((sum, file) => sum + file.size, 0);
    return total > Number(words.maxBytes) ? words.tooLarge : "";
  };

  const row = (file, number) => {
    const item = template.content.firstElementChild.cloneNode(true);
    item.querySelector(".file-name").textContent = file.name;
    item.querySelector(".file-size").textContent = size(file.size);
    if (!file.size) tell(item, words.empty);
    preview(file, item.querySelector("canvas"), item.querySelector(".file-kind"));
    const remove = item.querySelector("button");
    remove.setAttribute("aria-label", `${remove.getAttribute("aria-label")} ${file.name}`);
    remove.addEventListener("click", () => {
      keep(chosen.filter((_, each) => each !== number));
      (list.querySelectorAll("button")[Math.max(0, number - 1)] || input).focus();
    });
    return item;
  };

  const tell = (item, text) => {
    item.classList.toggle("wrong", Boolean(text));
    item.querySelector(".file-problem").textContent = text;
  };

  // Pictures that the browser reads are shown small; the rest by the letters of their name's end.
  const preview = async (file, canvas, kind) => {
    try {
      const bitmap = await createImageBitmap(file);
      const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
      const [width, height] = [bitmap.width * scale, bitmap.height * scale];
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
      bitmap.close();
    } catch {
      canvas.hidden = true;
      kind.hidden = false;
      kind.textContent = /\.(\w{1,5})$/.exec(file.name)?.[1].toUpperCase() || "?";
    }
  };

  input.addEventListener("change", () => keep([...input.files]));
  const zone = form.querySelector(".drop");
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    zone.addEventListener(kind, () => zone.classList.remove("over"));
  }
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) keep([...chosen, ...event.dataTransfer.files]);
  });
  // A file that misses the zone must not replace the page.
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => event.preventDefault());
  }

  const busy = (on) => {
    form.classList.toggle("sending", on);
    button.disabled = on;
    bar.hidden = !on;
    bar.value = 0;
    state.textContent = on ? words.sending : "";
  };

  const refused = (page) => {
    const said = page.getElementById("problem")?.textContent.trim();
    say(said || words.failed);
    for (const each of page.querySelectorAll("[data-file-problem]")) {
      const item = list.children[Number(each.dataset.fileProblem)];
      if (item) tell(item, each.querySelector("span").textContent.trim());
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = chosen.length ? fault() : words.noFile;
    say(wrong);
    if (wrong) return;
    for (const item of list.children) tell(item, "");
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("HX-Request", "true");
    request.responseType = "document";
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) bar.value = sent.loaded / sent.total;
    });
    request.upload.addEventListener("load", () => {
      bar.removeAttribute("value");
      state.textContent = words.reading;
    });
    request.addEventListener("load", () => {
      const onward = request.getResponseHeader("HX-Redirect");
      if (onward) {
        location.assign(onward);
        return;
      }
      busy(false);
      if (request.responseXML) refused(request.responseXML);
      else say(request.status === 413 ? words.tooLarge : words.failed);
    });
    request.addEventListener("error", () => {
      busy(false);
      say(words.failed);
    });
    request.send(new FormData(form));
    busy(true);
  });

  // Back from the case: the form is ready again.
  addEventListener("pageshow", () => busy(false));
})();
