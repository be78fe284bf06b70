// One image: what was asked, what was sent, what came, what it cost, and every try.
"use strict";
(() => {
  const { h, store, money, duration } = Mill;
  const detail = { row: null };
  Mill.detail = detail;
  const FACTS = ["model", "quality", "size", "background", "moderation", "output_format", "output_compression", "n"];
  let dialog = null, before = null;

  function fact(label, ...value) {
    return h("div", {}, h("dt", {}, label), h("dd", {}, value));
  }

  function prompts(row) {
    const asked = store.get("prompt", row) || "", sent = store.get("sent_prompt", row), revised = store.get("revised_prompt", row);
    const base = sent === null ? asked : sent;
    const parts = [h("h3", {}, "Prompt"), h("p", { class: "text" }, asked || "(empty)")];
    if (sent !== null && sent !== asked) parts.push(h("h3", {}, "Sent"), h("p", { class: "text" }, Mill.changed(asked, sent)));
    if (revised !== null) {
      parts.push(h("h3", {}, "Revised by the service"), revised === base
        ? h("p", { class: "note" }, "The same, word for word.") : h("p", { class: "text" }, Mill.changed(base, revised)));
    } else if (store.get("status", row) === "succeeded") {
      const folder = store.folders[store.folderOf[row]];
      parts.push(h("p", { class: "note" }, folder.figures.revised ? "The service sent no revised prompt for this image." : "This service sends no revised prompts."));
    }
    return h("section", {}, parts);
  }

  function facts(row) {
    const get = (name) => store.get(name, row);
    const nodes = FACTS.filter((name) => get(name) !== null).map((name) => fact(name.replaceAll("_", " "), String(get(name))));
    if (get("width") !== null) nodes.push(fact("file", `${get("width")} × ${get("height")} ${get("format") || ""}, ${Mill.bytes(get("bytes") || 0)}`));
    if (get("cost_usd") !== null) nodes.push(fact("cost", money(get("cost_usd")), (get("flags") || "").includes("estimated_cost") ? " estimated" : ""));
    if (get("latency_s") !== null) nodes.push(fact("latency", duration(get("latency_s"))));
    if (get("finished_at") !== null) nodes.push(fact("finished", Mill.time(get("finished_at"))));
    if (get("flags")) nodes.push(fact("flags", get("flags")));
    for (const column of store.columns.values()) {
      const value = column.own ? get(column.name) : null;
      if (value !== null && value !== "") nodes.push(fact(column.name, String(value)));
    }
    return h("section", {}, h("h3", {}, "Parameters"), h("dl", { class: "facts" }, nodes));
  }

  function failure(row) {
    const kind = store.get("error_kind", row);
    if (kind === null) return null;
    const known = store.folders[store.folderOf[row]].figures.errors.find((error) => error.kind === kind && error.status === store.get("status", row));
    const code = [store.get("http_status", row) && `HTTP ${store.get("http_status", row)}`, store.get("error_code", row)].filter(Boolean).join(" ");
    return h("section", { class: "failure" }, h("h3", {}, `${store.get("status", row)}: ${kind}`), known ? h("p", {}, known.meaning) : null,
      h("blockquote", {}, code ? h("b", {}, code) : null, code ? " " : null, store.get("error_message", row) || "no text"), known ? h("p", { class: "advice" }, known.advice) : null);
  }

  function tries(row) {
    const place = h("section", {}, h("h3", {}, "Tries"));
    const sent = store.get("attempts", row);
    if (store.get("tries block", row) === null) {
      place.append(h("p", { class: "note" }, sent ? "One request, with the outcome above." : "Nothing has been sent for this row."));
      return place;
    }
    store.triesOf(row).then((found) => {
      place.append(h("ol", { class: "tries" }, (found || []).map((each) => h("li", {},
        h("i", { class: `dot ${each.status || "pending"}` }), h("b", {}, each.status || "no outcome"), each.kind ? ` ${each.kind}` : "",
        h("span", { class: "note" }, [Mill.time(each.sent), each.latency_s !== null && duration(each.latency_s), each.cost_usd && money(each.cost_usd),
          each.maybe_billed && "may have been paid for", each.request_id].filter(Boolean).join(" · ")),
        each.prompt ? h("p", { class: "text" }, each.prompt) : null, each.message ? h("blockquote", {}, each.message) : null))));
    });
    return place;
  }

  function retry(row) {
    const folder = store.folders[store.folderOf[row]], status = store.get("status", row);
    const where = `--where ${Mill.shell(`row_id = ${Mill.sql(store.get("row_id", row))}`)}`;
    const flag = { succeeded: " --succeeded --yes", parked: " --parked" }[status] || "";
    if (status === "invalid") return null;
    return h("section", {}, h("h3", {}, status === "succeeded" ? "Make it again" : "Try it again"),
      Mill.command(`imagemill retry ${Mill.shell(folder.out)} ${where}${flag}`),
      status === "succeeded" ? h("p", { class: "note" }, "Paid for again; the present image is kept.") : null);
  }

  function picking(row) {
    const pick = Mill.picks.of(row) || { rating: "", tag: "", note: "" };
    const button = (rating, text, label) => h("button", { type: "button", class: "rate", "aria-pressed": String(pick.rating === rating), "aria-label": label,
      onclick: () => Mill.picks.rate(row, rating) }, text);
    const field = (name) => {
      const input = h("input", { type: "text", id: `pick-${name}`, "aria-label": name, placeholder: name, list: name === "tag" ? "tags" : null,
        onchange: () => Mill.picks.set(row, { [name]: input.value.trim() }) });
      input.value = pick[name];
      return input;
    };
    return h("section", { class: "picking", "aria-label": "Your pick" },
      h("div", { class: "rates", role: "group", "aria-label": "Rating" }, [1, 2, 3, 4, 5].map((rating) => button(rating, pick.rating !== "" && pick.rating >= rating ? "★" : "☆", `Rate ${rating} of 5`)), button(0, "✕", "Reject")),
      field("tag"), field("note"), h("datalist", { id: "tags" }, Mill.picks.tags().map((tag) => h("option", { value: tag }))));
  }

  function everything(row) {
    const names = [...store.columns.keys()].filter((name) => name !== "tries block" && store.get(name, row) !== null && store.get(name, row) !== "");
    return h("details", { class: "all" }, h("summary", {}, "All columns"), h("dl", { class: "facts one" }, names.map((name) => {
      const value = store.get(name, row);
      return fact(name, store.columns.get(name).kind === "time" ? Mill.time(value) : String(value));
    })));
  }

  function picture(row) {
    const source = store.image(row);
    if (source === null || store.thumbs[row] === "missing") return h("div", { class: "stage" }, Mill.thumb(row, 320));
    const image = h("img", { src: source, alt: store.get("prompt", row) || "" });
    image.addEventListener("error", () => image.replaceWith(h("div", { class: "thumb none failed" }, h("b", {}, "image missing or damaged"), h("small", {}, store.get("file_name", row)))));
    const stage = h("div", { class: "stage" }, image);
    image.addEventListener("click", () => stage.classList.toggle("full"));
    return stage;
  }

  detail.open = (row) => {
    if (dialog === null) {
      before = document.activeElement;
      dialog = h("dialog", { class: "detail", "aria-label": "Image" });
      dialog.addEventListener("close", detail.closed);
      document.body.append(dialog);
      dialog.showModal();
    }
    detail.row = row;
    draw();
  };

  function draw() {
    const row = detail.row, at = Mill.grid.rows.indexOf(row);
    const step = (by, text, label) => h("button", { type: "button", class: "step", "aria-label": label, disabled: at + by < 0 || at + by >= Mill.grid.rows.length, onclick: () => detail.step(by) }, text);
    dialog.replaceChildren(
      h("header", {}, step(-1, "‹", "Previous image"), step(1, "›", "Next image"),
        h("h2", {}, store.get("row_id", row), store.get("image_index", row) ? ` #${store.get("image_index", row)}` : ""),
        h("span", { class: "much" }, at < 0 ? "" : `${Mill.count(at + 1)} of ${Mill.count(Mill.grid.rows.length)}`),
        h("button", { type: "button", class: "step close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
      h("div", { class: "two" }, picture(row), h("div", { class: "side", tabindex: "0", role: "region", "aria-label": "About the image" },
        picking(row), failure(row), prompts(row), facts(row), tries(row), retry(row), everything(row))));
  }

  detail.step = (by) => {
    const at = Mill.grid.rows.indexOf(detail.row) + by;
    if (at < 0 || at >= Mill.grid.rows.length) return;
    Mill.grid.at = at;
    detail.row = Mill.grid.rows[at];
    draw();
  };

  detail.refresh = (row) => {
    if (dialog === null || row !== detail.row) return;
    const focused = document.activeElement ? document.activeElement.id : "";
    dialog.querySelector(".picking").replaceWith(picking(row));
    if (focused.startsWith("pick-")) document.getElementById(focused).focus();
  };

  detail.isOpen = () => dialog !== null;
  detail.focus = (name) => { if (dialog !== null) document.getElementById(`pick-${name}`).focus(); };

  detail.closed = () => {
    dialog.remove();
    dialog = null;
    if (Mill.app.view === "images") Mill.grid.move(Mill.grid.at);
    else if (before) before.focus();
  };
})();
