// The page /voicechat/: the microphone, and the calls that the bot is in.

import { Calls } from "./calls.js";
import { Connection } from "./connection.js";
import { say, words } from "./dom.js";
import { Panel } from "./panel.js";
import { Transcript, labels } from "./transcript.js";

const find = (id) => document.getElementById(id);

function microphone() {
  const transcript = new Transcript(find("log"), find("partial"));
  new Panel(find("microphone"), (message) => {
    if (message.type === "partial") {
      transcript.partial("me", message.text);
    } else if (message.type === "segment") {
      transcript.partial("me", "");
      transcript.line(message.segment_id, message.text);
    } else if (message.type === "score") {
      const found = new Map(message.matches.map((m) => [m.category, m.severity]));
      for (const { category, severity } of message.matches) found.set(category, Math.max(found.get(category), severity));
      const told = [...found].map(([category, severity]) => `${words(category)} ${severity}/10`);
      if (message.flagged && !told.length) told.push("flagged");
      transcript.line(message.segment_id, message.text, {
        spans: message.matches,
        notes: labels([...told, `score ${message.score.toFixed(2)}`]),
      });
    } else if (message.type === "final") {
      transcript.partial("me", "");
    }
  }, () => transcript.clear());
}

function calls() {
  if (!find("sessions")) return; // no bot
  const view = new Calls(find("sessions"), find("nothing"));
  const state = find("feed-state");
  new Connection("/ws/events/?recent=true", (name, sentence) => {
    state.dataset.state = name;
    say(state, name === "open" ? "Connected: shown as it happens." : sentence);
  }, (message) => view.take(message)).open();
  const blur = find("blur");
  blur.addEventListener("change", () => document.body.classList.toggle("blurred", blur.checked));
  document.body.classList.toggle("blurred", blur.checked);
}

microphone();
calls();
