// What was said, line by line, with flagged words marked in place. A bounded number of lines is kept.

import { element, renew } from "./dom.js";

const MAX_LINES = 200;
const FORGOTTEN = 10_000; // ms after which an unfinished line goes whose end never came

/** The parts of a text, flagged words as `mark`. Offsets count code points, as the server's do. */
export function marked(text, spans) {
  const letters = Array.from(text);
  const parts = [];
  let at = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const from = Math.max(start, at);
    if (from >= end) continue;
    parts.push(letters.slice(at, from).join(""), element("mark", {}, letters.slice(from, end).join("")));
    at = end;
  }
  parts.push(letters.slice(at).join(""));
  return parts;
}

export class Transcript {
  /**
   * @param {HTMLElement} log where finished lines go; a live region, so that screen readers read them
   * @param {HTMLElement} unfinished where growing lines stand; none
   */
  constructor(log, unfinished) {
    this.log = log;
    this.unfinished = unfinished;
    this.lines = new Map();
    this.growing = new Map();
  }

  /** A line, or the same line with more known about it. */
  line(id, text, { spans = [], before = [], notes = [] } = {}) {
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const known = this.lines.get(id);
    const line = known ?? element("p", { class: "line" }, ...before, element("span", { class: "said" }), element("span"));
    line.classList.toggle("flagged", spans.length > 0);
    renew(line.querySelector(".said"), marked(text, spans)); // what stays is not spoken again
    renew(line.lastChild, notes);
    if (known) return;
    this.lines.set(id, line);
    this.log.append(line);
    if (this.lines.size > MAX_LINES) {
      const [oldest, gone] = this.lines.entries().next().value;
      this.lines.delete(oldest);
      gone.remove();
    }
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  /** What somebody is saying now; nothing when the text is empty. */
  partial(who, text, before = []) {
    const known = this.growing.get(who);
    clearTimeout(known?.timer);
    if (!text) {
      known?.line.remove();
      this.growing.delete(who);
      return;
    }
    const line = known?.line ?? element("p", { class: "line partial" });
    line.replaceChildren(...before, element("span", { class: "said" }, `${text} …`));
    if (!known) this.unfinished.append(line);
    this.growing.set(who, { line, timer: setTimeout(() => this.partial(who, ""), FORGOTTEN) });
  }

  /** Nobody says anything any more. */
  silence() {
    for (const who of [...this.growing.keys()]) this.partial(who, "");
  }

  clear() {
    this.silence();
    this.lines.clear();
    this.log.replaceChildren();
  }
}

/** What a line is flagged for, as small labels. */
export function labels(found) {
  return found.map((text) => element("span", { class: "label" }, text));
}
