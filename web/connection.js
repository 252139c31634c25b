import { Realtime } from "./realtime.js";

/** @typedef {import("./problem.js").Problem} Problem */
/** @typedef {import("./realtime.js").Event} Event */

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** A connection that lasted so long was no failed try: the next loss is retried at once again. */
const LASTING_MS = 30_000;

/**
 * @typedef {object} ConnectionListener
 * @property {() => void} onOpen a session began; what it must know is to be sent now
 * @property {(event: Event) => void} onEvent
 * @property {() => boolean} onClosed the connection ended by itself; returns whether it is to be opened again at once
 * @property {(problem: Problem) => void} onProblem
 * @property {() => void} onReconnected
 */

/** A connection that is opened when it is needed, and again when it was lost while in use. */
export class Connection {
  #listener;
  /** @type {Realtime | undefined} */
  #wire;
  /** @type {Promise<void> | undefined} */
  #opening;
  #retries = 0;
  #openedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;

  /** The API key; empty: none. */
  key = "";

  /** @param {string} model @param {ConnectionListener} listener */
  constructor(model, listener) {
    this.model = model;
    this.#listener = listener;
  }

  get isOpen() {
    return this.#wire?.isOpen ?? false;
  }

  get isOpening() {
    return this.#opening !== undefined;
  }

  /** Rejects with a Problem. @returns {Promise<void>} */
  open() {
    if (this.isOpen) return Promise.resolve();
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #open() {
    clearTimeout(this.#retry);
    const wire = new Realtime((event) => this.#listener.onEvent(event), (problem) => this.#closed(problem));
    await wire.open(this.model, this.key);
    this.#wire = wire;
    this.#openedAt = performance.now();
    this.#listener.onOpen();
  }

  /** Without a connection nothing is sent. @param {Event} event */
  send(event) {
    this.#wire?.send(event);
  }

  /** @param {Int16Array} pcm @returns {boolean} whether it was sent */
  sendAudio(pcm) {
    return this.#wire?.sendAudio(pcm) ?? false;
  }

  /** @param {Problem} problem */
  #closed(problem) {
    const isWanted = this.#listener.onClosed();
    if (performance.now() - this.#openedAt > LASTING_MS) this.#retries = 0;
    if (problem.code !== "lost") {
      this.#listener.onProblem(problem);
    } else if (isWanted) {
      this.#listener.onProblem(problem);
      this.#openAgain();
    } // else the next message opens it
  }

  #openAgain() {
    const waitMs = RETRY_MS[Math.min(this.#retries++, RETRY_MS.length - 1)] * (1 + Math.random() / 4);
    this.#retry = setTimeout(async () => {
      try {
        await this.open();
        this.#listener.onReconnected();
      } catch (error) {
        const problem = /** @type {Problem} */ (error);
        if (problem.code === "unreachable") this.#openAgain();
        else this.#listener.onProblem(problem);
      }
    }, waitMs);
  }
}
