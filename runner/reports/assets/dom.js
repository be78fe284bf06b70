// Elements and texts. Whatever stands in a manifest or an answer becomes a text node or an attribute, never markup.
"use strict";
const Mill = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function filled(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(3)) {
      if (child !== null && child !== undefined && child !== false) node.append(child);
    }
    return node;
  }

  Mill.h = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
  Mill.svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

  const WHOLE = new Intl.NumberFormat("en");
  Mill.count = (number) => WHOLE.format(number);
  Mill.counted = (number, one, many) => `${WHOLE.format(number)} ${number === 1 ? one : many || one + "s"}`;
  Mill.money = (usd) => {
    if (usd === null || usd === undefined) return "not known";
    const digits = usd === 0 || usd >= 0.1 ? 2 : 4;
    return "$" + usd.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };
  Mill.duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "not known";
    if (seconds < 9.95) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
    if (seconds < 59.5) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  };
  Mill.time = (ms) => {
    if (ms === null || ms === undefined) return "";
    const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
    return date.toISOString().slice(0, 19).replace("T", " ");
  };
  Mill.bytes = (size) => {
    if (size < 1000) return `${size} B`;
    return size < 1e6 ? `${(size / 1e3).toFixed(0)} kB` : `${(size / 1e6).toFixed(1)} MB`;
  };
  // A word of a POSIX shell that stands for exactly this text.
  Mill.shell = (text) => {
    if (/^[\w@%+=:,./-]+$/.test(text)) return text;
    if (text.includes("'") && !/["$`\\!]/.test(text)) return `"${text}"`;
    return "'" + text.replaceAll("'", "'\"'\"'") + "'";
  };
  Mill.sql = (text) => "'" + text.replaceAll("'", "''") + "'";

  Mill.say = (text) => {
    let place = document.getElementById("said");
    if (place === null) {
      place = Mill.h("div", { id: "said", role: "status", "aria-live": "polite" });
      document.body.append(place);
    }
    place.textContent = text;
    place.classList.add("shown");
    clearTimeout(Mill.say.timer);
    Mill.say.timer = setTimeout(() => place.classList.remove("shown"), 2600);
  };

  Mill.copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = Mill.h("textarea", { "aria-hidden": "true", class: "away" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    Mill.say("Copied");
  };

  Mill.command = (text) =>
    Mill.h("div", { class: "command" }, Mill.h("code", {}, text),
      Mill.h("button", { type: "button", class: "quiet", "aria-label": `Copy: ${text}`, onclick: () => Mill.copy(text) }, "Copy"));

  Mill.save = (name, text, type) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = Mill.h("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
})();
