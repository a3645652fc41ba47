// Small helpers for building pages: text is always text, never HTML.

/** A new element. Attributes that are null or false are left out, true ones stand without a value. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Write a text only where it differs: screen readers speak what is written anew. */
export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** The same for a place with elements in it. */
export function renew(place, children) {
  const fresh = element("div", {}, ...children);
  if (place.innerHTML !== fresh.innerHTML) place.replaceChildren(...fresh.childNodes);
}

/** "self_harm" as people write it. */
export function words(name) {
  return name.replaceAll("_", " ").replaceAll("-", " ");
}

/** Seconds as minutes and seconds. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
