import { Capture } from "./capture.js";
import { Composer } from "./composer.js";
import { Meter } from "./meter.js";
import { insecure, Problem } from "./problem.js";
import { models } from "./realtime.js";
import { Session } from "./session.js";
import { key, load, MODEL, RATE_HZ, save } from "./settings.js";
import { SettingsDialog } from "./settings-dialog.js";
import { element, View } from "./view.js";

const view = new View();
const meter = new Meter(element("meter"));
const composer = new Composer(view, attempt, async () => {
  await session.connect(); // what was typed stays until there is somebody to send it to
  await session.say(composer.takeText(), composer.takePictures());
});
let settings = load();
/** @type {Capture | undefined} */
let capture;
let opening = false;
let pressed = false;

const session = new Session(effective(), {
  onState: show,
  onSaid: (id, text, urls) => view.said(id, text, urls),
  onHeard: (id, text, partial) => view.heard(id, text, partial),
  onNothingHeard: (id) => view.remove(id),
  onAnswer: (id, text, end) => {
    view.answered(id, text, end);
    if (end && settings.answer === "text") view.announce(text); // a voice is not to be spoken over
  },
  onUnread: (id, text) => view.unread(id, text),
  onFailed: (id, message) => view.failed(id, message),
  onTimes: (times) => view.times(times),
  onLevel: (level) => meter.add(level),
  onProblem: report,
  onReconnected: () => view.problem(""),
  takePictures: () => composer.takePictures(),
});
session.key = key.value;

/** Without a secure context a page has neither a microphone nor worklets, and so no voice. */
function effective() {
  return isSecureContext ? settings : { ...settings, answer: /** @type {"text"} */ ("text") };
}

function show() {
  view.state(session.state, { microphone: capture !== undefined, pushToTalk: settings.pushToTalk, pressed });
}

/** @param {unknown} error */
function report(error) {
  if (!(error instanceof Problem)) throw error;
  const again = (/** @type {string} */ label, /** @type {() => Promise<unknown>} */ act) => ({
    label,
    act: () => attempt(act),
  });
  switch (error.code) {
    case "key":
      view.problem(error.message, undefined, true);
      element("key").focus();
      break;
    case "full":
      closeMicrophone();
      view.problem(error.message, again("Try again", () => session.connect()));
      break;
    case "lost":
      view.problem(`${error.message} Reconnecting…`, again("Reconnect now", () => session.connect()));
      break;
    case "unreachable":
      closeMicrophone();
      view.problem(error.message, again("Try again", check));
      break;
    case "model":
    case "ended":
      closeMicrophone();
      view.problem(error.message);
      break;
    default:
      view.problem(error.message);
  }
}

/** Do something that may fail with a Problem, and show that. @param {() => unknown} act */
async function attempt(act) {
  try {
    view.problem("");
    await act();
  } catch (error) {
    report(error);
  }
  show();
}

async function check() {
  element("fact-models").textContent = (await models(MODEL, key.value)).join(", ");
}

// Speech

async function openMicrophone() {
  if (capture || opening) return;
  opening = true;
  try {
    const opened = await Capture.open(RATE_HZ, (pcm, level) => {
      if (session.state !== "answering") meter.add(level);
      session.hear(pcm);
    }, () => {
      closeMicrophone();
      report(new Problem("microphone", "The microphone is gone. Connect it and press Talk again."));
    });
    const { label, echoCancellation } = opened.microphone;
    element("fact-microphone").textContent = label || "open";
    element("fact-echo").textContent = echoCancellation === undefined ? "the browser does not say"
      : echoCancellation ? "on" : "off; with loudspeakers, switch on half duplex";
    capture = opened;
    await session.connect();
    if (capture === opened) session.microphone = true; // it was not closed meanwhile
  } catch (error) {
    closeMicrophone();
    throw error;
  } finally {
    opening = false;
  }
}

function closeMicrophone() {
  session.microphone = false;
  capture?.close();
  capture = undefined;
  pressed = false;
  meter.clear();
  show();
}

async function press() {
  if (pressed) return;
  pressed = true;
  await openMicrophone();
  if (pressed) await session.press();
  show();
}

function release() {
  if (!pressed) return;
  pressed = false;
  if (!session.release()) view.announce("Hold the button while you speak");
  show();
}

const talk = element("talk");
talk.addEventListener("pointerdown", (event) => {
  if (!settings.pushToTalk || event.button) return;
  talk.setPointerCapture(event.pointerId);
  attempt(press);
});
for (const type of ["pointerup", "pointercancel"]) talk.addEventListener(type, release);
talk.addEventListener("keydown", (event) => {
  if (!settings.pushToTalk || (event.key !== " " && event.key !== "Enter")) return;
  event.preventDefault(); // no click
  if (!event.repeat) attempt(press);
});
talk.addEventListener("keyup", (event) => {
  if (settings.pushToTalk) event.preventDefault(); // the click of the space bar
  release();
});
talk.addEventListener("blur", release);
talk.addEventListener("contextmenu", (event) => settings.pushToTalk && event.preventDefault()); // a long touch
talk.addEventListener("click", (event) => {
  if (settings.pushToTalk) {
    // A click without a pointer is that of a screen reader, which cannot hold: it presses, then releases.
    if (event.detail === 0) pressed ? release() : attempt(press);
  } else if (capture) closeMicrophone();
  else attempt(openMicrophone);
});
element("microphone-off").addEventListener("click", closeMicrophone);
element("interrupt").addEventListener("click", () => session.interrupt());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) session.interrupt();
});

// The rest of the page

/** @param {import("./settings.js").Settings} changed */
function change(changed) {
  if (changed.pushToTalk !== settings.pushToTalk) closeMicrophone();
  settings = changed;
  save(settings);
  session.configure(effective());
  show();
}

new SettingsDialog(() => settings, change);
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.value = /** @type {HTMLInputElement} */ (element("key")).value.trim();
  session.key = key.value;
  talk.focus();
  attempt(check);
});
element("problem-close").addEventListener("click", () => {
  view.problem("");
  talk.focus();
});

show();
attempt(check).then(() => {
  if (!isSecureContext) report(insecure());
});
