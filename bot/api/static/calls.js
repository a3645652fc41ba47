// The calls that the bot is in, from the events of /ws/events/.

import { Call } from "./call.js";

const MAX_ENDED = 3; // ended calls that stay to be read

export class Calls {
  /** `place`: where calls are shown; `nothing`: the sentence for when there is none. */
  constructor(place, nothing) {
    this.place = place;
    this.nothing = nothing;
    this.calls = new Map();
  }

  take(message) {
    if (message.type === "status") this.#status(message.sessions);
    else if (message.type === "recent") this.#call(message.session).recall(message.events);
    else if (message.type === "lost") for (const call of this.calls.values()) call.lost(message.messages);
    else this.#call(message.session).take(message);
    this.nothing.hidden = this.calls.size > 0;
  }

  #status(sessions) {
    const running = new Set(sessions.map((each) => each.session.id));
    for (const each of sessions) this.#call(each.session).status(each);
    for (const [id, call] of this.calls) if (!running.has(id)) call.missing();
    const ended = [...this.calls].filter(([, call]) => call.ended);
    for (const [id, call] of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) {
      call.remove();
      this.calls.delete(id);
    }
  }

  #call(session) {
    if (!this.calls.has(session.id)) this.calls.set(session.id, new Call(this.place, session));
    return this.calls.get(session.id);
  }
}
