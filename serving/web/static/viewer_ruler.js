// A ruler between two places of a picture, in pixels of the picture: no millimetres, because
// nobody recorded how far apart the pixels are.
"use strict";

class Ruler {
  constructor(picture) {
    this.picture = picture;
    this.ends = null;
    this.moving = 1;
  }

  // Without a pointer: a level ruler around a place, to be moved by keys.
  place({ x, y }, length) {
    const half = length / 2;
    this.ends = [this.inside({ x: x - half, y }), this.inside({ x: x + half, y })];
    this.moving = 1;
  }

  begin(point) {
    this.ends = [this.inside(point), this.inside(point)];
    this.moving = 1;
  }

  moveTo(point) {
    if (!this.ends) return;
    this.ends[this.moving] = this.inside(point);
  }

  moveBy(dx, dy) {
    const { x, y } = this.ends[this.moving];
    this.moveTo({ x: x + dx, y: y + dy });
  }

  otherEnd() {
    this.moving = 1 - this.moving;
  }

  clear() {
    this.ends = null;
  }

  get length() {
    if (!this.ends) return null;
    const [a, b] = this.ends;
    return Math.hypot(b.x - a.x, b.y - a.y);
  }

  inside({ x, y }) {
    return {
      x: Math.min(Math.max(x, 0), this.picture.width),
      y: Math.min(Math.max(y, 0), this.picture.height),
    };
  }

  draw(context, viewport) {
    if (!this.ends) return;
    const [a, b] = this.ends.map((end) => viewport.toStage(end));
    for (const [style, width] of [["#000", 4], ["#ffe14d", 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      context.stroke();
      for (const [index, end] of [a, b].entries()) {
        context.beginPath();
        context.arc(end.x, end.y, index === this.moving ? 7 : 4, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    const words = `${this.length.toFixed(1)} px`;
    context.font = "600 14px system-ui, sans-serif";
    const box = context.measureText(words).width + 12;
    const { width, height } = viewport.stage;
    const x = Math.min(Math.max((a.x + b.x) / 2 + 10, 4), Math.max(4, width - box - 4));
    const y = Math.min(Math.max((a.y + b.y) / 2 + 10, 4), Math.max(4, height - 28));
    context.fillStyle = "rgb(0 0 0 / 80%)";
    context.fillRect(x, y, box, 24);
    context.fillStyle = "#ffe14d";
    context.fillText(words, x + 6, y + 17);
  }
}
