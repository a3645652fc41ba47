// "Try your microphone": microphone → WebSocket → what the server says about it. Both pages with a microphone use this.

import { Connection } from "./connection.js";
import { say } from "./dom.js";
import { Meter } from "./meter.js";
import { Microphone, problem } from "./microphone.js";

const PIECE_SECONDS = 0.1;
const LAST_WORDS = 20_000; // ms that the server may take for the end
const NOTHING_HEARD = 8; // seconds of silence after which the person is asked whether the microphone is the right one
const LISTENING = "Listening. Speak!";

export class Panel {
  /**
   * @param {HTMLElement} section as the server wrote it
   * @param {(message: object) => void} onMessage is given what the server says about the audio
   * @param {() => void} onClear
   */
  constructor(section, onMessage, onClear) {
    const find = (name) => section.querySelector(`[data-part=${name}]`);
    this.button = find("talk");
    this.state = find("state");
    this.trouble = find("trouble");
    this.sentPlace = find("sent");
    this.meter = new Meter(find("level"), find("level-word"));
    this.onMessage = onMessage;
    this.connection = new Connection(section.dataset.stream, (state, sentence) => this.#connected(state, sentence), (m) => this.#told(m));
    this.microphone = null;
    this.ready = false;
    this.sent = this.dropped = this.silent = 0;
    this.busy = false;
    this.button.addEventListener("click", () => this.busy || (this.microphone ? this.stop() : this.start()));
    find("clear").addEventListener("click", onClear);
    section.dataset.state = "off";
    this.section = section;
  }

  async start() {
    this.#busy(true);
    clearTimeout(this.waiting);
    this.sent = this.dropped = this.silent = 0;
    say(this.trouble, "");
    this.#show("starting", "Waiting for the microphone …");
    try {
      this.microphone = await Microphone.open((piece) => this.#piece(piece), () => this.stop("The microphone is gone."));
    } catch (error) {
      this.#show("off", "Not listening.");
      say(this.trouble, problem(error));
      this.#busy(false);
      return;
    }
    say(this.button, "Stop");
    this.#busy(false);
    this.connection.open();
  }

  async stop(why = "") {
    const microphone = this.microphone;
    if (!microphone) return;
    this.microphone = null;
    this.#busy(true); // before anything is waited for: a click in between would start while this goes on stopping
    say(this.button, "Start");
    if (why) say(this.trouble, why);
    await microphone.close();
    this.meter.clear();
    this.connection.finish();
    if (this.ready && this.connection.send('{"type":"stop"}')) {
      this.#show("finishing", "Waiting for the last words …");
      this.waiting = setTimeout(() => this.connection.close(), LAST_WORDS);
    } else {
      this.connection.close();
    }
  }

  #piece({ pcm, level, peak }) {
    if (!this.microphone) return;
    this.#listen(this.meter.show(level, peak));
    if (this.ready && this.connection.send(pcm)) this.sent++;
    else this.dropped++;
    const lost = this.dropped ? `, ${(this.dropped * PIECE_SECONDS).toFixed(1)} s left out while the line was not ready` : "";
    say(this.sentPlace, `${(this.sent * PIECE_SECONDS).toFixed(0)} s sent${lost}`);
  }

  /** Nothing but silence for long: muted, or another microphone than the person thinks. */
  #listen(silent) {
    this.silent = silent ? this.silent + 1 : 0;
    if (!this.ready) return;
    const nothing = this.silent * PIECE_SECONDS >= NOTHING_HEARD;
    say(this.state, nothing ? "Listening, but nothing is heard. Is the microphone muted, or is another one chosen in the browser?" : LISTENING);
  }

  #connected(state, sentence) {
    this.ready = false;
    if (state !== "open") this.onMessage({ type: "partial", text: "" }); // a sentence that was begun there does not go on
    if (state === "closed") {
      clearTimeout(this.waiting);
      this.#busy(false);
      if (!this.microphone) this.#show("off", "Not listening.");
    } else if (state === "refused") {
      this.stop(sentence);
    } else {
      this.#show(state === "open" ? "starting" : state, sentence);
    }
  }

  #told(message) {
    if (message.type === "connected") {
      if (this.microphone) this.connection.send(JSON.stringify({ type: "start", sample_rate: this.microphone.sampleRate }));
    } else if (message.type === "started") {
      this.ready = true;
      this.silent = 0;
      say(this.trouble, "");
      this.#show("listening", LISTENING);
    } else if (message.type === "error" || message.type === "score_error") {
      say(this.trouble, message.error);
    } else {
      this.onMessage(message);
    }
  }

  /** A button that is truly disabled would lose the keyboard's focus. */
  #busy(busy) {
    this.busy = busy;
    this.button.setAttribute("aria-disabled", busy);
  }

  #show(state, sentence) {
    this.section.dataset.state = state;
    say(this.state, sentence);
  }
}
