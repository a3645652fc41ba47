// One call: who speaks, how much of them is heard, what they said, and the alerts about it.

import { AlertList } from "./alerts.js";
import { clock, element, say, words } from "./dom.js";
import { Speakers } from "./speakers.js";
import { Transcript, labels } from "./transcript.js";

const LEFT_OUT = {
  partials: "Short of CPU: unfinished sentences are left out.",
  silence: "Short of CPU: unfinished sentences and silence are left out.",
  channel: "Short of CPU: a channel is not transcribed at the moment.",
};
const RECALLED = 1_000; // ms after which screen readers speak what is added
const MISSING = 2; // statuses in which a call is not mentioned before it is taken for ended

export class Call {
  constructor(place, session) {
    const title = `call-${session.id}`;
    this.title = element("h3", { id: title });
    this.state = element("p", { class: "soft", role: "status" });
    this.line = element("p", { class: "soft" }); // changes every few seconds: not for screen readers to speak
    this.trouble = element("p", { class: "problem", role: "status" });
    const log = element("div", { class: "log", role: "log", tabindex: "0", "aria-label": "Transcript", "data-empty": "Nothing has been said yet." });
    const partials = element("div", { class: "growing" });
    this.transcript = new Transcript(log, partials);
    this.speakers = new Speakers();
    this.alerts = new AlertList();
    this.article = element("article", { class: "call", "aria-labelledby": title },
      element("header", {}, this.title, this.state, this.line, this.trouble),
      element("div", { class: "columns" },
        element("div", {}, element("h4", {}, "Speakers"), this.speakers.view, element("h4", {}, "Alerts"), this.alerts.view),
        element("div", {}, element("h4", {}, "Transcript"), log, partials)));
    place.prepend(this.article);
    this.session = session;
    this.ended = false;
    this.absent = 0;
    this.dropped = 0;
    this.#name(session);
    say(this.state, "Listening.");
  }

  take(message) {
    this.#name(message.session);
    const act = {
      segment: () => this.#said(message),
      "segment-flagged": () => this.#said(message),
      "alert-raised": () => this.alerts.show(message.alert),
      "alert-revised": () => this.alerts.show(message.alert),
      "speaker-heard": () => this.speakers.heard(message.speaker),
      "session-ended": () => this.#end(`Ended: ${words(message.reason)}.`, message.coverage),
      "session-interrupted": () => say(this.trouble, `The call was lost (${words(message.reason)}); joining again.`),
      "session-abandoned": () => say(this.trouble, `The bot gave up joining again (${words(message.reason)}).`),
      "track-failed": () => say(this.trouble, `${message.speaker.name || "A speaker"} was not heard for a moment (${words(message.code)}).`),
    }[message.type];
    act?.();
  }

  /** What was said before this page was opened. Nothing of it is spoken: it is no news. */
  recall(events) {
    const spoken = (log, alerts) => (this.transcript.log.setAttribute("aria-live", log), this.alerts.view.setAttribute("aria-live", alerts));
    spoken("off", "off");
    for (const event of events) (event.alert ? this.alerts.show(event.alert) : this.#said(event));
    this.alerts.earlier(this.speakers.alerts);
    setTimeout(() => spoken("polite", "assertive"), RECALLED);
  }

  status(status) {
    if (this.ended) return;
    this.absent = 0;
    this.#name(status.session);
    this.speakers.show(status.speakers);
    const since = new Date(status.session.started_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const encrypted = status.dave_epoch === null ? "" : ", end-to-end encrypted";
    say(this.line, `Since ${since}${encrypted}; ${(100 * status.loss).toFixed(1)} % of packets lost.`);
    say(this.trouble, this.#wrong(status));
  }

  /** A status came that does not mention the call. */
  missing() {
    if (!this.ended && ++this.absent >= MISSING) this.#end("Ended.");
  }

  /** The page was too slow for this many messages. */
  lost(messages) {
    this.dropped += messages;
    say(this.trouble, `${this.dropped} messages were left out: this page could not keep up.`);
  }

  remove() {
    this.article.remove();
  }

  #wrong({ connected, listening, deafened, left_out: leftOut, unheard }) {
    const told = [];
    if (deafened) told.push("The bot is server-deafened: nobody is heard.");
    else if (!connected) told.push("Not connected to the call at the moment.");
    else if (!listening) told.push("Not listening yet.");
    if (unheard.length) told.push(`Cannot be heard: ${unheard.map((s) => s.name || "somebody").join(", ")}.`);
    if (LEFT_OUT[leftOut]) told.push(LEFT_OUT[leftOut]);
    if (this.dropped) told.push(`${this.dropped} messages were left out: this page could not keep up.`);
    return told.join(" ");
  }

  #said({ speaker, segment, verdict }) {
    const name = speaker.name || "Somebody";
    const before = [element("span", { class: "time" }, clock(segment.start)), element("span", { class: "who" }, name)];
    if (!segment.final) {
      this.speakers.talks(speaker);
      this.transcript.partial(speaker.id, segment.text, before);
      return;
    }
    this.speakers.silent(speaker);
    this.transcript.partial(speaker.id, "");
    const worst = verdict.severity ? [`${verdict.categories.map(words).join(", ")} ${verdict.severity}/10`] : [];
    this.transcript.line(segment.id, segment.text, { spans: verdict.spans, before, notes: labels(worst) });
  }

  #end(sentence, coverage = null) {
    this.ended = true;
    this.article.classList.add("ended");
    if (coverage) this.speakers.show(coverage);
    this.speakers.allSilent();
    this.transcript.silence();
    say(this.state, sentence);
    say(this.line, "");
    say(this.trouble, "");
  }

  #name(session) {
    say(this.title, session.channel_name || `Channel ${session.channel_id}`);
  }
}
