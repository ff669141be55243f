// The image viewer of a case: binds a picture, what part of it is seen, its window and the layer
// of where the model looked to the controls of the page, to the pointer, to touch and to keys.
//
// Whatever the pointer can do, a labelled control or a key can do, too. Keys act only while the
// viewer has the focus. Without scripts the plain picture stays.
"use strict";

const FULL = { width: 100, level: 50 };
const ZOOM_STEP = 1.25;
const MOVE_STEP = 40; // CSS pixels

class Viewer {
  constructor(root) {
    this.root = root;
    root.viewer = this;
    this.stage = root.querySelector("[data-stage]");
    this.film = root.querySelector("[data-film]");
    this.canvas = root.querySelector("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.viewport = new Viewport();
    this.shades = { ...FULL, inverted: false };
    this.opacity = 0;
    this.onView = () => {};
    this.film.decode().then(
      () => this.start(),
      () => this.fail(),
    );
  }

  part(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  fail() {
    this.part("failed").hidden = false;
  }

  start() {
    this.picture = new WindowedPicture(this.film);
    this.ruler = new Ruler(this.picture);
    this.canvas.hidden = false;
    for (const controls of this.root.querySelectorAll("[data-controls]")) controls.hidden = false;
    for (const button of this.root.querySelectorAll("[data-grey-only]")) {
      button.hidden = this.picture.colour;
    }
    this.bindControls();
    new ViewerPointer(this);
    new ViewerKeys(this);
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.loadHeat();
    this.resize();
    this.root.dataset.ready = "";
  }

  loadHeat() {
    if (!this.root.dataset.heat) return;
    const heat = new Image();
    heat.src = this.root.dataset.heat;
    heat.decode().then(
      () => {
        this.heat = heat;
        this.draw();
        this.root.dataset.heatReady = "";
      },
      () => this.fail(),
    );
  }

  // Controls

  bindControls() {
    for (const button of this.root.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => this.act(button.dataset.act));
    }
    for (const button of this.root.querySelectorAll("[data-preset]")) {
      button.addEventListener("click", () => {
        const { width, level } = button.dataset;
        this.setWindow(width ? { width: Number(width), level: Number(level) } : this.automatic());
      });
    }
    for (const name of ["width", "level"]) {
      for (const input of this.inputs(name)) {
        input.addEventListener("input", () => {
          if (input.checkValidity() && input.value !== "") {
            this.setWindow({ [name]: Number(input.value) }, input);
          }
        });
        input.addEventListener("change", () => this.setWindow({}));
      }
    }
    const opacity = this.part("opacity");
    if (opacity) {
      opacity.addEventListener("input", () => this.setOpacity(Number(opacity.value)));
      this.setOpacity(Number(opacity.value));
    }
    for (const radio of this.root.querySelectorAll("[data-tool]")) {
      radio.addEventListener("change", () => this.setTool(radio.value));
      // The browser may have kept a choice from before a reload.
      if (radio.checked) this.setTool(radio.value);
    }
    this.setWindow({});
  }

  inputs(name) {
    return this.root.querySelectorAll(`[data-window="${name}"]`);
  }

  act(name) {
    const { viewport } = this;
    const middle = { x: viewport.stage.width / 2, y: viewport.stage.height / 2 };
    const actions = {
      "zoom-in": () => this.zoomAt(middle, ZOOM_STEP),
      "zoom-out": () => this.zoomAt(middle, 1 / ZOOM_STEP),
      fit: () => this.show({ zoom: 1, cx: 0.5, cy: 0.5 }),
      // One pixel of the picture on one pixel of the screen.
      actual: () => this.show({ ...viewport.view, zoom: 1 / (viewport.fit * devicePixelRatio) }),
      left: () => this.move(MOVE_STEP, 0),
      right: () => this.move(-MOVE_STEP, 0),
      up: () => this.move(0, MOVE_STEP),
      down: () => this.move(0, -MOVE_STEP),
      invert: () => this.setWindow({ inverted: !this.shades.inverted }),
      full: () => this.fullScreen(),
      reset: () => this.reset(),
    };
    actions[name]();
  }

  reset() {
    this.setWindow({ ...FULL, inverted: false });
    this.ruler.clear();
    this.show({ zoom: 1, cx: 0.5, cy: 0.5 });
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  automatic() {
    const { width, level } = this.picture.automaticWindow();
    return { width: Math.round(width * 100), level: Math.round(level * 100) };
  }

  // Change the window; the control that is being typed into is left as it is.
  setWindow(change, typed) {
    Object.assign(this.shades, change);
    this.shades.width = Math.min(Math.max(Math.round(this.shades.width), 1), 200);
    this.shades.level = Math.min(Math.max(Math.round(this.shades.level), 0), 100);
    for (const name of ["width", "level"]) {
      for (const input of this.inputs(name)) {
        if (input !== typed) input.value = this.shades[name];
      }
    }
    this.root
      .querySelector("[data-act=invert]")
      .setAttribute("aria-pressed", String(this.shades.inverted));
    this.draw();
  }

  setOpacity(percent) {
    const slider = this.part("opacity");
    if (!slider) return;
    slider.value = percent;
    this.opacity = slider.value / 100;
    this.part("opacity-shown").value = `${slider.value} %`;
    this.draw();
  }

  setTool(name) {
    this.tool = name;
    this.root.querySelector(`[data-tool][value="${name}"]`).checked = true;
    this.stage.dataset.doing = name;
    this.touchAction();
    this.draw();
  }

  // View

  show(view) {
    this.viewport.show(view);
    this.viewChanged();
  }

  zoomAt(point, factor) {
    this.viewport.zoomAt(point, factor);
    this.viewChanged();
  }

  move(dx, dy) {
    this.viewport.move(dx, dy);
    this.viewChanged();
  }

  viewChanged() {
    this.touchAction();
    this.draw();
    this.onView(this.viewport.view);
  }

  // A finger moves the page while nothing else is meant.
  touchAction() {
    const free = this.tool === "pan" && this.viewport.zoom <= 1;
    this.stage.style.touchAction = free ? "pan-y" : "none";
    this.part("pad").hidden = this.viewport.zoom <= 1;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.viewport.resize({ width, height }, this.picture);
    this.canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    this.viewport.show(this.viewport.view);
    this.touchAction();
    this.drawNow();
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.asked);
    this.asked = null;
    const { context, viewport, picture, shades } = this;
    const ratio = devicePixelRatio;
    const at = viewport.toStage({ x: 0, y: 0 });
    const box = [at.x, at.y, picture.width * viewport.scale, picture.height * viewport.scale];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, viewport.stage.width, viewport.stage.height);
    // Close up, pixels are shown as they are: smoothing would invent what is between them.
    context.imageSmoothingEnabled = viewport.scale * ratio < 6;
    const share = { width: shades.width / 100, level: shades.level / 100 };
    const part = picture.windowed({ ...shades, ...share }, viewport.scale * ratio, viewport.seen);
    const corner = viewport.toStage(part);
    const [width, height] = [part.width * viewport.scale, part.height * viewport.scale];
    context.drawImage(part.canvas, corner.x, corner.y, width, height);
    if (this.heat && this.opacity > 0) {
      context.imageSmoothingEnabled = true;
      context.globalAlpha = this.opacity;
      context.drawImage(this.heat, ...box);
      context.globalAlpha = 1;
    }
    this.ruler.draw(context, viewport);
    this.part("zoom").textContent = `${Math.round(viewport.scale * ratio * 100)} %`;
    const { length } = this.ruler;
    const measured = length === null ? "" : `${length.toFixed(1)} px`;
    const output = this.part("length");
    if (output.textContent !== measured) output.textContent = measured;
  }

