// The page /: asks the server again and again for the part that changes.

import { say } from "./dom.js";

const EVERY = 5_000;
const now = document.getElementById("now");
const trouble = document.getElementById("trouble");
let asOf = new Date();

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/", { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("now");
    if (answer.status === 401) {
      say(trouble, "You are not signed in any more: open this page again and give the token.");
    } else if (fresh) {
      if (fresh.innerHTML !== now.innerHTML) now.replaceChildren(...fresh.childNodes);
      say(trouble, "");
      asOf = new Date();
    }
  } catch {
    say(trouble, `The server does not answer; this is how it was at ${asOf.toLocaleTimeString()}.`);
  }
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
