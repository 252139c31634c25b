import { Problem, unreachable } from "./problem.js";

/** Audio that waits for a stalled network, in bytes of messages; more is dropped. */
const MAX_WAITING_BYTES = 256 * 1024;

/** Close codes of RFC 6455 and of IANA's registry. */
const CLOSE = { normal: 1000, policyViolation: 1008, tryAgainLater: 1013 };

/**
 * An event of the Realtime protocol.
 * @typedef {{ type: string, [field: string]: any }} Event
 */

/** One connection to /v1/realtime. */
export class Realtime {
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {Event | undefined} why the service refused the session */
  #error;
  #onEvent;
  #onClose;

  /**
   * @param {(event: Event) => void} onEvent gets every event after session.created
   * @param {(problem: Problem) => void} onClose the open connection ended
   */
  constructor(onEvent, onClose) {
    this.#onEvent = onEvent;
    this.#onClose = onClose;
  }

  /**
   * Resolves when the service has accepted the session. Rejects with a Problem.
   * @param {string} model @param {string} key empty: none
   * @returns {Promise<void>}
   */
  async open(model, key) {
    const url = new URL(`v1/realtime?model=${encodeURIComponent(model)}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    // A page cannot set headers of a WebSocket; OpenAI's browser clients send the key as a subprotocol.
    const socket = new WebSocket(url, ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
    this.#socket = socket;
    const closed = await new Promise((resolve) => {
      socket.onclose = resolve;
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created") resolve(undefined);
        if (event.type === "error") this.#error = event;
      };
    });
    if (closed) throw await this.#refusal(closed, model, key);
    socket.onclose = (event) => this.#onClose(this.#ending(event));
    socket.onmessage = ({ data }) => this.#onEvent(JSON.parse(data));
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param {Event} event */
  send(event) {
    if (this.isOpen) this.#socket?.send(JSON.stringify(event));
  }

  /** @param {Int16Array} pcm @returns {boolean} whether it was sent */
  sendAudio(pcm) {
    if (!this.#socket || !this.isOpen || this.#socket.bufferedAmount > MAX_WAITING_BYTES) return false;
    const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    this.send({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...bytes)) });
    return true;
  }

  /** End the connection without a word to onClose. */
  close() {
    if (this.#socket) this.#socket.onclose = null;
    this.#socket?.close(CLOSE.normal);
  }

  /** Why no session began. A browser hides the status of a refused upgrade, so ask once more by HTTP.
   * @param {CloseEvent} closed @param {string} model @param {string} key @returns {Promise<Problem>} */
  async #refusal(closed, model, key) {
    if (closed.code === CLOSE.tryAgainLater) return full();
    const { code, message } = this.#error?.error ?? {};
    if (message) return new Problem(code === "model_not_found" ? "model" : "refused", message);
    if (closed.code === CLOSE.policyViolation) return keyWanted(key);
    try {
      await models(model, key);
    } catch (problem) {
      return /** @type {Problem} */ (problem);
    }
    return new Problem("unreachable", "The service did not accept the connection.");
  }

  /** @param {CloseEvent} closed @returns {Problem} */
  #ending({ code, reason }) {
    if (code === CLOSE.tryAgainLater) return full();
    if (code === CLOSE.normal || code === CLOSE.policyViolation) {
      return new Problem("ended", `The service ended the session${reason ? `: ${reason}` : "."}`);
    }
    return new Problem("lost", "The connection to the service was lost.");
  }
}

/**
 * The names of the served models. Rejects with a Problem.
 * @param {string} model that must be one of them @param {string} key empty: none
 * @returns {Promise<string[]>}
 */
export async function models(model, key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : undefined;
  let response;
  try {
    response = await fetch(new URL("v1/models", document.baseURI), { headers });
  } catch {
    throw unreachable();
  }
  if (response.status === 401) throw keyWanted(key);
  if (response.status === 429) throw full();
  if (!response.ok) {
    throw new Problem("unreachable", `The service is not ready (status ${response.status}). It may still be starting.`);
  }
  const names = (await response.json()).data.map((/** @type {{ id: string }} */ entry) => entry.id);
  if (!names.includes(model)) throw new Problem("model", `The service has no model "${model}".`);
  return names;
}

const full = () => new Problem("full", "The service is full at the moment. Try again in a minute.");

/** @param {string} key */
const keyWanted = (key) =>
  new Problem("key", key ? "The service does not know this key." : "The service wants an API key.");