  // The place under the pointer and what is stored there.
  readOut(point) {
    const place = point && this.viewport.toPicture(point);
    const [x, y] = place ? [Math.floor(place.x), Math.floor(place.y)] : [-1, -1];
    const inside = x >= 0 && y >= 0 && x < this.picture.width && y < this.picture.height;
    this.part("place").textContent = inside
      ? `${x}, ${y}: ${this.picture.valueAt(x, y).join(" ")}`
      : "";
  }
}

// Two pictures side by side show the same region while their box is ticked.
function link(comparison) {
  const viewers = [...comparison.querySelectorAll("[data-viewer]")].map((root) => root.viewer);
  const box = comparison.querySelector("[data-linked]");
  const tell = (from) => {
    if (!box.checked) return;
    for (const viewer of viewers) {
      if (viewer === from || !viewer.picture) continue;
      viewer.viewport.show(from.viewport.view);
      viewer.touchAction();
      viewer.draw();
    }
  };
  for (const viewer of viewers) viewer.onView = () => tell(viewer);
  box.addEventListener("change", () => viewers[0].picture && tell(viewers[0]));
}

for (const root of document.querySelectorAll("[data-viewer]")) new Viewer(root);
for (const comparison of document.querySelectorAll("[data-comparison]")) link(comparison);
