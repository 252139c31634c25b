const BARS = 96;
const GAP = 0.4; // of the width of a bar and its gap
/** What fills no part of a bar, and what fills it, in decibels of the loudest possible sound. */
const FLOOR_DB = -50;
const CEILING_DB = -8;

/** The level of the last seconds, as bars from right to left, in the colour of the canvas's text. */
export class Meter {
  /** @type {number[]} */
  #levels = new Array(BARS).fill(0);
  #canvas;
  #context;
  #pending = false;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  }

  /** @param {number} level root mean square, 0 to 1 */
  add(level) {
    const part = (20 * Math.log10(level) - FLOOR_DB) / (CEILING_DB - FLOOR_DB);
    this.#levels.push(Math.max(0, Math.min(1, part)));
    this.#levels.shift();
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => this.#draw());
  }

  clear() {
    this.#levels.fill(0);
    this.#draw();
  }

  #draw() {
    this.#pending = false;
    const canvas = this.#canvas;
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const height = (canvas.height = canvas.clientHeight * devicePixelRatio);
    const bar = width / BARS;
    this.#context.fillStyle = getComputedStyle(canvas).color;
    this.#context.beginPath();
    for (const [index, level] of this.#levels.entries()) {
      const length = Math.max(bar * (1 - GAP), level * height);
      this.#context.roundRect(index * bar, (height - length) / 2, bar * (1 - GAP), length, bar / 2);
    }
    this.#context.fill();
  }
}
