import { insecure, Problem } from "./problem.js";
import { addWorklet } from "./worklet.js";

const BLOCK_MS = 40;

/**
 * @typedef {object} Microphone what the browser says about the microphone in use
 * @property {string} label
 * @property {boolean | undefined} echoCancellation undefined: the browser does not say
 * @property {boolean | undefined} noiseSuppression
 * @property {boolean | undefined} autoGainControl
 */

/** The open microphone. */
export class Capture {
  /**
   * Ask for the microphone. Rejects with a Problem that says what is missing.
   * @param {number} rateHz of the blocks
   * @param {(pcm: Int16Array, level: number) => void} onBlock gets 40 ms of samples, and their root mean square
   * @param {() => void} onEnded the microphone was unplugged, or its permission withdrawn
   */
  static async open(rateHz, onBlock, onEnded) {
    if (!isSecureContext) throw insecure();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Problem("microphone", explain(/** @type {DOMException} */ (error)));
    }
    /** @type {AudioContext | undefined} */
    let context;
    try {
      context = new AudioContext({ latencyHint: "interactive" });
      await addWorklet(context, "capture-worklet.js");
      const node = new AudioWorkletNode(context, "capture", {
        numberOfOutputs: 0,
        channelCount: 1,
        channelCountMode: "explicit",
        processorOptions: { rateHz, blockMs: BLOCK_MS },
      });
      node.port.onmessage = ({ data }) => onBlock(data.pcm, data.level);
      context.createMediaStreamSource(stream).connect(node);
      await context.resume();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context?.close();
      throw error instanceof Problem ? error : new Problem("microphone", explain(/** @type {DOMException} */ (error)));
    }
    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", onEnded);
    return new Capture(context, track);
  }

  #context;
  #track;

  /** @param {AudioContext} context @param {MediaStreamTrack} track */
  constructor(context, track) {
    this.#context = context;
    this.#track = track;
  }

  /** @returns {Microphone} */
  get microphone() {
    const { echoCancellation, noiseSuppression, autoGainControl } = this.#track.getSettings();
    return { label: this.#track.label, echoCancellation: truth(echoCancellation), noiseSuppression, autoGainControl };
  }

  async close() {
    this.#track.stop();
    await this.#context.close();
  }
}

/** New browsers name the kind of echo cancellation. @param {boolean | string | undefined} value */
const truth = (value) => (value === undefined ? undefined : Boolean(value));

/** @param {DOMException} error @returns {string} */
function explain({ name, message }) {
  switch (name) {
    case "NotAllowedError":
      return "The browser did not allow the microphone. Allow it in the site settings beside the address, or type.";
    case "NotFoundError":
      return "No microphone was found. Connect one and press Talk again, or type.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close that program and press Talk again.";
    default:
      return `The microphone could not be opened: ${message || name}.`;
  }
}
