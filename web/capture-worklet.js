import { Resampler } from "./resampler.js";

/** Collects the microphone's samples into blocks, and posts each as 16-bit PCM of another rate, with its level. */
class CaptureProcessor extends AudioWorkletProcessor {
  #resampler;
  #block;
  #filled = 0;

  /** @param {{ processorOptions: { rateHz: number, blockMs: number } }} options */
  constructor({ processorOptions: { rateHz, blockMs } }) {
    super();
    this.#resampler = new Resampler(sampleRate, rateHz);
    this.#block = new Float32Array(Math.round((sampleRate * blockMs) / 1000));
  }

  /** @param {Float32Array[][]} inputs */
  process([[samples]]) {
    if (!samples) return true; // the source has no track at the moment
    let read = 0;
    while (read < samples.length) {
      const count = Math.min(samples.length - read, this.#block.length - this.#filled);
      this.#block.set(samples.subarray(read, read + count), this.#filled);
      this.#filled += count;
      read += count;
      if (this.#filled === this.#block.length) this.#post();
    }
    return true;
  }

  #post() {
    this.#filled = 0;
    const square = this.#block.reduce((sum, sample) => sum + sample * sample, 0);
    const level = Math.sqrt(square / this.#block.length);
    const pcm = Int16Array.from(this.#resampler.process(this.#block), (sample) =>
      Math.round(Math.max(-1, Math.min(1, sample)) * 32767));
    this.port.postMessage({ pcm, level }, [pcm.buffer]);
  }
}

registerProcessor("capture", CaptureProcessor);
