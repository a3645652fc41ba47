// The speakers of a call: who is talking now, and how much of each is heard.

import { element, say } from "./dom.js";

const MAX_SPEAKERS = 100; // rows; who was first goes first
const QUIET_AFTER = 2_500; // ms without an unfinished sentence after which somebody is no longer talking

const COLUMNS = ["Speaker", "Now", "Heard", "Spoken", "Flags", "Alerts"];
const CLASSES = [null, null, "number", "number spare", "number spare", "number"]; // spare: left out on narrow screens

export class Speakers {
  constructor() {
    this.rows = new Map();
    this.body = element("tbody");
    this.none = element("p", { class: "soft" }, "Nobody has spoken yet.");
    const heads = COLUMNS.map((text, n) => element("th", { scope: "col", class: CLASSES[n] }, text));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.body);
    this.table = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Speakers", hidden: true }, table);
    this.view = element("div", {}, this.none, this.table);
  }

  heard(speaker) {
    this.#row(speaker);
  }

  talks(speaker) {
    const row = this.#row(speaker);
    clearTimeout(row.timer);
    row.timer = setTimeout(() => this.silent(speaker), QUIET_AFTER);
    this.#now(row, true);
  }

  silent(speaker) {
    const row = this.#row(speaker);
    clearTimeout(row.timer);
    this.#now(row, false);
  }

  allSilent() {
    for (const row of this.rows.values()) {
      clearTimeout(row.timer);
      this.#now(row, false);
    }
  }

  /** Coverage as the server tells it. */
  show(speakers) {
    for (const each of speakers) {
      const { cells } = this.#row(each.speaker);
      say(cells[2], each.spoken_seconds ? `${Math.round(100 * each.coverage)} %` : "–");
      say(cells[3], `${each.spoken_seconds.toFixed(1)} s`);
      say(cells[4], String(each.flags));
      say(cells[5], String(each.alerts));
      cells[2].classList.toggle("bad", each.spoken_seconds > 1 && each.coverage < 0.9);
    }
  }

  /** Alerts of all of them. */
  get alerts() {
    return [...this.rows.values()].reduce((sum, row) => sum + Number(row.cells[5].textContent), 0);
  }

  #now(row, talking) {
    row.line.classList.toggle("talking", talking);
    say(row.cells[1], talking ? "talking" : "silent");
  }

  #row(speaker) {
    if (!this.rows.has(speaker.id)) {
      const cells = COLUMNS.map((_, n) => element(n ? "td" : "th", { scope: n ? null : "row", class: CLASSES[n] }, n > 1 ? "0" : ""));
      const row = { cells, line: element("tr", {}, ...cells), timer: 0 };
      say(cells[1], "silent");
      this.rows.set(speaker.id, row);
      if (this.rows.size > MAX_SPEAKERS) {
        const [oldest, gone] = this.rows.entries().next().value;
        this.rows.delete(oldest);
        clearTimeout(gone.timer);
        gone.line.remove();
      }
      this.body.append(row.line);
      this.none.hidden = true;
      this.table.hidden = false;
    }
    const row = this.rows.get(speaker.id);
    if (speaker.name || !row.cells[0].textContent) say(row.cells[0], speaker.name || "Somebody");
    return row;
  }
}
