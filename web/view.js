/** @typedef {import("./session.js").State} State */
/** @typedef {import("./times.js").TurnTimes} TurnTimes */
/** @typedef {import("./times.js").Mark} Mark */

/** How far from its end the conversation may be and still follow what is added, in pixels. */
const NEAR_END = 80;

/** @type {Record<State, string>} */
const STATES = {
  off: "",
  connecting: "Connecting",
  ready: "",
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking",
  answering: "Answering",
};

/** @type {Record<import("./times.js").Kind, string>} */
const SINCE = {
  spoken: "Last turn, from the end of your last word",
  held: "Last turn, from the release of the button",
  typed: "Last turn, from the sending of your message",
};

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export const element = (id) => /** @type {T} */ (document.getElementById(id));

/**
 * @param {string} tag @param {Record<string, string>} [properties] @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** The page's elements: the only module that changes them, apart from the dialogs. */
export class View {
  #scroller = element("scroller");
  #conversation = element("conversation");
  /** @type {Map<string, HTMLElement>} the entries of the conversation, by item id */
  #entries = new Map();

  constructor() {
    // The end of the conversation stays in sight, unless the person has scrolled away from it.
    let following = true;
    this.#scroller.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
      following = scrollHeight - scrollTop - clientHeight < NEAR_END;
    });
    const observer = new ResizeObserver(() => {
      if (following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    });
    observer.observe(this.#scroller);
    observer.observe(this.#conversation);
  }

  /** A message of the person. @param {string} id @param {string} text @param {string[]} pictures */
  said(id, text, pictures) {
    const entry = this.#entry(id, "you", "You");
    const images = pictures.map((src) => make("img", { src, alt: "Your picture" }));
    entry.querySelector("p")?.replaceWith(...images, make("p", { textContent: text }));
  }

  /** Speech of the person. @param {string} id @param {string} text @param {boolean} partial */
  heard(id, text, partial) {
    const entry = this.#entry(id, "you", "You");
    entry.classList.toggle("partial", partial);
    this.#text(entry, text);
    if (!partial) this.announce(`You said: ${text}`);
  }

  /** @param {string} id @param {string} text @param {"done" | "interrupted"} [end] undefined: more is to come */
  answered(id, text, end) {
    const entry = this.#entry(id, "parley", "Parley");
    entry.classList.toggle("waiting", !text && !end);
    this.#text(entry, text);
    if (end === "interrupted") this.#note(entry, "Interrupted");
  }

  /** @param {string} id @param {string} text */
  unread(id, text) {
    this.#note(this.#entry(id, "parley", "Parley"), `Not read aloud: ${text}`);
  }

  /** @param {string} id @param {string} message */
  failed(id, message) {
    const entry = this.#entry(id, "parley", "Parley");
    entry.classList.remove("waiting", "partial");
    entry.classList.add("failed");
    this.#note(entry, message);
    this.announce(message);
  }

  /** @param {string} id */
  remove(id) {
    this.#entries.get(id)?.remove();
    this.#entries.delete(id);
  }

  /** @param {string} id @param {"you" | "parley"} side @param {string} name @returns {HTMLElement} */
  #entry(id, side, name) {
    let entry = this.#entries.get(id);
    if (!entry) {
      entry = make("li", { className: side }, make("span", { className: "who hidden", textContent: `${name}: ` }), make("p"));
      this.#entries.set(id, entry);
      this.#conversation.append(entry);
      element("welcome").hidden = true;
    }
    return entry;
  }

  /** Only what is new is added, so that it can fade in and a selection of older text lasts.
   * @param {HTMLElement} entry @param {string} text */
  #text(entry, text) {
    const line = /** @type {HTMLElement} */ (entry.querySelector("p"));
    const shown = line.textContent ?? "";
    if (text === shown) return;
    if (text.startsWith(shown)) line.append(make("span", { textContent: text.slice(shown.length) }));
    else line.textContent = text;
  }

  /** @param {HTMLElement} entry @param {string} text */
  #note(entry, text) {
    entry.querySelector(".note")?.remove();
    entry.append(make("small", { className: "note", textContent: text }));
  }

  /** @param {State} state @param {{ microphone: boolean, pushToTalk: boolean, pressed: boolean }} talk */
  state(state, { microphone, pushToTalk, pressed }) {
    document.body.dataset.state = state;
    const text = state === "listening" && pushToTalk ? "Hold the button while you speak" : STATES[state];
    // A live region of its own: states must not replace the words that are still to be read out.
    if (element("state").textContent !== text) element("state").textContent = text;
    const button = element("talk");
    button.classList.toggle("on", pushToTalk ? pressed : microphone);
    element("talk-text").textContent = pushToTalk ? "Hold to talk" : microphone ? "Stop listening" : "Talk";
    const answering = state === "answering" || state === "thinking";
    const interrupt = element("interrupt");
    if (!answering && document.activeElement === interrupt) button.focus();
    interrupt.hidden = !answering;
    element("microphone-off").hidden = !(pushToTalk && microphone);
  }

  /** Tell a screen reader words; the states have their own region. @param {string} text */
  announce(text) {
    element("announcer").textContent = text;
  }

  /** @param {TurnTimes} times */
  times({ kind, marks, expected }) {
    for (const cell of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#times dl [data-mark]"))) {
      const mark = /** @type {Mark} */ (cell.dataset.mark);
      const ms = marks.get(mark);
      cell.hidden = !expected.includes(mark);
      /** @type {HTMLElement} */ (cell.querySelector("dd")).textContent = ms === undefined ? "–" : seconds(ms);
    }
    let before = 0;
    const parts = [...marks].sort(([, a], [, b]) => a - b).map(([mark, ms]) => {
      const part = make("i");
      part.dataset.mark = mark;
      part.style.setProperty("--part", String(ms - before));
      before = ms;
      return part;
    });
    element("times-line").replaceChildren(...parts);
    element("times-since").textContent = SINCE[kind];
    element("times").hidden = false;
  }

  /**
   * @param {string} text empty: there is none
   * @param {{ label: string, act: () => void } | undefined} [action]
   * @param {boolean} [wantsKey]
   */
  problem(text, action, wantsKey = false) {
    element("problem").hidden = !text;
    element("problem-text").textContent = text;
    element("key-form").hidden = !wantsKey;
    element("problem-close").hidden = wantsKey;
    const button = element("problem-action");
    button.hidden = !action;
    button.textContent = action?.label ?? "";
    button.onclick = action?.act ?? null;
  }

  /** The pictures that wait to be sent. @param {string[]} urls @param {(index: number) => void} remove */
  pictures(urls, remove) {
    element("pictures").replaceChildren(...urls.map((src, index) => {
      const button = make("button", { type: "button", ariaLabel: `Remove picture ${index + 1}`, textContent: "×" });
      button.onclick = () => remove(index);
      return make("li", {}, make("img", { src, alt: `Picture ${index + 1}` }), button);
    }));
  }
}

/** @param {number} ms @returns {string} */
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
