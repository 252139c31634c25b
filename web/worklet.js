import { unreachable } from "./problem.js";

/**
 * Load a module into the thread of a context's audio. Rejects with a Problem.
 * @param {AudioContext} context @param {string} name of a file of this folder
 */
export async function addWorklet(context, name) {
  try {
    await context.audioWorklet.addModule(new URL(name, import.meta.url));
  } catch {
    throw unreachable();
  }
}
