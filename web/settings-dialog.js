import { DEFAULTS } from "./settings.js";
import { element } from "./view.js";

/** @typedef {import("./settings.js").Settings} Settings */

/** The dialog of the settings: every change applies at once. */
export class SettingsDialog {
  #dialog = /** @type {HTMLDialogElement} */ (element("settings"));
  #form = /** @type {HTMLFormElement} */ (this.#dialog.querySelector("form"));

  /** @param {() => Settings} current @param {(changed: Settings) => void} onChange */
  constructor(current, onChange) {
    element("open-settings").addEventListener("click", () => {
      this.#fill(current());
      this.#dialog.showModal();
    });
    this.#form.addEventListener("input", () => this.#label());
    this.#form.addEventListener("change", () => onChange(this.#read()));
    element("reset").addEventListener("click", () => {
      onChange({ ...DEFAULTS });
      this.#fill(DEFAULTS);
    });
  }

  /** @param {string} name @returns {HTMLInputElement} */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  /** @param {Settings} settings */
  #fill(settings) {
    for (const [name, value] of Object.entries(settings)) {
      if (typeof value === "boolean") this.#field(name).checked = value;
      else this.#field(name).value = String(value);
    }
    this.#label();
  }

  #label() {
    const output = (/** @type {string} */ name) => /** @type {Element} */ (this.#field(name).nextElementSibling);
    output("threshold").textContent = Number(this.#field("threshold").value).toFixed(2);
    output("silenceMs").textContent = `${(Number(this.#field("silenceMs").value) / 1000).toFixed(1)} s`;
  }

  /** @returns {Settings} */
  #read() {
    return {
      answer: this.#field("answer").value === "text" ? "text" : "audio",
      voice: this.#field("voice").value.trim(),
      instructions: this.#field("instructions").value.trim(),
      pushToTalk: this.#field("pushToTalk").checked,
      halfDuplex: this.#field("halfDuplex").checked,
      threshold: Number(this.#field("threshold").value),
      silenceMs: Number(this.#field("silenceMs").value),
    };
  }
}
