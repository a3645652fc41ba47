// How loud the microphone is: a meter for the eye, a word for everybody.

import { say } from "./dom.js";

const FLOOR = -60; // dB below full scale that the meter shows as nothing
const SILENT = -58; // dB below full scale: what a muted microphone gives, or none
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Meter {
  /** `bar`: a meter from 0 to 60; `word`: where the word goes. */
  constructor(bar, word) {
    this.bar = bar;
    this.word = word;
    this.shownAt = 0;
  }

  /** Both of 0..1: root mean square and peak of a piece of audio. Gives whether it is silence. */
  show(level, peak) {
    const decibels = Math.max(FLOOR, 20 * Math.log10(level || 1e-9));
    const silent = decibels <= SILENT;
    const now = performance.now();
    if (calm.matches && now - this.shownAt < 1000) return silent;
    this.shownAt = now;
    this.bar.value = decibels - FLOOR;
    say(this.word, peak > 0.98 ? "too loud" : decibels > -45 ? "good" : !silent ? "quiet" : "silent");
    return silent;
  }

  clear() {
    this.bar.value = 0;
    say(this.word, "off");
  }
}
