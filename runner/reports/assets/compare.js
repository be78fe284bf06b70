// The same thing side by side: rows of several folders, or the values of one column under the same prompt.
"use strict";
(() => {
  const { h, store } = Mill;
  const MOST = 4;
  const compare = { by: null, sides: [], text: "" };
  Mill.compare = compare;
  let frame, inner, lines = [], tall = 300, across = 1, drawn = new Map(), viewer = null;

  const several = () => store.folders.length > 1;
  const ways = () => [...(several() ? [["folder", "folder"]] : []), ...Mill.filters.columns().filter((name) => !["status", "error_kind", "flags"].includes(name)).map((name) => [name, name])];
  const valueOf = (row) => (compare.by === "folder" ? store.folderOf[row] : store.get(compare.by, row));
  const named = (value) => (compare.by === "folder" ? store.folders[value].name : value === null ? "none" : String(value));

  function valuesOf(by) {
    const found = new Map();
    for (let row = 0; row < store.rows; row++) {
      const value = by === "folder" ? store.folderOf[row] : store.get(by, row);
      found.set(value, (found.get(value) || 0) + 1);
    }
    return [...found].sort((one, other) => other[1] - one[1]).map(([value]) => value);
  }

  // Of the ways to compare, the first under which some prompt has several values.
  function start() {
    for (const [name] of ways()) {
      compare.by = name;
      compare.sides = valuesOf(name).slice(0, name === "folder" ? MOST : 2);
      if (name === "folder") compare.sides.sort((one, other) => one - other);
      build();
      if (name === "folder" || lines.some((line) => line.cells.filter((rows) => rows.length).length > 1)) return;
    }
    compare.by = ways().length ? ways()[0][0] : null;
  }

  function build() {
    const found = new Map();
    for (let row = 0; row < store.rows; row++) {
      const side = compare.sides.indexOf(valueOf(row));
      if (side < 0) continue;
      const key = compare.by === "folder" ? `${store.get("row_id", row)}\u0000${store.get("image_index", row)}` : store.get("prompt", row);
      let line = found.get(key);
      if (line === undefined) {
        line = { prompt: store.get("prompt", row) || "", id: store.get("row_id", row), cells: compare.sides.map(() => []) };
        found.set(key, line);
      }
      line.cells[side].push(row);
    }
    const words = compare.text.toLowerCase().split(/\s+/).filter(Boolean);
    lines = [...found.values()].filter((line) => words.every((word) => `${line.id} ${line.prompt}`.toLowerCase().includes(word)));
    if (compare.by !== "folder") lines.sort((one, other) => other.cells.filter((rows) => rows.length).length - one.cells.filter((rows) => rows.length).length);
  }

  compare.node = () => {
    if (compare.by === null) start();
    inner = h("div", { class: "pairs", role: "list", "aria-label": "Comparison" });
    frame = h("div", { class: "frame" }, inner);
    frame.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    new ResizeObserver(layout).observe(frame);
    const node = h("div", { class: "compare" }, tools(), frame);
    return node;
  };

  function tools() {
    if (compare.by === null) return h("p", { class: "empty" }, "There is nothing to compare: no second folder, and no column with several values.");
    const by = h("select", { "aria-label": "Compare by", onchange: () => { compare.by = by.value; compare.sides = valuesOf(by.value).slice(0, 2); again(); } },
      ways().map(([name, text]) => h("option", { value: name, selected: name === compare.by }, text)));
    const all = valuesOf(compare.by).slice(0, 24);
    const boxes = all.map((value) => {
      const input = h("input", { type: "checkbox" });
      input.checked = compare.sides.includes(value);
      input.addEventListener("change", () => {
        const sides = all.filter((each) => (each === value ? input.checked : compare.sides.includes(each)));
        if (sides.length > MOST || sides.length < 2) { input.checked = !input.checked; Mill.say("Two to four columns stand side by side"); return; }
        compare.sides = sides;
        again();
      });
      return h("label", { class: "chip" }, input, h("span", {}, named(value)));
    });
    return h("div", { class: "tools" }, h("label", { class: "select" }, h("span", {}, "Compare by"), by), h("div", { class: "chips", role: "group", "aria-label": "Columns" }, boxes));
  }

  function again() {
    build();
    frame.previousElementSibling.replaceWith(tools());
    layout();
  }

  compare.search = (text) => { compare.text = text; if (frame && compare.by !== null) { build(); layout(); } };

  function layout() {
    if (!frame || frame.clientWidth === 0 || compare.by === null) return;
    const narrow = frame.clientWidth < 560;
    const width = frame.clientWidth - (narrow ? 20 : 40), gap = 6, apart = 34, sides = compare.sides.length;
    across = Math.max(1, Math.floor((width + apart) / (sides * (220 + gap) + apart)));
    compare.side = Math.min(420, Math.floor(((width - apart * (across - 1)) / across - gap * (sides - 1)) / sides));
    Object.assign(compare, { apart, left: narrow ? 10 : 20 });
    tall = compare.side + 84;
    inner.style.height = `${Math.ceil(lines.length / across) * tall + 20}px`;
    for (const node of drawn.values()) node.remove();
    drawn = new Map();
    draw();
  }

  function draw() {
    const first = Math.max(0, Math.floor(frame.scrollTop / tall) - 1), last = Math.min(Math.ceil(lines.length / across), Math.ceil((frame.scrollTop + frame.clientHeight) / tall) + 1);
    for (const [place, node] of drawn) if (place < first || place >= last) { node.remove(); drawn.delete(place); }
    for (let place = first; place < last; place++) {
      if (drawn.has(place)) continue;
      const node = h("div", { class: "line pairs-line", role: "presentation" });
      Object.assign(node.style, { gap: `${compare.apart}px`, paddingLeft: `${compare.left}px` });
      for (let at = place * across; at < Math.min(lines.length, (place + 1) * across); at++) node.append(pair(lines[at], at));
      node.style.transform = `translateY(${place * tall}px)`;
      drawn.set(place, node);
      inner.append(node);
    }
  }

  function pair(line, place) {
    const cells = line.cells.map((rows, side) => h("figure", { style: { width: `${compare.side}px` } },
      rows.length ? h("span", { class: "tall" }, Mill.thumb(rows[0], compare.side), Mill.picks.badge(rows[0]))
        : h("span", { class: "thumb none absent" }, h("b", {}, "not in this one"), h("small", {}, named(compare.sides[side]))),
      h("figcaption", {}, named(compare.sides[side]), rows.length > 1 ? ` · ${rows.length} images` : "")));
    return h("div", { class: "pair", role: "listitem" },
      h("button", { type: "button", class: "pair-open", "aria-label": `Compare ${line.id}: ${line.prompt.slice(0, 120)}`, onclick: () => view(place) },
        h("p", { class: "prompt", title: line.prompt }, h("b", {}, line.id), " ", line.prompt), h("div", { class: "cells" }, cells)));
  }

  function view(place) {
    viewer = { place, scale: 1, x: 0, y: 0, wipe: false, at: 50 };
    const dialog = h("dialog", { class: "viewer", "aria-label": "Side by side" });
    viewer.dialog = dialog;
    dialog.addEventListener("close", () => { dialog.remove(); viewer = null; drawn.forEach((node) => node.remove()); drawn = new Map(); draw(); });
    document.body.append(dialog);
    dialog.showModal();
    drawView();
  }

  function drawView() {
    const line = lines[viewer.place];
    const rows = line.cells.map((found) => (found.length ? found[0] : null));
    const wipeable = rows.filter((row) => row !== null && store.image(row) !== null).length > 1;
    const step = (by, text, label) => h("button", { type: "button", class: "step", "aria-label": label, disabled: !lines[viewer.place + by], onclick: () => compare.step(by) }, text);
    const panes = rows.map((row, side) => h("figure", { class: "pane" }, pane(row), h("figcaption", {}, named(compare.sides[side]), row === null ? null : rates(row))));
    viewer.dialog.replaceChildren(
      h("header", {}, step(-1, "‹", "Previous"), step(1, "›", "Next"), h("h2", {}, line.id), h("p", { class: "prompt", title: line.prompt }, line.prompt),
        h("button", { type: "button", class: "quiet", "aria-pressed": String(viewer.wipe), disabled: !wipeable, onclick: compare.wipe }, "Wipe"),
        h("button", { type: "button", class: "quiet", onclick: () => { Object.assign(viewer, { scale: 1, x: 0, y: 0 }); place(); } }, "Fit"),
        h("button", { type: "button", class: "step close", "aria-label": "Close", onclick: () => viewer.dialog.close() }, "✕")),
      viewer.wipe && wipeable ? wiped(rows) : h("div", { class: "panes" }, panes));
    place();
  }

  function pane(row) {
    const source = row === null ? null : store.image(row);
    const inside = source === null ? (row === null ? h("span", { class: "thumb none absent" }, h("b", {}, "not in this one")) : Mill.thumb(row, 320))
      : h("img", { class: "zoomed", src: source, alt: store.get("prompt", row) || "", draggable: "false" });
    const node = h("div", { class: "zoom" }, inside);
    moving(node);
    return node;
  }

  function rates(row) {
    return h("span", { class: "rates", role: "group", "aria-label": "Rating" }, [1, 2, 3, 4, 5, 0].map((rating) => {
      const now = Mill.picks.rating(row);
      return h("button", { type: "button", class: "rate", "aria-label": rating ? `Rate ${rating} of 5` : "Reject", "aria-pressed": String(now === rating), onclick: () => { Mill.picks.rate(row, rating); drawView(); } },
        rating ? (now !== null && now >= rating ? "★" : "☆") : "✕");
    }));
  }

  function wiped(rows) {
    const [left, right] = rows.map((row, side) => [row, side]).filter(([row]) => row !== null && store.image(row) !== null);
    const image = ([row], name) => h("img", { class: `zoomed ${name}`, src: store.image(row), alt: store.get("prompt", row) || "", draggable: "false" });
    const slider = h("input", { type: "range", min: "0", max: "100", step: "0.5", value: viewer.at, "aria-label": "Wipe between the two", oninput: () => { viewer.at = Number(slider.value); place(); } });
    const node = h("div", { class: "zoom wipe" }, image(right, "under"), h("div", { class: "over" }, image(left, "")), h("i", { class: "edge" }),
      h("span", { class: "tag left" }, named(compare.sides[left[1]])), h("span", { class: "tag right" }, named(compare.sides[right[1]])));
    moving(node);
    return h("div", { class: "panes wiping" }, node, slider);
  }

  // Zoom and pan of all panes are one.
  function place() {
    for (const image of viewer.dialog.querySelectorAll(".zoomed")) image.style.transform = `translate(${viewer.x}px, ${viewer.y}px) scale(${viewer.scale})`;
    const over = viewer.dialog.querySelector(".over"), edge = viewer.dialog.querySelector(".edge");
    if (over) { over.style.clipPath = `inset(0 ${100 - viewer.at}% 0 0)`; edge.style.left = `${viewer.at}%`; }
  }

  function moving(node) {
    node.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = node.getBoundingClientRect();
      const x = event.clientX - box.left - box.width / 2, y = event.clientY - box.top - box.height / 2;
      const scale = Math.min(16, Math.max(1, viewer.scale * Math.exp(-event.deltaY / 300))), by = scale / viewer.scale;
      Object.assign(viewer, scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: x - (x - viewer.x) * by, y: y - (y - viewer.y) * by });
      place();
    }, { passive: false });
    node.addEventListener("pointerdown", (event) => { node.setPointerCapture(event.pointerId); viewer.from = [event.clientX - viewer.x, event.clientY - viewer.y]; });
    node.addEventListener("pointermove", (event) => {
      if (!viewer.from || !node.hasPointerCapture(event.pointerId)) return;
      Object.assign(viewer, { x: event.clientX - viewer.from[0], y: event.clientY - viewer.from[1] });
      place();
    });
    node.addEventListener("pointerup", () => { viewer.from = null; });
  }

  compare.step = (by) => { if (viewer && lines[viewer.place + by]) { viewer.place += by; drawView(); } };
  compare.wipe = () => { if (viewer) { viewer.wipe = !viewer.wipe; drawView(); } };
  compare.zoom = (by) => { if (viewer) { viewer.scale = Math.min(16, Math.max(1, viewer.scale * by)); if (viewer.scale === 1) viewer.x = viewer.y = 0; place(); } };
  compare.isOpen = () => viewer !== null;
  compare.state = () => viewer && { scale: viewer.scale, x: viewer.x, y: viewer.y, wipe: viewer.wipe };
})();
