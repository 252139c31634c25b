/** How many blocks of sent audio are remembered: one minute of 40 ms each. */
const REMEMBERED = 1500;

/** Maps the service's time of the input, in milliseconds since its first sample, to the clock of the page. */
export class InputClock {
  #sentMs = 0;
  /** @type {{ endMs: number, now: number }[]} */
  #blocks = [];

  /** @param {number} durationMs of a block that ends now @param {number} now */
  sent(durationMs, now) {
    this.#sentMs += durationMs;
    this.#blocks.push({ endMs: this.#sentMs, now });
    if (this.#blocks.length > REMEMBERED) this.#blocks.shift();
  }

  /** @param {number} inputMs @returns {number | undefined} when that was captured */
  at(inputMs) {
    const block = this.#blocks.find(({ endMs }) => endMs >= inputMs);
    return block && block.now - (block.endMs - inputMs);
  }
}

/** @typedef {"noticed" | "transcript" | "word" | "sound"} Mark */

/** How a turn was made: its times count from its last word, the release of the button, or its sending. */
/** @typedef {"spoken" | "held" | "typed"} Kind */

/** @type {Record<Kind, Mark[]>} */
const MARKS = {
  spoken: ["noticed", "transcript", "word", "sound"],
  held: ["transcript", "word", "sound"],
  typed: ["word", "sound"],
};

/** When the steps of a turn came. */
export class TurnTimes {
  /** @type {Map<Mark, number>} milliseconds since the start */
  marks = new Map();
  #startedAt;

  /** @param {Kind} kind @param {number} startedAt */
  constructor(kind, startedAt) {
    this.kind = kind;
    this.#startedAt = startedAt;
  }

  /** The steps of such a turn. */
  get expected() {
    return MARKS[this.kind];
  }

  /** @param {Mark} mark @param {number} now @returns {boolean} whether it is new: only the first time counts */
  mark(mark, now) {
    if (this.marks.has(mark)) return false;
    this.marks.set(mark, Math.max(0, now - this.#startedAt));
    return true;
  }
}
