// The page /demo/live-audio: the running score of what is said, against the threshold.

import { say } from "./dom.js";
import { Panel } from "./panel.js";
import { Transcript } from "./transcript.js";

const find = (id) => document.getElementById(id);
const transcript = new Transcript(find("log"), find("partial"));
const bar = find("score");

function score({ score: value, threshold, flagged, final }) {
  bar.low = bar.high = Math.max(0, threshold - 0.0001); // what reaches the threshold is over it
  bar.value = value;
  find("threshold").hidden = false;
  find("threshold").style.left = `${100 * threshold}%`;
  find("verdict").dataset.flagged = flagged;
  const side = flagged ? "flagged" : "not flagged";
  say(find("crossed"), final ? `The final score is ${value.toFixed(2)}: ${side}.` : flagged ? "Over the threshold." : "");
  say(find("verdict"), `${value.toFixed(2)}, ${side} (threshold ${threshold.toFixed(2)})${final ? ", final" : ""}`);
}

new Panel(find("microphone"), (message) => {
  if (message.type === "partial") {
    transcript.partial("me", message.text);
  } else if (message.type === "segment") {
    transcript.partial("me", "");
    transcript.line(message.segment_id, message.text);
  } else if (message.type === "score") {
    score(message);
  }
}, () => {
  transcript.clear();
  bar.value = 0;
  find("verdict").dataset.flagged = false;
  say(find("verdict"), "no score yet");
  say(find("crossed"), "");
});
