// The alerts of a call, newest first; the same alert is shown anew when it is confirmed, revised, withdrawn or grows.

import { clock, element, renew, say, words } from "./dom.js";
import { marked } from "./transcript.js";

const MAX_ALERTS = 30;

const STATES = {
  early: "Early: the sentence goes on",
  confirmed: "Confirmed",
  revised: "Revised: the sentence says less",
  withdrawn: "Withdrawn: the sentence does not bear it out",
};

export class AlertList {
  constructor() {
    this.items = new Map();
    this.none = element("p", { class: "soft" }, "None.");
    this.list = element("ol", { class: "alerts", reversed: true });
    const live = { "aria-live": "assertive", "aria-relevant": "additions", role: "region", "aria-label": "Alerts", tabindex: "0" };
    this.more = element("p", { class: "soft", hidden: true });
    this.view = element("div", { class: "alerts-box", ...live }, this.none, this.list, this.more);
  }

  /** Of so many in the call, some are too old to be shown, or nobody may see them any more. */
  earlier(all) {
    const count = all - this.items.size;
    this.more.hidden = count <= 0;
    this.none.hidden ||= count > 0;
    say(this.more, `${count} earlier ${count === 1 ? "alert is" : "alerts are"} not shown here.`);
  }

  show(alert) {
    const item = this.items.get(alert.id) ?? element("li", {}, element("p", { class: "what" }), element("p", { class: "quote" }), element("p", { class: "soft" }));
    item.className = alert.state;
    const what = `${alert.categories.map(words).join(", ")}, severity ${alert.severity}/10`;
    const more = alert.grouped ? ` and ${alert.grouped} more` : "";
    const parts = [
      [element("strong", {}, alert.speaker.name || "Somebody"), `: ${what}${more}`],
      marked(alert.segment.text, alert.verdict.spans),
      [`${STATES[alert.state] ?? words(alert.state)} · ${clock(alert.segment.start)} · alert ${alert.reference}`],
    ];
    parts.forEach((part, n) => renew(item.children[n], part));
    this.none.hidden = true;
    if (this.items.has(alert.id)) return;
    this.items.set(alert.id, item);
    this.list.prepend(item);
    if (this.items.size > MAX_ALERTS) {
      const [oldest, gone] = this.items.entries().next().value;
      this.items.delete(oldest);
      gone.remove();
    }
  }
}
