// A stored picture under window and level: 8 bits per channel through a table of 256 values.
//
// The picture is kept at halved sizes, too, so that what is shown small is neither slow nor
// jagged. Knows nothing of the page around it.
"use strict";

const SMALLEST_SIDE = 256;
const TILE = 64;
const OPAQUE = 0xff000000;

// What each stored value 0..255 is shown as. Width and level are shares of the stored range:
// the VOI LUT function LINEAR_EXACT of DICOM PS3.3 C.11.2.1.3.2.
function windowTable({ width, level, inverted }) {
  const table = new Uint8ClampedArray(256);
  for (let value = 0; value < 256; value += 1) {
    const shown = ((value / 255 - level) / width + 0.5) * 255;
    table[value] = shown;
    if (inverted) table[value] = 255 - table[value];
  }
  return table;
}

class WindowedPicture {
  constructor(image) {
    this.width = image.naturalWidth;
    this.height = image.naturalHeight;
    this.sizes = [];
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    let source = image;
    let [width, height] = [this.width, this.height];
    for (;;) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingQuality = "high";
      context.drawImage(source, 0, 0, width, height);
      const words = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
      if (!this.sizes.length) this.colour = words.some((word) => !isGrey(word));
      this.sizes.push({ width, height, values: this.colour ? words : firstChannel(words) });
      if (Math.max(width, height) <= SMALLEST_SIDE) break;
      source = canvas;
      [width, height] = [Math.max(1, width >> 1), Math.max(1, height >> 1)];
    }
  }

  // The stored value at a pixel: one number, or three for a colour picture.
  valueAt(x, y) {
    const word = this.sizes[0].values[y * this.width + x];
    return this.colour ? [word & 255, (word >> 8) & 255, (word >> 16) & 255] : [word];
  }

  // The window that spreads the middle 98 % of the values over all shades.
  automaticWindow() {
    const { values } = this.sizes.at(-1);
    const channels = this.colour ? [0, 8, 16] : [0];
    const sorted = channels
      .flatMap((shift) => Array.from(values, (word) => (word >> shift) & 255))
      .sort((a, b) => a - b);
    const low = sorted[Math.floor(sorted.length * 0.01)] / 255;
    const high = sorted[Math.floor(sorted.length * 0.99)] / 255;
    return { width: Math.max(0.01, high - low), level: (low + high) / 2 };
  }

  // A canvas with the windowed picture where it is `seen` (left, top, right, bottom, in pixels of
  // the picture) and the rectangle of the picture that it holds. Taken from the smallest kept size
  // that fills `scale` (screen pixels per pixel), and made anew only when something has changed.
  windowed(shades, scale, seen) {
    const wanted = Math.floor(Math.log2(1 / Math.min(1, scale)) + 1e-6);
    const size = this.sizes[Math.min(wanted, this.sizes.length - 1)];
    const [across, down] = [size.width / this.width, size.height / this.height];
    const [left, right] = tiles(seen.left * across, seen.right * across, size.width);
    const [top, bottom] = tiles(seen.top * down, seen.bottom * down, size.height);
    const part = { left, top, width: right - left, height: bottom - top };
    const key = JSON.stringify([size.width, part, shades]);
    if (this.key !== key) {
      this.apply(windowTable(shades), size, part);
      this.key = key;
    }
    return {
      canvas: this.canvas,
      x: left / across,
      y: top / down,
      width: part.width / across,
      height: part.height / down,
    };
  }

  apply(table, size, { left, top, width, height }) {
    if (this.canvas.width !== width || this.canvas.height !== height || !this.data) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.data = this.context.createImageData(width, height);
    }
    const out = new Uint32Array(this.data.data.buffer);
    const shade = this.colour ? shadeColours : shadeGreys;
    for (let row = 0; row < height; row += 1) {
      const from = (top + row) * size.width + left;
      shade(table, size.values.subarray(from, from + width), out, row * width);
    }
    this.context.putImageData(this.data, 0, 0);
  }
}

// The stretch of whole tiles that covers low..high, within 0..end.
function tiles(low, high, end) {
  const first = Math.max(0, Math.floor(low / TILE) * TILE);
  const last = Math.min(end, Math.ceil(high / TILE) * TILE);
  return [Math.min(first, end - 1), Math.max(last, first + 1)];
}

function shadeGreys(table, values, out, at) {
  for (let i = 0; i < values.length; i += 1) out[at + i] = OPAQUE | (table[values[i]] * 0x010101);
}

function shadeColours(table, words, out, at) {
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i];
    const red = table[word & 255];
    const green = table[(word >> 8) & 255];
    const blue = table[(word >> 16) & 255];
    out[at + i] = OPAQUE | (blue << 16) | (green << 8) | red;
  }
}

// Words are as canvases keep them on every machine that browsers run on: blue, green, red from
// the third byte down to the first.
const isGrey = (word) => (word & 255) === ((word >> 8) & 255) && (word & 255) === ((word >> 16) & 255);

const firstChannel = (words) => Uint8Array.from(words, (word) => word & 255);
