/** Frames that are buffered before an answer begins, and again after it ran dry: the jitter that stays inaudible. */
const START_FRAMES = Math.round(0.12 * sampleRate);
/** The end of a cut: a step to zero would click. */
const FADE_FRAMES = 128;
/** Every 8 quanta of 128 frames, 43 ms at 24 kHz. */
const REPORT_QUANTA = 8;

/**
 * @typedef {object} Item one answer in the buffer
 * @property {string} id
 * @property {Int16Array[]} chunks not yet played
 * @property {number} buffered frames in `chunks`
 * @property {number} offset frames of the first chunk that are played
 * @property {number} played frames of the answer that are played
 * @property {boolean} ended nothing more will be appended
 */

/** Plays the items in the order in which they began. Reports what was played. */
class PlayerProcessor extends AudioWorkletProcessor {
  /** @type {Item[]} */
  #items = [];
  #running = false; // the first item has been buffered enough
  #quanta = 0;
  #square = 0;
  #last = 0; // the last sample before a cut
  #fading = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.type === "append") this.#append(data.id, data.samples);
      else if (data.type === "end") this.#end(data.id);
      else this.#flush();
    };
  }

  /** @param {string} id @param {Int16Array} samples */
  #append(id, samples) {
    let item = this.#items.find((known) => known.id === id);
    if (!item) {
      item = { id, chunks: [], buffered: 0, offset: 0, played: 0, ended: false };
      this.#items.push(item);
    }
    item.chunks.push(samples);
    item.buffered += samples.length;
  }

  /** @param {string} id */
  #end(id) {
    const item = this.#items.find((known) => known.id === id);
    if (item) item.ended = true;
  }

  #flush() {
    this.port.postMessage({ type: "flushed", items: this.#items.map(({ id, played }) => ({ id, played })) });
    if (this.#running) this.#fading = FADE_FRAMES;
    this.#items = [];
    this.#running = false;
  }

  /** @param {Float32Array[][]} _ @param {Float32Array[][]} outputs */
  process(_, [[output]]) {
    let written = 0;
    while (this.#fading && written < output.length) output[written++] = (this.#last * --this.#fading) / FADE_FRAMES;
    while (written < output.length && this.#items.length) {
      const [item] = this.#items;
      if (!this.#running) {
        if (item.buffered < START_FRAMES && !item.ended) break;
        this.#running = true;
      }
      written = this.#play(item, output, written);
      if (item.buffered) continue;
      if (item.ended) {
        this.#items.shift();
        this.#report(item, true);
      }
      if (!this.#items.length || !item.ended) this.#running = false;
    }
    for (let i = 0; i < written; i++) this.#square += output[i] * output[i];
    if (++this.#quanta >= REPORT_QUANTA && this.#running) this.#report(this.#items[0], false);
    return true;
  }

  /** @param {Item} item @param {Float32Array} output @param {number} from @returns {number} the end of what it wrote */
  #play(item, output, from) {
    const before = item.played;
    let to = from;
    while (to < output.length && item.buffered) {
      const [chunk] = item.chunks;
      const count = Math.min(output.length - to, chunk.length - item.offset);
      for (let i = 0; i < count; i++) output[to + i] = chunk[item.offset + i] / 32768;
      to += count;
      item.offset += count;
      item.buffered -= count;
      item.played += count;
      if (item.offset === chunk.length) {
        item.chunks.shift();
        item.offset = 0;
      }
    }
    if (to > from) this.#last = output[to - 1];
    if (before === 0 && to > from) this.#report(item, false);
    return to;
  }

  /** @param {Item} item @param {boolean} finished */
  #report({ id, played }, finished) {
    const level = Math.sqrt(this.#square / (128 * Math.max(1, this.#quanta)));
    this.#quanta = 0;
    this.#square = 0;
    this.port.postMessage({ type: "progress", id, played, level, finished });
  }
}

registerProcessor("player", PlayerProcessor);
