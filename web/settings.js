const STORAGE = "parley.settings";
const KEY = "parley.key";

/** The graph as one model: the input selects the stages. */
export const MODEL = "parley";
export const RATE_HZ = 24000; // of audio/pcm, both ways

/**
 * @typedef {object} Settings
 * @property {"audio" | "text"} answer how answers are given
 * @property {string} voice empty: the service's default
 * @property {string} instructions empty: the service's default
 * @property {boolean} pushToTalk speech is what is said while the button is held
 * @property {boolean} halfDuplex the microphone is not heard while an answer is played
 * @property {number} threshold of voice activity, 0 to 1
 * @property {number} silenceMs that end a turn
 */

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  answer: "audio",
  voice: "",
  instructions: "",
  pushToTalk: false,
  halfDuplex: false,
  threshold: 0.5,
  silenceMs: 500,
});

/** @returns {Settings} what was saved, as far as it has the types of the defaults */
export function load() {
  /** @type {Record<string, unknown>} */
  let saved = {};
  try {
    saved = JSON.parse(localStorage.getItem(STORAGE) ?? "{}");
  } catch {
    // Not JSON, or a browser that keeps nothing for pages: the defaults.
  }
  const known = Object.entries(DEFAULTS).map(([name, value]) =>
    [name, typeof saved?.[name] === typeof value ? saved[name] : value]);
  return Object.fromEntries(known);
}

/** @param {Settings} settings */
export function save(settings) {
  try {
    localStorage.setItem(STORAGE, JSON.stringify(settings));
  } catch {
    // They hold until the page is closed.
  }
}

/** The API key is kept until the tab is closed, no longer. */
export const key = {
  get value() {
    return sessionStorage.getItem(KEY) ?? "";
  },
  set value(value) {
    sessionStorage.setItem(KEY, value);
  },
};

/** @param {Settings} settings @returns {object} the session of a session.update */
export function sessionOf(settings) {
  const format = { type: "audio/pcm", rate: RATE_HZ };
  return {
    type: "realtime",
    output_modalities: [settings.answer],
    instructions: settings.instructions,
    audio: {
      input: {
        format,
        transcription: { model: MODEL },
        turn_detection: settings.pushToTalk ? null : {
          type: "server_vad",
          threshold: settings.threshold,
          prefix_padding_ms: 300,
          silence_duration_ms: settings.silenceMs,
          create_response: true,
          interrupt_response: true,
        },
      },
      output: { format, voice: settings.voice || null }, // what is left out would stay as it was
    },
  };
}
