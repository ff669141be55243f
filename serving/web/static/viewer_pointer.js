// Mouse, pen and fingers on the stage of a viewer: move, window, measure, pinch, wheel.
"use strict";

const WHEEL = 0.0016; // natural logarithm of the zoom per CSS pixel of wheel
const LINE = 16; // CSS pixels per line of wheel
const CLICK = 4; // CSS pixels: less movement than that is a click

class ViewerPointer {
  constructor(viewer) {
    this.viewer = viewer;
    this.down = new Map();
    const { stage } = viewer;
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.lift(event));
    }
    stage.addEventListener("pointerleave", () => viewer.readOut(null));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", (event) => {
      if (!event.target.closest("button") && viewer.tool !== "ruler") viewer.reset();
    });
  }

  at(event) {
    const { left, top } = this.viewer.stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  press(event) {
    if (event.target.closest("button")) return;
    const { viewer } = this;
    viewer.stage.focus({ preventScroll: true });
    viewer.stage.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, this.at(event));
    if (this.down.size > 1) {
      this.doing = "pinch";
      return;
    }
    this.moved = 0;
    if (event.button === 2) this.doing = "window";
    else if (event.button === 1) this.doing = "pan";
    else this.doing = viewer.tool;
    if (this.doing === "ruler") this.startRuler(this.at(event));
    event.preventDefault();
  }

  // A drag draws the ruler; so do two clicks, for those who cannot drag.
  startRuler(point) {
    const { ruler, viewport } = this.viewer;
    const place = viewport.toPicture(point);
    if (this.secondClick && ruler.ends) ruler.moveTo(place);
    else ruler.begin(place);
    this.finishing = this.secondClick;
    this.secondClick = false;
    this.viewer.draw();
  }

  drag(event) {
    const { viewer } = this;
    const now = this.at(event);
    viewer.readOut(now);
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (this.secondClick && viewer.tool === "ruler" && viewer.ruler.ends) {
        viewer.ruler.moveTo(viewer.viewport.toPicture(now));
        viewer.draw();
      }
      return;
    }
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.doing === "pinch") this.pinch(event.pointerId, now);
    else if (this.doing === "pan") viewer.move(dx, dy);
    else if (this.doing === "window") this.shade(dx, dy);
    else if (this.doing === "ruler") {
      viewer.ruler.moveTo(viewer.viewport.toPicture(now));
      viewer.draw();
    }
    this.down.set(event.pointerId, now);
  }

  // Sideways: width. Up and down: level, up is brighter.
  shade(dx, dy) {
    const { viewer } = this;
    const { width, height } = viewer.viewport.stage;
    this.rest ||= { width: 0, level: 0 };
    const wide = (dx / width) * 150 + this.rest.width;
    const high = (dy / height) * 150 + this.rest.level;
    const step = { width: Math.trunc(wide), level: Math.trunc(high) };
    this.rest = { width: wide - step.width, level: high - step.level };
    viewer.setWindow({
      width: viewer.shades.width + step.width,
      level: viewer.shades.level + step.level,
    });
  }

  pinch(id, now) {
    const [otherId] = [...this.down.keys()].filter((each) => each !== id);
    const [before, other] = [this.down.get(id), this.down.get(otherId)];
    const spread = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    const middle = (point) => ({ x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 });
    const [from, to] = [middle(before), middle(now)];
    this.viewer.zoomAt(from, spread(now) / spread(before));
    this.viewer.move(to.x - from.x, to.y - from.y);
  }

  lift(event) {
    if (!this.down.delete(event.pointerId)) return;
    if (this.doing === "ruler" && event.type === "pointerup") {
      this.secondClick = this.moved < CLICK && !this.finishing;
    }
    // A finger that stays behind after a pinch does nothing until it is lifted.
    if (this.down.size < 2) this.doing = null;
    this.rest = null;
  }

  // What cannot zoom any further scrolls the page.
  wheel(event) {
    const { viewer } = this;
    const before = viewer.viewport.zoom;
    const pixels = event.deltaMode === 1 ? event.deltaY * LINE : event.deltaY;
    const speed = event.ctrlKey ? WHEEL * 6 : WHEEL;
    viewer.zoomAt(this.at(event), Math.exp(-pixels * speed));
    if (viewer.viewport.zoom !== before || event.ctrlKey) event.preventDefault();
  }
}
