// The page: views, keys, and the start.
"use strict";
(() => {
  const { h, store } = Mill;
  const VIEWS = [["overview", "Overview"], ["images", "Images"], ["compare", "Compare"]];
  const KEYS = [["/", "search"], ["arrows", "move"], ["Enter", "open"], ["Esc", "close"], ["1 … 5", "rate"], ["x", "reject"], ["t", "tag"], ["n", "note"],
    ["s", "save picks.csv"], ["o i c", "overview, images, compare"], ["w", "wipe"], ["+ −", "zoom in a comparison"], ["?", "these keys"]];
  const app = { view: "overview" };
  Mill.app = app;
  let main, search, side, told, saver, progress;

  Mill.start = () => {
    Mill.picks.start();
    document.getElementById("app").replaceChildren(header(), main = h("main", { id: "main" }));
    go(location.hash.slice(1) || "overview");
    Mill.picks.heard((row) => { Mill.grid.refresh(row); Mill.detail.refresh(row); drawSaver(); });
    document.addEventListener("keydown", key);
    addEventListener("hashchange", () => go(location.hash.slice(1)));
    if (store.head.single) { store.loaded = store.rows; ready(); return; }
    let whole = true;
    store.loadAll((there) => { whole = whole && there; app.loaded(whole); }).then(ready);
  };

  function ready() {
    app.ready = true;
    document.documentElement.dataset.ready = "yes";
    if (app.view === "images") app.drawFilters();
    if (app.view !== "overview") go(app.view, true);
  }

  app.loaded = (whole) => {
    progress.textContent = !whole ? "Some files of this report are missing" : store.loaded < store.rows ? `reading ${Mill.count(store.loaded)} of ${Mill.count(store.rows)}` : "";
    const first = store.loaded <= 1000 * store.folders.length;
    if (app.view === "images" && (first || store.loaded === store.rows)) app.refresh();
  };

  function header() {
    const tabs = VIEWS.map(([name, text]) => h("a", { href: `#${name}`, class: "tab", "data-view": name }, text));
    search = h("input", { type: "search", id: "search", placeholder: "Search prompts", "aria-label": "Search prompts, ids and messages", autocomplete: "off", spellcheck: "false" });
    search.addEventListener("input", () => {
      Mill.filters.query.text = search.value;
      Mill.compare.search(search.value);
      if (app.view === "overview") location.hash = "images";
      else if (app.view === "images") app.refresh();
    });
    saver = h("button", { type: "button", class: "quiet", onclick: Mill.picks.save });
    progress = h("span", { class: "progress", role: "status" });
    drawSaver();
    return h("header", { class: "top" }, h("a", { class: "skip", href: "#main" }, "Skip to the content"),
      h("h1", {}, store.folders.map((folder) => folder.name).join(" · ")), h("nav", { "aria-label": "Views" }, tabs), search, progress,
      h("div", { class: "end" }, saver, h("button", { type: "button", class: "quiet", onclick: Mill.picks.load }, "Load picks"),
        h("button", { type: "button", class: "quiet", "aria-label": "Keys", onclick: keys }, "?")));
  }

  function drawSaver() {
    const much = Mill.picks.count();
    saver.textContent = much ? `Save ${Mill.counted(much, "pick")}` : "Save picks";
    saver.classList.toggle("ready", much > 0);
  }

  function go(name, again) {
    if (name === "main") { main.focus(); return; }
    const view = VIEWS.some(([each]) => each === name) ? name : "overview";
    if (view === app.view && main.childElementCount && !again) return;
    app.view = view;
    document.querySelectorAll(".tab").forEach((tab) => {
      if (tab.dataset.view === view) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    });
    main.className = view;
    if (view === "overview") main.replaceChildren(Mill.overview());
    else if (view === "compare") main.replaceChildren(app.ready ? Mill.compare.node() : h("p", { class: "empty" }, "Reading the rows …"));
    else drawImages();
  }

  function drawImages() {
    told = h("p", { class: "told", role: "status" });
    side = h("aside", { "aria-label": "Filters" });
    const sizes = h("div", { class: "sizes", role: "group", "aria-label": "Size of the images" }, Object.entries({ s: "Small", m: "Medium", l: "Large" }).map(([size, label]) =>
      h("button", { type: "button", class: "quiet", "aria-label": label, "aria-pressed": String(Mill.grid.size === size), onclick: (event) => {
        Mill.grid.size = size;
        sizes.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", String(button === event.currentTarget)));
        Mill.grid.layout();
      } }, size.toUpperCase())));
    const opener = h("button", { type: "button", class: "quiet opener", "aria-expanded": "false", onclick: () => {
      const open = side.classList.toggle("open");
      opener.setAttribute("aria-expanded", String(open));
    } }, "Filters");
    main.replaceChildren(side, h("div", { class: "images-main" }, h("div", { class: "tool-line" }, opener, told, Mill.filters.bar(app.refresh), sizes), Mill.grid.node()));
    if (app.ready) app.drawFilters();
    if (store.loaded) app.refresh();
  }

  app.drawFilters = () => side.replaceChildren(Mill.filters.panel(app.refresh));

  app.refresh = () => {
    const rows = store.select(Mill.filters.query);
    Mill.grid.show(rows, Mill.filters.group);
    told.textContent = rows.length === store.rows ? Mill.counted(rows.length, "image") : `${Mill.count(rows.length)} of ${Mill.counted(store.rows, "image")}`;
    document.documentElement.dataset.shown = rows.length;
  };

  // Show the images with these values of these columns.
  app.show = (chosen) => {
    Mill.filters.query.chosen = new Map([...chosen].map(([name, values]) => [name, new Set(values)]));
    if (app.view === "images") { app.drawFilters(); app.refresh(); }
    else location.hash = "images";
  };

  function keys() {
    const dialog = h("dialog", { class: "keys", "aria-label": "Keys" }, h("h2", {}, "Keys"), h("dl", {}, KEYS.map(([name, does]) => h("div", {}, h("dt", {}, h("kbd", {}, name)), h("dd", {}, does)))),
      h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close"));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target instanceof HTMLElement && event.target.matches("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (typing) {
      if (event.key === "Escape" && event.target === search) search.blur();
      else if (event.key === "Enter" && event.target.id.startsWith("pick-")) { event.target.blur(); event.preventDefault(); }
      return;
    }
    if (pressed(event.key, event)) event.preventDefault();
  }

  function pressed(name, event) {
    if (name === "?") { keys(); return true; }
    if (name === "s") { Mill.picks.save(); return true; }
    if (Mill.compare.isOpen()) return viewerKey(name, event);
    const row = Mill.detail.isOpen() ? Mill.detail.row : app.view === "images" ? Mill.grid.row() : null;
    if (row !== null && /^[1-5x]$/.test(name)) { Mill.picks.rate(row, name === "x" ? 0 : Number(name)); return true; }
    if (row !== null && (name === "t" || name === "n")) {
      if (!Mill.detail.isOpen()) Mill.detail.open(row);
      Mill.detail.focus(name === "t" ? "tag" : "note");
      return true;
    }
    if (Mill.detail.isOpen()) {
      if (name === "ArrowRight" || name === "ArrowLeft") { Mill.detail.step(name === "ArrowRight" ? 1 : -1); return true; }
      return false;
    }
    if (name === "/") { search.focus(); search.select(); return true; }
    const view = { o: "overview", i: "images", c: "compare" }[name];
    if (view) { location.hash = view; return true; }
    if (app.view !== "images" || document.querySelector("dialog[open]")) return false;
    if (event.target instanceof HTMLElement && event.target.closest("aside, header, .tool-line")) return false;
    return Mill.grid.key(name);
  }

  function viewerKey(name, event) {
    const ranged = event.target instanceof HTMLElement && event.target.matches("[type=range]");
    if (!ranged && (name === "ArrowRight" || name === "ArrowLeft")) { Mill.compare.step(name === "ArrowRight" ? 1 : -1); return true; }
    if (name === "w") { Mill.compare.wipe(); return true; }
    if (name === "+" || name === "=" || name === "-") { Mill.compare.zoom(name === "-" ? 1 / 1.5 : 1.5); return true; }
    return false;
  }
})();
