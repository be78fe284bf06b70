// What a person says of images: rating, tag, note. Kept in this browser for each folder, saved as picks.csv.
"use strict";
(() => {
  const { h } = Mill;
  const FIELDS = ["row_id", "image_index", "sha256", "rating", "tag", "note"];
  const kept = []; // for each folder: Map(row id, image -> pick)
  const listeners = [];
  const picks = { kept: true };
  Mill.picks = picks;

  const place = (folder) => `imagemill picks ${folder.id}`;
  const key = (id, index) => `${id}\u0000${index}`;
  const keyOf = (row) => key(Mill.store.get("row_id", row), Mill.store.get("image_index", row));

  picks.start = () => {
    Mill.store.folders.forEach((folder, number) => {
      kept[number] = new Map();
      try {
        for (const pick of JSON.parse(localStorage.getItem(place(folder)) || "[]")) kept[number].set(key(pick.row_id, pick.image_index), pick);
      } catch { picks.kept = false; }
    });
  };

  picks.heard = (listener) => listeners.push(listener);

  picks.of = (row) => {
    const pick = kept[Mill.store.folderOf[row]].get(keyOf(row));
    if (pick === undefined) return null;
    const digest = Mill.store.get("sha256", row) || "";
    return pick.sha256 && pick.sha256 !== digest ? null : pick; // that was another image
  };

  picks.rating = (row) => { const pick = picks.of(row); return pick === null || pick.rating === "" ? null : pick.rating; };

  picks.set = (row, change) => {
    const number = Mill.store.folderOf[row];
    const before = picks.of(row) || { rating: "", tag: "", note: "" };
    const pick = {
      ...before, ...change, row_id: Mill.store.get("row_id", row), image_index: Mill.store.get("image_index", row),
      sha256: Mill.store.get("sha256", row) || "",
    };
    if (pick.rating === "" && !pick.tag && !pick.note) kept[number].delete(keyOf(row));
    else kept[number].set(keyOf(row), pick);
    keep(number);
    listeners.forEach((listener) => listener(row));
  };

  function keep(number) {
    try {
      localStorage.setItem(place(Mill.store.folders[number]), JSON.stringify([...kept[number].values()]));
    } catch {
      if (picks.kept) Mill.say("This browser keeps no picks for the page: save them before you close it");
      picks.kept = false;
    }
  }

  picks.rate = (row, rating) => {
    const before = picks.rating(row);
    picks.set(row, { rating: before === rating ? "" : rating });
    const now = picks.rating(row);
    Mill.say(now === null ? "No rating" : now === 0 ? "Rejected" : `Rated ${now} of 5`);
  };

  picks.count = () => kept.reduce((sum, each) => sum + each.size, 0);
  picks.tags = () => [...new Set(kept.flatMap((each) => [...each.values()].map((pick) => pick.tag)).filter(Boolean))].sort();

  // A cell that no spreadsheet reads as a formula; `read_picks` takes the apostrophe away.
  function cell(value) {
    let text = String(value);
    if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",;\t\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  picks.csv = (number) => {
    const lines = [...kept[number].values()].map((pick) => FIELDS.map((name) => cell(pick[name])).join(","));
    return [FIELDS.join(","), ...lines].join("\r\n") + "\r\n";
  };

  picks.save = () => {
    const full = kept.map((each, number) => number).filter((number) => kept[number].size);
    if (!full.length) return Mill.say("No picks yet: keys 1 to 5 rate an image, x rejects it");
    for (const number of full) {
      const name = Mill.store.folders.length === 1 ? "picks.csv" : `picks-${Mill.store.folders[number].name.replace(/[^\w.-]+/g, "_")}.csv`;
      Mill.save(name, picks.csv(number), "text/csv");
    }
    return Mill.say(`${Mill.counted(picks.count(), "pick")} saved`);
  };

  function records(text) {
    const found = [];
    let record = [], field = "", quoted = false;
    for (let at = 0; at < text.length; at++) {
      const sign = text[at];
      if (quoted) {
        if (sign !== '"') field += sign;
        else if (text[at + 1] === '"') { field += '"'; at++; }
        else quoted = false;
      } else if (sign === '"') quoted = true;
      else if (sign === ",") { record.push(field); field = ""; }
      else if (sign === "\n") { record.push(field.replace(/\r$/, "")); found.push(record); record = []; field = ""; }
      else field += sign;
    }
    if (field || record.length) found.push([...record, field]);
    return found;
  }

  picks.read = (text) => {
    const [header, ...lines] = records(text.replace(/^\ufeff/, ""));
    const places = FIELDS.map((name) => (header || []).indexOf(name));
    if (places[0] < 0 || places[1] < 0) return Mill.say("That is no picks.csv: it has no columns row_id and image_index");
    const rows = new Map();
    for (let row = 0; row < Mill.store.rows; row++) {
      if (!rows.has(keyOf(row))) rows.set(keyOf(row), []);
      rows.get(keyOf(row)).push(row);
    }
    let met = 0, stale = 0, foreign = 0;
    for (const line of lines.filter((each) => each.some(Boolean))) {
      const [id, index, digest, rating, tag, note] = places.map((at) => (at < 0 ? "" : (line[at] || "").replace(/^'(?=[=+\-@\t\r])/, "")));
      const named = rows.get(key(id, Number(index))) || [];
      const same = named.filter((row) => !digest || digest === (Mill.store.get("sha256", row) || ""));
      if (!named.length) foreign++;
      else if (!same.length) stale++;
      for (const row of same) {
        const number = rating === "" ? "" : /^x$/i.test(rating) ? 0 : Number(rating);
        if (number !== "" && !(Number.isInteger(number) && number >= 0 && number <= 5)) continue;
        picks.set(row, { rating: number, tag, note });
        met++;
      }
    }
    const left = [stale && `${stale} of images that have changed`, foreign && `${foreign} of other rows`].filter(Boolean).join(", ");
    return Mill.say(`${Mill.counted(met, "pick")} loaded${left ? `; left out: ${left}` : ""}`);
  };

  picks.load = () => {
    const input = h("input", { type: "file", accept: ".csv,text/csv", class: "away", "aria-label": "picks.csv" });
    input.addEventListener("change", async () => { if (input.files.length) picks.read(await input.files[0].text()); input.remove(); });
    document.body.append(input);
    input.click();
  };

  picks.badge = (row) => {
    const pick = picks.of(row);
    if (pick === null) return null;
    const shown = pick.rating === 0 ? "✕" : pick.rating === "" ? "" : "★".repeat(pick.rating);
    const label = pick.rating === 0 ? "rejected" : pick.rating === "" ? "tagged" : `rated ${pick.rating}`;
    return h("span", { class: pick.rating === 0 ? "badge out" : "badge", role: "img", "aria-label": label }, [shown, pick.tag].filter(Boolean).join(" ") || "✎");
  };
})();
