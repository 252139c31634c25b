/**
 * What keeps the page from working, in words for the person in front of it.
 * @typedef {"insecure" | "microphone" | "sound" | "camera" | "picture" | "key" | "full" | "model" | "unreachable"
 *   | "lost" | "ended" | "refused"} Code
 */
export class Problem extends Error {
  /** @param {Code} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const unreachable = () => new Problem("unreachable", "The service cannot be reached.");

export const insecure = () =>
  new Problem("insecure", "This page was not opened over https or on localhost, so the browser gives it no microphone, " +
    "no camera and no voice. You can type; answers are text.");
