/** Zero crossings of the sinc on each side: the length of the filter. */
const CROSSINGS = 16;
/** The pass band, as a part of the lower Nyquist frequency; the rest is the transition. */
const PASS = 0.92;

/** @param {number} a @param {number} b @returns {number} */
const divisor = (a, b) => (b ? divisor(b, a % b) : a);

/** Converts the sample rate of mono audio, block by block, with a polyphase filter (a sinc in a Blackman window). */
export class Resampler {
  /** @type {Float32Array[]} the filter of each phase */
  #filters;
  /** @type {Float32Array} input that later output needs */
  #kept;
  #up;
  #down;
  #phase = 0;

  /** @param {number} fromHz @param {number} toHz both whole numbers */
  constructor(fromHz, toHz) {
    const common = divisor(fromHz, toHz);
    this.#up = toHz / common;
    this.#down = fromHz / common;
    const cutoff = PASS * Math.min(1, toHz / fromHz);
    const half = Math.ceil(CROSSINGS / cutoff);
    this.#filters = Array.from({ length: this.#up }, (_, phase) => filter(phase / this.#up, half, cutoff));
    this.#kept = new Float32Array(half - 1);
  }

  /** @param {Float32Array} block @returns {Float32Array} what can be computed by now */
  process(block) {
    const input = new Float32Array(this.#kept.length + block.length);
    input.set(this.#kept);
    input.set(block, this.#kept.length);
    const taps = this.#filters[0].length;
    const output = new Float32Array(Math.ceil((Math.max(0, input.length - taps + 1) * this.#up) / this.#down) + 1);
    let count = 0;
    let start = 0;
    while (start + taps <= input.length) {
      const weights = this.#filters[this.#phase];
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += weights[tap] * input[start + tap];
      output[count++] = sum;
      this.#phase += this.#down;
      start += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    this.#kept = input.slice(start);
    return output.subarray(0, count);
  }
}

/**
 * @param {number} offset the place of the output between two samples of the input, 0 to 1
 * @param {number} half taps on each side
 * @param {number} cutoff as a part of the input's Nyquist frequency
 * @returns {Float32Array} weights that add up to 1
 */
function filter(offset, half, cutoff) {
  const weights = Float32Array.from({ length: 2 * half }, (_, tap) => {
    const x = tap - (half - 1) - offset;
    const angle = Math.PI * cutoff * x;
    const turn = (Math.PI * x) / half;
    return (angle ? Math.sin(angle) / angle : 1) * (0.42 + 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn));
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
