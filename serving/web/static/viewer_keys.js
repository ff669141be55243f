// The keys of a viewer. They act only while the viewer has the focus, so that no letter typed
// elsewhere on the page ever moves a picture.
"use strict";

class ViewerKeys {
  constructor(viewer) {
    this.viewer = viewer;
    viewer.root.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { viewer } = this;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=radio]), select, textarea");
    const elsewhere = event.target !== viewer.stage;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (typing || (elsewhere && name.length > 1 && name !== "Escape")) return;
    const step = event.shiftKey ? 10 : 1;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const keys = {
      "+": () => viewer.act("zoom-in"),
      "=": () => viewer.act("zoom-in"),
      "-": () => viewer.act("zoom-out"),
      0: () => viewer.act("fit"),
      1: () => viewer.act("actual"),
      i: () => viewer.act("invert"),
      f: () => viewer.act("full"),
      r: () => viewer.act("reset"),
      p: () => viewer.setTool("pan"),
      w: () => viewer.setTool("window"),
      m: () => this.measure(),
      "[": () => viewer.setOpacity(Math.round(viewer.opacity * 100) - 10),
      "]": () => viewer.setOpacity(Math.round(viewer.opacity * 100) + 10),
      Enter: () => viewer.tool === "ruler" && viewer.ruler.otherEnd(),
      Escape: () => viewer.ruler.clear(),
    };
    if (name in arrows) this.arrow(arrows[name], step);
    else if (name in keys) keys[name]();
    else return;
    event.preventDefault();
    event.stopPropagation();
    viewer.draw();
  }

  arrow([dx, dy], step) {
    const { viewer } = this;
    if (viewer.tool === "window") {
      const { width, level } = viewer.shades;
      viewer.setWindow({ width: width + dx * step, level: level + dy * step });
    } else if (viewer.tool === "ruler") {
      this.measure();
      viewer.ruler.moveBy(dx * step, dy * step);
    } else {
      viewer.move(-dx * MOVE_STEP, -dy * MOVE_STEP);
    }
  }

  // A ruler in the middle, unless there is one.
  measure() {
    const { viewer } = this;
    viewer.setTool("ruler");
    if (viewer.ruler.ends) return;
    const { width, height } = viewer.viewport.stage;
    const middle = viewer.viewport.toPicture({ x: width / 2, y: height / 2 });
    viewer.ruler.place(middle, width / 4 / viewer.viewport.scale);
  }
}
