/**
 * A spoken answer while it arrives: its text comes a sentence at a time, each with the first audio of the sentence,
 * ahead of what is heard.
 */
export class Answer {
  /** @type {{ text: string, atMs: number }[]} */
  #sentences = [];
  #receivedMs = 0;
  /** The answer was interrupted: whatever else arrives of it is ignored. */
  cut = false;

  /** @param {string} id of its item */
  constructor(id) {
    this.id = id;
  }

  get hasAudio() {
    return this.#receivedMs > 0;
  }

  /** @param {number} durationMs */
  addAudio(durationMs) {
    this.#receivedMs += durationMs;
  }

  /** @param {string} text whose audio begins at the end of what has arrived */
  addText(text) {
    this.#sentences.push({ text, atMs: this.#receivedMs });
  }

  /** @param {number} heardMs @returns {string} the sentences that have begun by then */
  textAt(heardMs) {
    return this.#sentences.filter(({ atMs }) => atMs <= heardMs).map(({ text }) => text).join("");
  }

  /** @returns {string} all that has arrived */
  get text() {
    return this.textAt(Infinity);
  }
}
