import { Answer } from "./answer.js";
import { Connection } from "./connection.js";
import { Player } from "./player.js";
import { Problem } from "./problem.js";
import { MODEL, RATE_HZ, sessionOf } from "./settings.js";
import { InputClock, TurnTimes } from "./times.js";

/** @typedef {import("./realtime.js").Event} Event */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {"off" | "connecting" | "ready" | "listening" | "hearing" | "thinking" | "answering"} State */

/**
 * What a session tells the page.
 * @typedef {object} Listener
 * @property {(state: State) => void} onState
 * @property {(id: string, text: string, pictures: string[]) => void} onSaid the page added a message of the person
 * @property {(id: string, text: string, partial: boolean) => void} onHeard words of the person's speech
 * @property {(id: string) => void} onNothingHeard the speech had no words
 * @property {(id: string, text: string, end?: "done" | "interrupted") => void} onAnswer the text so far
 * @property {(id: string, text: string) => void} onUnread a part of the answer that its voice cannot read
 * @property {(id: string, message: string) => void} onFailed an item of either side could not be processed
 * @property {(times: TurnTimes) => void} onTimes of the last turn, whenever one is added
 * @property {(level: number) => void} onLevel of the answer that is played
 * @property {(problem: Problem) => void} onProblem
 * @property {() => void} onReconnected
 * @property {() => string[]} takePictures the pictures that go with the speech that begins now
 */

/** @typedef {{ role: "user" | "assistant", text: string, pictures: string[] }} Item */

/** What is kept of the conversation, for a new connection to be told. */
const REMEMBERED_ITEMS = 20;
const BLOCK_MS = 40; // of silence that the page makes
/** Shorter presses of the button are slips. */
const MIN_PRESS_MS = 200;
/** The event_id of response.create: an error that names it says that no response comes. */
const ASK = "ask";
/** Errors that a person need not know of: the service was faster than the page, or a close follows and is handled. */
const HARMLESS = new Set([
  "response_cancel_not_active", "item_truncate_invalid_item_id", "item_retrieve_invalid_item_id",
  "session_idle", "session_expired", "session_draining",
]);

/** A conversation: what the two sides say, over one connection after another. Knows nothing of the page's elements. */
export class Session {
  #listener;
  #settings;
  #connection;
  #player = new Player(RATE_HZ, (progress) => this.#played(progress));
  #clock = new InputClock();
  /** @type {Map<string, Item>} the end of the conversation, by the ids of its items */
  #items = new Map();
  /** @type {Set<string>} the items whose transcript is to come */
  #untranscribed = new Set();
  /** @type {Map<string, Answer>} by item id, until they are over */
  #answers = new Map();
  /** @type {string | undefined} the response in progress */
  #response;
  /** @type {string | undefined} the response that the page cancelled last */
  #cancelled;
  /** @type {TurnTimes | undefined} */
  #times;
  /** @type {"asked" | "spoken" | undefined} the next response: the page asked for it, or it will answer speech */
  #awaited;
  #unwanted = false; // the awaited response is to be cancelled when it comes
  #again = false; // then another is to be asked for
  #microphone = false;
  /** @type {string | undefined} the item that the person is speaking; not with push to talk */
  #spoken;
  #detection = ""; // of turns, as the service confirmed it last
  /** @type {State} */
  #shown = "off";
  #pressedMs = -1; // audio sent since the button was pressed; -1: it is not

