import { Problem } from "./problem.js";
import { addWorklet } from "./worklet.js";

/** How long a flush waits for the worklet, which a browser may have stopped. */
const FLUSH_MS = 300;

/**
 * @typedef {object} Progress
 * @property {string} id of the item that is played
 * @property {number} heardMs how much of it has left the loudspeaker
 * @property {number} level root mean square of what was played last
 * @property {boolean} finished it was played to its end
 */

/** Plays answers as they arrive. */
export class Player {
  #rateHz;
  #onProgress;
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {AudioWorkletNode | undefined} */
  #node;
  /** @type {Promise<AudioContext> | undefined} */
  #started;
  /** @type {((heard: Map<string, number>) => void)[]} */
  #flushes = [];
  /** Items that are not played to their end. @type {Set<string>} */
  #pending = new Set();

  /** @param {number} rateHz @param {(progress: Progress) => void} onProgress */
  constructor(rateHz, onProgress) {
    this.#rateHz = rateHz;
    this.#onProgress = onProgress;
  }

  /** To be called from a gesture: browsers start no sound without one. Rejects with a Problem. */
  async start() {
    this.#started ??= this.#open().catch((error) => {
      this.#started = undefined;
      throw error;
    });
    try {
      const context = await this.#started;
      await context.resume();
    } catch (error) {
      if (error instanceof Problem) throw error;
      const { name, message } = /** @type {DOMException} */ (error);
      throw new Problem("sound", `The browser plays no sound: ${message || name}. The settings have answers in text.`);
    }
  }

  /** @returns {Promise<AudioContext>} */
  async #open() {
    this.#context = new AudioContext({ sampleRate: this.#rateHz, latencyHint: "interactive" });
    await addWorklet(this.#context, "player-worklet.js");
    this.#node = new AudioWorkletNode(this.#context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    this.#node.connect(this.#context.destination);
    return this.#context;
  }

  /** Whether something can be heard, or is about to. */
  get playing() {
    return this.#pending.size > 0;
  }

  /** How long a sample takes from the worklet to the loudspeaker. */
  get latencyMs() {
    return 1000 * (this.#context?.outputLatency || this.#context?.baseLatency || 0);
  }

  /** @param {string} id @param {Int16Array} samples */
  append(id, samples) {
    this.#pending.add(id);
    this.#node?.port.postMessage({ type: "append", id, samples }, [samples.buffer]);
  }

  /** Nothing more comes for this item. @param {string} id */
  end(id) {
    this.#node?.port.postMessage({ type: "end", id });
  }

  /**
   * Stop at once and drop what is buffered.
   * @returns {Promise<Map<string, number>>} of each unfinished item the milliseconds that were heard; empty if the
   *   worklet does not answer
   */
  async flush() {
    const node = this.#node;
    if (!node) return new Map();
    this.#pending.clear();
    /** @type {Promise<Map<string, number>>} */
    const heard = new Promise((resolve) => {
      this.#flushes.push(resolve);
      setTimeout(() => resolve(new Map()), FLUSH_MS);
    });
    node.port.postMessage({ type: "flush" });
    return heard;
  }

  /** @param {any} message */
  #receive(message) {
    const heardMs = (/** @type {number} */ frames) =>
      Math.max(0, Math.round((1000 * frames) / this.#rateHz - this.latencyMs));
    if (message.type === "flushed") {
      this.#flushes.shift()?.(new Map(message.items.map((/** @type {any} */ i) => [i.id, heardMs(i.played)])));
      return;
    }
    const { id, played, level, finished } = message;
    if (finished) this.#pending.delete(id);
    this.#onProgress({ id, heardMs: heardMs(played), level, finished });
  }
}
