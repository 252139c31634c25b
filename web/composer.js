import { Camera, fromFile, picturesOf } from "./pictures.js";
import { Problem } from "./problem.js";
import { element } from "./view.js";

const MAX_PICTURES = 4;

/** The field for text, and the pictures that wait to be sent: from files, the clipboard, a drop or the camera. */
export class Composer {
  #text = /** @type {HTMLTextAreaElement} */ (element("text"));
  /** @type {string[]} data URLs */
  #pictures = [];
  #view;
  #attempt;

  /**
   * @param {import("./view.js").View} view
   * @param {(act: () => unknown) => Promise<void>} attempt does something, and shows the Problem if there is one
   * @param {() => Promise<void>} send
   */
  constructor(view, attempt, send) {
    this.#view = view;
    this.#attempt = attempt;
    const form = /** @type {HTMLFormElement} */ (element("composer"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#text.value.trim() || this.#pictures.length) attempt(send);
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#acceptFiles();
    this.#acceptCamera();
  }

  /** @returns {string} */
  takeText() {
    const text = this.#text.value.trim();
    this.#text.value = "";
    return text;
  }

  /** @returns {string[]} */
  takePictures() {
    const pictures = this.#pictures;
    this.#show([]);
    return pictures;
  }

  /** @param {string[]} pictures */
  #show(pictures) {
    this.#pictures = pictures;
    this.#view.pictures(pictures, (index) => {
      this.#show(pictures.toSpliced(index, 1));
      this.#text.focus();
    });
  }

  /** @param {string} url */
  #add(url) {
    if (this.#pictures.length === MAX_PICTURES) {
      throw new Problem("picture", `A message has at most ${MAX_PICTURES} pictures.`);
    }
    this.#show([...this.#pictures, url]);
  }

  #acceptFiles() {
    const add = (/** @type {File[]} */ files) => this.#attempt(async () => {
      for (const file of files) this.#add(await fromFile(file));
    });
    const input = /** @type {HTMLInputElement} */ (element("file"));
    element("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", async () => {
      await add([...(input.files ?? [])]);
      input.value = ""; // the same file may be chosen again
    });
    document.addEventListener("paste", (event) => {
      const files = picturesOf(event.clipboardData);
      if (!files.length) return;
      event.preventDefault();
      add(files);
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      add(picturesOf(event.dataTransfer));
    });
  }

  #acceptCamera() {
    const dialog = /** @type {HTMLDialogElement} */ (element("camera"));
    const camera = new Camera(/** @type {HTMLVideoElement} */ (dialog.querySelector("video")));
    element("open-camera").addEventListener("click", () => this.#attempt(async () => {
      await camera.open();
      dialog.returnValue = "";
      dialog.showModal();
    }));
    dialog.addEventListener("close", () => {
      const picture = dialog.returnValue === "take" && camera.take();
      camera.close();
      if (picture) this.#attempt(() => this.#add(picture));
    });
  }
}
