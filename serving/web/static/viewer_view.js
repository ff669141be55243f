// What part of a picture a stage shows, and how large: geometry alone, in CSS pixels.
//
// `zoom` 1 shows the whole picture; `cx` and `cy` are the place of the picture, in shares of its
// sides, that lies in the middle of the stage. The same view therefore means the same region in
// pictures of any size, which is what links two of them.
"use strict";

const CLOSEST = 32; // CSS pixels per picture pixel

class Viewport {
  constructor() {
    this.stage = { width: 1, height: 1 };
    this.picture = { width: 1, height: 1 };
    Object.assign(this, { zoom: 1, cx: 0.5, cy: 0.5 });
  }

  resize(stage, picture) {
    this.stage = { width: Math.max(1, stage.width), height: Math.max(1, stage.height) };
    this.picture = picture;
  }

  get fit() {
    return Math.min(
      this.stage.width / this.picture.width,
      this.stage.height / this.picture.height,
    );
  }

  get scale() {
    return this.fit * this.zoom;
  }

  get view() {
    return { zoom: this.zoom, cx: this.cx, cy: this.cy };
  }

  // The rectangle of the picture that the stage shows, in pixels of the picture.
  get seen() {
    const from = this.toPicture({ x: 0, y: 0 });
    const to = this.toPicture({ x: this.stage.width, y: this.stage.height });
    return { left: from.x, top: from.y, right: to.x, bottom: to.y };
  }

  // Show a view, kept within what makes sense: the more is seen, the nearer is its middle to the
  // picture's. (Zooming in at a point of the picture never meets this bound.)
  show({ zoom, cx, cy }) {
    const smallest = Math.min(1, 1 / this.fit);
    this.zoom = Math.min(Math.max(zoom, smallest), Math.max(8, CLOSEST / this.fit));
    const reach = Math.max(0, 0.5 * (1 - 1 / this.zoom));
    this.cx = Math.min(Math.max(cx, 0.5 - reach), 0.5 + reach);
    this.cy = Math.min(Math.max(cy, 0.5 - reach), 0.5 + reach);
  }

  // Zoom by a factor; the place of the picture under the stage's point stays under it.
  zoomAt(point, factor) {
    const before = this.toPicture(point);
    const { width, height } = this.picture;
    this.show({ ...this.view, zoom: this.zoom * factor });
    const after = this.toPicture(point);
    this.show({
      zoom: this.zoom,
      cx: this.cx + (before.x - after.x) / width,
      cy: this.cy + (before.y - after.y) / height,
    });
  }

  // Move the picture by CSS pixels.
  move(dx, dy) {
    this.show({
      zoom: this.zoom,
      cx: this.cx - dx / (this.scale * this.picture.width),
      cy: this.cy - dy / (this.scale * this.picture.height),
    });
  }

  toPicture({ x, y }) {
    return {
      x: this.cx * this.picture.width + (x - this.stage.width / 2) / this.scale,
      y: this.cy * this.picture.height + (y - this.stage.height / 2) / this.scale,
    };
  }

  toStage({ x, y }) {
    return {
      x: this.stage.width / 2 + (x - this.cx * this.picture.width) * this.scale,
      y: this.stage.height / 2 + (y - this.cy * this.picture.height) * this.scale,
    };
  }
}
