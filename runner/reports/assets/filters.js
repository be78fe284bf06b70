// Search, filters, sort, group: what the contact sheet shows.
"use strict";
(() => {
  const { h } = Mill;
  const FIRST = ["status", "error_kind", "flags", "model", "quality", "size"];
  const LEFT_OUT = new Set(["image_index", "try_number", "attempts", "maybe_billed", "http_status", "tries block", "n", "attempt", "endpoint", "response_format", "error_code", "error_message", "request_id", "task_id", "row_id", "prompt", "sent_prompt", "revised_prompt", "sha256", "file_name"]);
  const NAMES = { error_kind: "error", row_id: "row id", cost_usd: "cost", latency_s: "latency", finished_at: "finished" };
  const SORTS = ["row", "row_id", "prompt", "cost_usd", "latency_s", "finished_at", "bytes", "rating"];
  const filters = { query: { text: "", chosen: new Map(), sort: "row", down: false, picked: null }, group: "" };
  Mill.filters = filters;
  const named = (name) => NAMES[name] || name;

  // Columns with few values: ours first, then the manifest's own.
  filters.columns = () => {
    const all = [...Mill.store.columns.values()].filter((column) => column.few && !LEFT_OUT.has(column.name) && (column.own || column.kind === "text" || column.kind === "list"));
    const rank = (column) => (FIRST.includes(column.name) ? FIRST.indexOf(column.name) : column.own ? 50 : 100);
    return all.sort((one, other) => rank(one) - rank(other)).map((column) => column.name);
  };

  function values(name) {
    const counts = new Map();
    for (let row = 0; row < Mill.store.rows; row++) {
      const value = name === "folder" ? Mill.store.folderOf[row] : Mill.store.get(name, row);
      const each = name === "flags" && value !== null ? value.split(", ") : [value];
      for (const one of each) counts.set(one, (counts.get(one) || 0) + 1);
    }
    return [...counts].sort((one, other) => other[1] - one[1]);
  }

  const shown = (name, value) => {
    if (name === "folder") return Mill.store.folders[value].name;
    return value === null ? "none" : value === "" ? "empty" : String(value);
  };

  function fieldset(name, changed, open) {
    const chosen = filters.query.chosen.get(name) || new Set();
    const box = ([value, count]) => {
      const input = h("input", { type: "checkbox", "data-column": name });
      input.checked = chosen.has(value);
      input.addEventListener("change", () => {
        const set = filters.query.chosen.get(name) || new Set();
        if (input.checked) set.add(value);
        else set.delete(value);
        filters.query.chosen.set(name, set);
        changed();
      });
      return h("label", { class: "choice" }, input, h("span", { class: "value" }, shown(name, value)), h("span", { class: "much" }, Mill.count(count)));
    };
    return h("details", { class: "filter", open: open || chosen.size > 0 }, h("summary", {}, named(name)), h("div", { role: "group", "aria-label": named(name) }, values(name).map(box)));
  }

  function select(label, options, value, chosen) {
    const node = h("select", { "aria-label": label, onchange: () => chosen(node.value) }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
    return h("label", { class: "select" }, h("span", {}, label), node);
  }

  filters.bar = (changed) => {
    const direction = h("button", { type: "button", class: "quiet", "aria-label": "Reverse the order", "aria-pressed": String(filters.query.down), onclick: () => {
      filters.query.down = !filters.query.down;
      direction.setAttribute("aria-pressed", String(filters.query.down));
      direction.textContent = filters.query.down ? "↓" : "↑";
      changed();
    } }, filters.query.down ? "↓" : "↑");
    const sorts = SORTS.filter((name) => name === "row" || name === "rating" || Mill.store.columns.has(name));
    const groups = [["", "nothing"], ["prompt", "prompt"], ...filters.columns().map((name) => [`=${name}`, named(name)])];
    return h("div", { class: "tools" },
      select("Sort", sorts.map((name) => [name, name === "row" ? "manifest" : named(name)]), filters.query.sort, (value) => { filters.query.sort = value; changed(); }), direction,
      select("Group", groups, filters.group, (value) => { filters.group = value; changed(); }),
      select("Picks", [["", "all images"], ["any", "picked"], ["none", "not picked"], ["good", "4 and 5"], ["poor", "1, 2, rejected"]], filters.pickText || "", (value) => {
        filters.pickText = value;
        filters.query.picked = PICKED[value] || null;
        changed();
      }));
  };

  const PICKED = {
    any: (row) => Mill.picks.of(row) !== null,
    none: (row) => Mill.picks.of(row) === null,
    good: (row) => Mill.picks.rating(row) >= 4,
    poor: (row) => Mill.picks.rating(row) !== null && Mill.picks.rating(row) <= 2,
  };

  filters.panel = (changed) => {
    const several = Mill.store.folders.length > 1 ? ["folder"] : [];
    const clear = () => { filters.query.chosen.clear(); changed(); Mill.app.drawFilters(); };
    const nodes = [...several, ...filters.columns()].map((name, place) => fieldset(name, changed, place < 3));
    return h("div", { class: "filters" }, nodes.length ? h("header", {}, h("h2", {}, "Filters"), h("button", { type: "button", class: "quiet", onclick: clear }, "Clear")) : null, nodes);
  };
})();
