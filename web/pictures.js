import { insecure, Problem } from "./problem.js";

/** Vision models look at pictures of about this size; larger ones only take longer to send. */
const MAX_SIDE = 1024;
const QUALITY = 0.85;

/** @param {Blob} file @returns {Promise<string>} a data URL of it as a JPEG. Rejects with a Problem. */
export async function fromFile(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Problem("picture", "This file is not a picture that the browser can read. JPEG, PNG, WebP and GIF work.");
  }
  const url = toJpeg(picture, picture.width, picture.height);
  picture.close();
  return url;
}

/** @param {DataTransfer | null} transfer of a paste or a drop @returns {File[]} */
export const picturesOf = (transfer) => [...(transfer?.files ?? [])].filter(({ type }) => type.startsWith("image/"));

/** @param {CanvasImageSource} source @param {number} width @param {number} height @returns {string} */
function toJpeg(source, width, height) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "white"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", QUALITY);
}

/** The camera, shown in a video element while it is open. */
export class Camera {
  /** @type {MediaStream | undefined} */
  #stream;
  #video;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** Rejects with a Problem. */
  async open() {
    if (!isSecureContext) throw insecure();
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      const missing = /** @type {DOMException} */ (error).name === "NotFoundError";
      throw new Problem("camera", missing ? "No camera was found." : "The browser did not allow the camera.");
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  /** @returns {string} a data URL of what it shows */
  take() {
    return toJpeg(this.#video, this.#video.videoWidth, this.#video.videoHeight);
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
  }
}