  /** @param {Settings} settings @param {Listener} listener */
  constructor(settings, listener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#connection = new Connection(MODEL, {
      onOpen: () => this.#begin(),
      onEvent: (event) => this.#receive(event),
      onClosed: () => this.#closed(),
      onProblem: listener.onProblem,
      onReconnected: listener.onReconnected,
    });
  }

  /** @param {string} key the API key; empty: none */
  set key(key) {
    this.#connection.key = key;
  }

  /** @param {Settings} settings */
  configure(settings) {
    this.#settings = settings;
    if (!this.#connection.isOpen) return;
    if (settings.answer === "audio") this.#player.start().catch(this.#listener.onProblem);
    this.#connection.send({ type: "session.update", session: sessionOf(settings) });
  }

  /** Connect unless connected. To be called from a gesture. Rejects with a Problem. */
  async connect() {
    const sound = this.#settings.answer === "audio" ? this.#player.start() : undefined;
    const opened = this.#connection.open();
    this.#show();
    await Promise.all([opened, sound]).finally(() => this.#show());
  }

  #begin() {
    this.#clock = new InputClock();
    this.configure(this.#settings);
    for (const item of this.#items.values()) {
      if (!item.text && !item.pictures.length) continue;
      this.#connection.send({ type: "conversation.item.create", item: message(item) });
    }
  }

  /** @param {string} text @param {string[]} pictures data URLs */
  async say(text, pictures) {
    await this.connect();
    await this.interrupt();
    this.#create(text, pictures);
    this.#times = new TurnTimes("typed", performance.now());
    this.#ask();
    this.#show();
  }

  /** Ask for a response, in place of one that is still awaited: the service makes one at a time. */
  #ask() {
    if (this.#awaited) {
      this.#unwanted = this.#again = true;
    } else {
      this.#awaited = "asked";
      this.#connection.send({ type: "response.create", event_id: ASK });
    }
  }

  /** The awaited response has come, or will not. @param {string} [response] */
  #settle(response) {
    const [isUnwanted, isAgain] = [this.#unwanted, this.#again];
    this.#awaited = undefined;
    this.#unwanted = this.#again = false;
    if (response !== undefined) this.#response = response;
    if (response !== undefined && isUnwanted) this.#cancel();
    if (isAgain) this.#ask();
  }

  #cancel() {
    this.#cancelled = this.#response;
    this.#connection.send({ type: "response.cancel" });
  }

  /** @param {string} text @param {string[]} pictures */
  #create(text, pictures) {
    const id = newItemId();
    const item = this.#keep(id, { role: "user", text, pictures });
    // An error names the event that it answers, and so the item.
    this.#connection.send({ type: "conversation.item.create", event_id: id, item: { id, ...message(item) } });
    this.#listener.onSaid(id, text, pictures);
  }

  /** @param {string} id @param {Item} item @returns {Item} */
  #keep(id, item) {
    this.#items.set(id, item);
    const [oldest] = this.#items.keys();
    if (this.#items.size > REMEMBERED_ITEMS) this.#items.delete(oldest);
    return item;
  }

  /** The microphone was opened or closed. @param {boolean} open */
  set microphone(open) {
    if (!open && this.#spoken !== undefined) {
      // Without more audio the service would wait for the end of the turn.
      const blocks = Math.ceil((this.#settings.silenceMs + 500) / BLOCK_MS);
      for (let block = 0; block < blocks; block++) this.#send(new Int16Array((RATE_HZ * BLOCK_MS) / 1000));
    }
    if (!open) this.#pressedMs = -1;
    this.#microphone = open;
    this.#show();
  }

  /** A block of the microphone. @param {Int16Array} pcm */
  hear(pcm) {
    if (!this.#microphone) return; // a block that was on its way when the microphone was closed
    if (this.#settings.pushToTalk) {
      if (this.#pressedMs >= 0 && this.#send(pcm)) this.#pressedMs += (1000 * pcm.length) / RATE_HZ;
      return;
    }
    // Silence instead of nothing: the service's time of the input goes on.
    if (this.#settings.halfDuplex && this.#player.playing) pcm.fill(0);
    this.#send(pcm);
  }

  /** @param {Int16Array} pcm @returns {boolean} */
  #send(pcm) {
    const sent = this.#connection.sendAudio(pcm);
    if (sent) this.#clock.sent((1000 * pcm.length) / RATE_HZ, performance.now());
    return sent;
  }

  /** Push to talk: what the microphone hears from now on is a turn. */
  async press() {
    if (this.#pressedMs >= 0) return;
    this.#connection.send({ type: "input_audio_buffer.clear" });
    this.#pressedMs = 0;
    this.#show();
    await this.interrupt();
    this.#sendPictures();
  }

  /** Push to talk: the turn is over. @returns {boolean} whether it was long enough to be one */
  release() {
    if (this.#pressedMs < 0) return true;
    const enough = this.#pressedMs >= MIN_PRESS_MS;
    this.#pressedMs = -1;
    if (enough) {
      this.#times = new TurnTimes("held", performance.now());
      this.#connection.send({ type: "input_audio_buffer.commit" });
      this.#ask();
    } else {
      this.#connection.send({ type: "input_audio_buffer.clear" });
    }
    this.#show();
    return enough;
  }

  #sendPictures() {
    const pictures = this.#listener.takePictures();
    if (pictures.length) this.#create("", pictures);
  }

  /** Stop the answer, if there is one or one is awaited. */
  async interrupt() {
    if (this.#isAnswering) this.#cancel();
    this.#unwanted = this.#awaited !== undefined;
    this.#again = false;
    await this.#cut();
  }

  /** Stop the sound, and tell the service what was heard. */
  async #cut() {
    const cut = [...this.#answers.values()].filter((answer) => !answer.cut);
    for (const answer of cut) answer.cut = true;
    const heard = await this.#player.flush();
    for (const answer of cut) {
      this.#answers.delete(answer.id);
      const heardMs = heard.get(answer.id);
      if (heardMs !== undefined) {
        this.#connection.send({
          type: "conversation.item.truncate", item_id: answer.id, content_index: 0, audio_end_ms: heardMs,
        });
      }
      this.#tell(answer.id, answer.textAt(heardMs ?? Infinity), "interrupted");
    }
    this.#show();
  }

  /** @param {string} id @param {string} text @param {"done" | "interrupted"} [end] */
  #tell(id, text, end) {
    if (end) this.#keep(id, { role: "assistant", text, pictures: [] });
    this.#listener.onAnswer(id, text, end);
  }

  /** @param {import("./player.js").Progress} progress */
  #played({ id, heardMs, level, finished }) {
    this.#listener.onLevel(level);
    const answer = this.#answers.get(id);
    if (!answer || answer.cut) return;
    this.#mark("sound", performance.now() + this.#player.latencyMs);
    if (finished) this.#answers.delete(id);
    if (finished) this.#tell(id, answer.text, "done");
    else this.#tell(id, answer.textAt(heardMs));
    this.#show();
  }

  /** @param {import("./times.js").Mark} mark @param {number} [now] */
  #mark(mark, now = performance.now()) {
    if (this.#times?.mark(mark, now)) this.#listener.onTimes(this.#times);
  }

  /** @param {Event} event */
  #receive(event) {
    switch (event.type) {
      case "session.updated":
        this.#configured(event.session);
        break;
      case "input_audio_buffer.speech_started":
        // The response to a turn whose words are not known yet will answer this one too.
        if (this.#awaited === "spoken") this.#settle();
        this.#spoken = event.item_id;
        this.#sendPictures();
        this.#listener.onHeard(event.item_id, this.#speech(event).text, true);
        this.#cut();
        break;
      case "input_audio_buffer.speech_stopped": {
        this.#spoken = undefined;
        this.#awaited = "spoken";
        const lastWordMs = event.audio_end_ms - this.#settings.silenceMs; // the event's time includes the silence
        this.#times = new TurnTimes("spoken", this.#clock.at(lastWordMs) ?? performance.now());
        this.#mark("noticed");
        break;
      }
      case "input_audio_buffer.committed":
        this.#listener.onHeard(event.item_id, this.#speech(event).text, true);
        break;
      case "conversation.item.input_audio_transcription.delta": {
        const item = this.#speech(event);
        item.text += event.delta;
        this.#listener.onHeard(event.item_id, item.text, true);
        break;
      }
      case "conversation.item.input_audio_transcription.completed":
        this.#heard(event.item_id, event.transcript.trim());
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#untranscribed.delete(event.item_id);
        this.#items.delete(event.item_id);
        this.#listener.onFailed(event.item_id, event.error.message ?? "This could not be understood.");
        break;
      case "response.created":
        this.#settle(event.response.id);
        break;
      case "response.output_item.added":
        if (event.item.type !== "message" || event.response_id === this.#cancelled) break;
        this.#answers.set(event.item.id, new Answer(event.item.id));
        this.#listener.onAnswer(event.item.id, "");
        break;
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta": {
        const answer = this.#answer(event);
        if (!answer) break;
        this.#mark("word");
        answer.addText(event.delta);
        if (event.type === "response.output_text.delta") this.#listener.onAnswer(answer.id, answer.text);
        break;
      }
      case "response.output_audio.delta": {
        const answer = this.#answer(event);
        if (!answer) break;
        const bytes = Uint8Array.from(atob(event.delta), (char) => char.charCodeAt(0));
        answer.addAudio((1000 * bytes.length) / 2 / RATE_HZ);
        this.#player.append(answer.id, new Int16Array(bytes.buffer));
        break;
      }
      case "response.output_audio.done":
        this.#player.end(event.item_id);
        break;
      case "response.done":
        this.#over(event.response);
        break;
      case "conversation.item.truncated":
        this.#connection.send({ type: "conversation.item.retrieve", item_id: event.item_id });
        break;
      case "conversation.item.retrieved": {
        const text = event.item.content?.[0]?.transcript;
        if (event.item.role === "assistant" && text !== undefined) this.#tell(event.item.id, text ?? "", "interrupted");
        break;
      }
      case "error":
        this.#failed(event.error);
        break;
    }
    this.#show();
  }

  /**
   * With another detection of turns the service forgets, without an event, what is being spoken.
   * @param {any} session of session.updated
   */
  #configured(session) {
    const detection = JSON.stringify(session.audio.input.turn_detection);
    if (detection !== this.#detection && this.#spoken !== undefined) {
      this.#untranscribed.delete(this.#spoken);
      this.#items.delete(this.#spoken);
      this.#listener.onNothingHeard(this.#spoken);
      this.#spoken = undefined;
    }
    this.#detection = detection;
  }

  /** @param {Event} event @returns {Item} the item of the person's speech that it is about */
  #speech({ item_id }) {
    const known = this.#items.get(item_id);
    if (known) return known;
    this.#untranscribed.add(item_id);
    return this.#keep(item_id, { role: "user", text: "", pictures: [] });
  }

  /** @param {Event} event @returns {Answer | undefined} unless it was interrupted */
  #answer({ item_id }) {
    const answer = this.#answers.get(item_id);
    return answer?.cut ? undefined : answer;
  }

  /** @param {string} id @param {string} text */
  #heard(id, text) {
    this.#mark("transcript");
    this.#untranscribed.delete(id);
    if (text) {
      this.#keep(id, { role: "user", text, pictures: [] });
      this.#listener.onHeard(id, text, false);
    } else {
      this.#items.delete(id);
      if (this.#awaited === "spoken") this.#settle();
      this.#listener.onNothingHeard(id);
    }
  }

  /** @param {any} response that is done */
  #over(response) {
    if (response.id === this.#response) this.#response = undefined;
    const { status, status_details: details, output = [] } = response;
    const ids = output.map((/** @type {{ id: string }} */ item) => item.id);
    for (const id of ids) {
      this.#player.end(id);
      const answer = this.#answers.get(id);
      if (!answer || answer.cut || (this.#player.playing && status !== "cancelled")) continue;
      this.#answers.delete(id);
      this.#tell(id, answer.text, status === "cancelled" ? "interrupted" : "done");
    }
    const unread = response.parley?.speech_omitted;
    if (unread && ids.length) this.#listener.onUnread(ids[0], unread);
    if (status === "failed") {
      this.#listener.onFailed(ids[0] ?? response.id, details?.error?.message ?? "There is no answer to this.");
    }
  }

  /** @param {{ code?: string, message: string, event_id?: string }} error */
  #failed({ code = "", message, event_id = "" }) {
    if (event_id === ASK) this.#settle();
    if (HARMLESS.has(code)) return;
    if (this.#items.delete(event_id)) {
      this.#listener.onFailed(event_id, message);
    } else {
      this.#listener.onProblem(new Problem("refused", message));
    }
  }

  /** @returns {boolean} whether the connection was in use */
  #closed() {
    const listens = this.#microphone && !this.#settings.pushToTalk;
    const isUsed = listens || this.#pressedMs >= 0 || this.#isThinking;
    this.#response = this.#cancelled = this.#awaited = this.#spoken = undefined;
    this.#unwanted = this.#again = false;
    for (const answer of this.#answers.values()) {
      if (answer.hasAudio) {
        // It plays on, and the next session is to know it.
        this.#player.end(answer.id);
        this.#keep(answer.id, { role: "assistant", text: answer.text, pictures: [] });
      } else {
        this.#listener.onFailed(answer.id, "The connection was lost before the answer came.");
      }
    }
    for (const id of this.#untranscribed) {
      this.#items.delete(id);
      this.#listener.onFailed(id, "The connection was lost before this was understood.");
    }
    this.#untranscribed.clear();
    this.#show();
    return isUsed;
  }

  /** Whether there is a response in progress that is not cancelled. */
  get #isAnswering() {
    return this.#response !== undefined && this.#response !== this.#cancelled;
  }

  get #isThinking() {
    return this.#isAnswering || this.#again || (this.#awaited !== undefined && !this.#unwanted);
  }

  /** @returns {State} */
  get state() {
    if (this.#connection.isOpening) return "connecting";
    if (this.#spoken !== undefined || this.#pressedMs >= 0) return "hearing";
    if (this.#player.playing) return "answering";
    if (this.#isThinking) return "thinking";
    if (this.#microphone) return "listening";
    return this.#connection.isOpen ? "ready" : "off";
  }

  #show() {
    if (this.state === this.#shown) return;
    this.#shown = this.state;
    this.#listener.onState(this.state);
  }
}

/** @param {Item} item @returns {object} as the protocol has it */
function message({ role, text, pictures }) {
  const images = pictures.map((url) => ({ type: "input_image", image_url: url }));
  const words = text ? [{ type: role === "user" ? "input_text" : "output_text", text }] : [];
  return { type: "message", role, content: [...images, ...words] };
}

/** @returns {string} of at most 32 characters, as the protocol has it */
const newItemId = () => {
  // Not randomUUID, which pages have only in a secure context.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `item_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
};
