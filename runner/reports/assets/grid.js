// The contact sheet. Only the lines in sight are elements; the others are height.
"use strict";
(() => {
  const { h, store } = Mill;
  const HEAD = 46, SPARE = 2;
  const SIDES = { s: 110, m: 168, l: 240 };
  const grid = { rows: new Uint32Array(0), at: 0, size: "m" };
  Mill.grid = grid;
  let frame, inner, lines = [], offsets = [0], across = 1, tall = 0, drawn = new Map(), asked = false;

  grid.node = () => {
    inner = h("div", { class: "sheet", role: "list", "aria-label": "Images" });
    frame = h("div", { class: "frame", tabindex: "-1" }, inner);
    frame.addEventListener("scroll", () => soon(), { passive: true });
    new ResizeObserver(() => grid.layout()).observe(frame);
    return frame;
  };

  function soon() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  grid.show = (rows, groupBy) => {
    const kept = grid.rows[grid.at];
    grid.rows = rows;
    grid.groupBy = groupBy;
    const again = rows.indexOf(kept);
    grid.at = again < 0 ? 0 : again;
    grid.layout();
  };

  function groups() {
    if (!grid.groupBy) return [{ title: null, rows: grid.rows }];
    const name = grid.groupBy.replace(/^=/, "");
    const found = new Map();
    for (const row of grid.rows) {
      const value = store.get(name, row);
      if (!found.has(value)) found.set(value, []);
      found.get(value).push(row);
    }
    const all = [...found].map(([title, rows]) => ({ title: title === null ? "none" : String(title), rows }));
    grid.rows = Uint32Array.from(all.flatMap((group) => group.rows));
    return all;
  }

  grid.layout = () => {
    if (!frame || frame.clientWidth === 0) return;
    const narrow = frame.clientWidth < 560;
    const wanted = narrow ? { s: 88, m: 140, l: 260 }[grid.size] : SIDES[grid.size];
    const gap = narrow ? 8 : 14;
    const width = frame.clientWidth - (narrow ? 20 : 40);
    across = Math.max(1, Math.floor((width + gap) / (wanted + gap)));
    const side = Math.floor((width - gap * (across - 1)) / across);
    tall = side + (grid.size === "s" ? 26 : 58) + gap;
    Object.assign(grid, { side, gap, left: narrow ? 10 : 20 });
    lines = [];
    let start = 0;
    for (const group of groups()) {
      if (group.title !== null) lines.push({ title: group.title, much: group.rows.length });
      for (let at = 0; at < group.rows.length; at += across) lines.push({ from: start + at, to: start + Math.min(at + across, group.rows.length) });
      start += group.rows.length;
    }
    offsets = new Float64Array(lines.length + 1);
    lines.forEach((line, place) => { offsets[place + 1] = offsets[place] + (line.title === undefined ? tall : HEAD); });
    inner.style.height = `${offsets[lines.length] + 20}px`;
    inner.dataset.size = grid.size;
    for (const node of drawn.values()) node.remove();
    drawn = new Map();
    draw();
  };

  function lineAt(height) {
    let low = 0, high = lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[middle + 1] <= height) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function draw() {
    const first = Math.max(0, lineAt(frame.scrollTop) - SPARE);
    const last = Math.min(lines.length, lineAt(frame.scrollTop + frame.clientHeight) + SPARE + 1);
    for (const [place, node] of drawn) {
      if (place < first || place >= last) { node.remove(); drawn.delete(place); }
    }
    for (let place = first; place < last; place++) {
      if (drawn.has(place)) continue;
      const node = lineNode(lines[place]);
      node.style.transform = `translateY(${offsets[place]}px)`;
      drawn.set(place, node);
      inner.append(node);
    }
  }

  function lineNode(line) {
    if (line.title !== undefined) {
      return h("div", { class: "line group-head", role: "presentation" }, h("h3", { title: line.title }, line.title), h("span", { class: "much" }, Mill.count(line.much)));
    }
    const node = h("div", { class: "line", role: "presentation" });
    node.style.paddingLeft = `${grid.left}px`;
    node.style.gap = `${grid.gap}px`;
    for (let at = line.from; at < line.to; at++) node.append(cell(at));
    return node;
  }

  function cell(at) {
    const row = grid.rows[at];
    const id = store.get("row_id", row), status = store.get("status", row), prompt = store.get("prompt", row) || "";
    const label = [id, status === "succeeded" ? "" : `${status} ${store.get("error_kind", row) || ""}`, prompt.slice(0, 160)].filter(Boolean).join(", ");
    const node = h("div", { class: `cell ${status}`, role: "listitem", style: { width: `${grid.side}px` } },
      h("button", { type: "button", class: "open", tabindex: at === grid.at ? "0" : "-1", "data-at": at, "aria-label": label, onclick: () => { grid.at = at; Mill.detail.open(row); },
        onfocus: () => { if (grid.at !== at) mark(at); } }, Mill.thumb(row, grid.side), Mill.picks.badge(row)),
      h("p", { class: "id" }, h("i", { class: `dot ${status}` }), h("span", {}, id)),
      grid.size === "s" ? null : h("p", { class: "prompt", title: prompt }, prompt));
    if (at === grid.at) node.classList.add("current");
    return node;
  }

  function mark(at) {
    const before = inner.querySelector(".cell.current");
    if (before) { before.classList.remove("current"); before.querySelector("button").tabIndex = -1; }
    grid.at = at;
    const now = inner.querySelector(`[data-at="${at}"]`);
    if (now) { now.tabIndex = 0; now.parentElement.classList.add("current"); }
  }

  grid.row = () => (grid.rows.length ? grid.rows[grid.at] : null);

  grid.move = (at) => {
    if (!grid.rows.length) return;
    const to = Math.max(0, Math.min(grid.rows.length - 1, at));
    const place = lines.findIndex((line) => line.title === undefined && line.from <= to && to < line.to);
    if (offsets[place] < frame.scrollTop) frame.scrollTop = offsets[place];
    if (offsets[place] + tall > frame.scrollTop + frame.clientHeight) frame.scrollTop = offsets[place] + tall - frame.clientHeight;
    draw();
    mark(to);
    const button = inner.querySelector(`[data-at="${to}"]`);
    if (button) button.focus({ preventScroll: true });
  };

  grid.key = (name) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, PageDown: across * 4, PageUp: -across * 4 };
    if (name === "Home") grid.move(0);
    else if (name === "End") grid.move(grid.rows.length - 1);
    else if (name in steps) grid.move(grid.at + steps[name]);
    else return false;
    return true;
  };

  grid.refresh = (row) => {
    const at = grid.rows.indexOf(row);
    const button = at < 0 ? null : inner.querySelector(`[data-at="${at}"]`);
    if (!button) return;
    const had = document.activeElement === button;
    const fresh = cell(at);
    button.parentElement.replaceWith(fresh);
    if (had) fresh.querySelector("button").focus({ preventScroll: true });
  };

  // An image as a small picture of its own, of at most so many pixels a side; or why there is none.
  Mill.thumb = (row, side) => {
    const place = store.thumbs[row];
    if (Array.isArray(place) && store.head.single) return h("span", { class: "thumb" }, h("img", { src: place[2], alt: "", loading: "lazy" }));
    if (Array.isArray(place)) {
      const { side: size, across: cells } = store.head.thumbs;
      const [sheet, at, width, height] = place, scale = side / size;
      return h("span", { class: "thumb" }, h("span", { class: "piece", style: {
        width: `${width * scale}px`, height: `${height * scale}px`,
        "background-image": `url("thumbs/${String(sheet).padStart(6, "0")}.jpg")`,
        "background-size": `${cells * size * scale}px auto`,
        "background-position": `${-(at % cells) * size * scale}px ${-Math.floor(at / cells) * size * scale}px`,
      } }));
    }
    const status = store.get("status", row);
    const told = place ? [`image ${place}`, store.get("file_name", row)]
      : status === "succeeded" ? ["no thumbnail", "kept in an object store"]
        : [store.get("error_kind", row) || (status === "pending" ? "still to do" : status), store.get("error_message", row) || ""];
    return h("span", { class: `thumb none ${place ? "failed" : status}` }, h("b", {}, told[0]), h("small", {}, String(told[1]).slice(0, 90)));
  };
})();
