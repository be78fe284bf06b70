// The first page: what matters of each folder.
"use strict";
(() => {
  const { h, svg, count, money, duration } = Mill;
  const STATUSES = [["succeeded", "made"], ["failed", "failed"], ["parked", "parked"], ["invalid", "invalid"], ["pending", "still to do"]];

  function tile(label, value, more) {
    return h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, value, more ? h("small", {}, more) : null));
  }

  function statusBar(statuses) {
    const total = Object.values(statuses).reduce((sum, each) => sum + each, 0) || 1;
    const there = STATUSES.filter(([name]) => statuses[name]);
    const told = there.map(([name, word]) => `${count(statuses[name])} ${word}`).join(", ");
    return h("div", {},
      h("div", { class: "bar", role: "img", "aria-label": told },
        there.map(([name]) => h("span", { class: `fill ${name}`, style: { width: `max(3px, ${(100 * statuses[name]) / total}%)` } }))),
      h("ul", { class: "legend" }, there.map(([name, word]) => h("li", {}, h("i", { class: `dot ${name}` }), `${count(statuses[name])} ${word}`))));
  }

  function columns(values, label, height) {
    const most = Math.max(...values, 1e-9), width = 600, step = width / values.length;
    return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      values.map((value, place) => {
        const tall = value > 0 ? Math.max(1.5, (value / most) * (height - 4)) : 0;
        return svg("rect", { x: place * step + step * 0.08, y: height - tall, width: step * 0.84, height: tall, rx: Math.min(2, step / 4) });
      }));
  }

  function paceCard(pace) {
    if (pace === null) return null;
    const most = Math.max(...pace.per_minute);
    const mean = (pace.per_minute.reduce((sum, each) => sum + each, 0) * pace.step_s) / Math.max(pace.spent_s, 1);
    return h("section", { class: "card" }, h("h3", {}, "Images a minute"),
      columns(pace.per_minute, `Images a minute over time: at most ${count(Math.round(most))}, ${count(Math.round(mean))} on average`, 110),
      h("p", { class: "axis" }, h("span", {}, Mill.time(pace.start)), h("span", {}, `peak ${count(Math.round(most))} · mean ${count(Math.round(mean))}`), h("span", {}, Mill.time(pace.end))),
      pace.pauses ? h("p", { class: "note" }, `${Mill.counted(pace.pauses, "pause")} between runs cut out`) : null);
  }

  function latencyCard(latency) {
    if (latency === null) return null;
    const { percentiles, bars, top } = latency;
    const told = Object.entries(percentiles).map(([name, value]) => `${name} ${duration(value)}`).join(", ");
    return h("section", { class: "card" }, h("h3", {}, "Seconds for an answer"),
      columns(bars, `Latencies of ${count(latency.requests)} requests: ${told}`, 110),
      h("p", { class: "axis" }, h("span", {}, "0 s"), h("span", {}, duration(top))),
      h("dl", { class: "percentiles" }, Object.entries(percentiles).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, duration(value))))));
  }

  function costCard(groups, simulated) {
    const most = Math.max(...groups.map((group) => group.cost_usd || 0), 1e-9);
    return h("section", { class: "card wide" }, h("h3", {}, "Cost by model and quality", simulated ? h("small", {}, " simulated: nothing is charged") : null),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cost by model and quality" }, h("table", { class: "figures" },
        h("thead", {}, h("tr", {}, ["Model", "Quality", "Images", "Cost", "Each", "Half within", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "away" }, "Share"))))),
        h("tbody", {}, groups.map((group) => h("tr", {},
          h("th", { scope: "row" }, group.model || "not sent"), h("td", {}, group.quality || "—"),
          h("td", {}, group.made === group.images ? count(group.made) : `${count(group.made)} of ${count(group.images)}`),
          h("td", {}, group.cost_usd === null ? "—" : money(group.cost_usd)), h("td", {}, group.each_usd === null ? "—" : money(group.each_usd)),
          h("td", {}, group.latency ? duration(group.latency.p50) : "—"),
          h("td", { class: "share" }, h("span", { style: { width: `${(100 * (group.cost_usd || 0)) / most}%` } }))))))));
  }

  function errorCard(error, number) {
    const show = () => Mill.app.show(new Map([["error_kind", [error.kind]], ["status", [error.status]], ...(Mill.store.folders.length > 1 ? [["folder", [number]]] : [])]));
    return h("article", { class: "error" },
      h("header", {}, h("i", { class: `dot ${error.status}` }), h("h4", {}, error.kind), h("span", { class: "much" }, count(error.images)),
        h("button", { type: "button", class: "quiet", onclick: show, "aria-label": `Show the images of ${error.kind}` }, "Show")),
      h("p", {}, error.meaning),
      error.examples.map(([id, message]) => h("blockquote", {}, h("b", {}, id), " ", message || "no text")),
      error.advice ? h("p", { class: "advice" }, error.advice) : null,
      Mill.command(error.command));
  }

  function stateText(folder) {
    const { state, exit_reason: reason } = folder.summary;
    if (folder.live) return "running";
    return state === "finished" ? "finished" : `${state}${reason ? `: ${reason}` : ""}`;
  }

  function folderSection(folder, number) {
    const { summary, figures } = folder;
    const made = figures.statuses.succeeded || 0;
    const total = Object.values(figures.statuses).reduce((sum, each) => sum + each, 0);
    const bad = total - made - (figures.statuses.pending || 0);
    const chosen = [folder.where && `where ${folder.where}`, folder.sample && `a sample of ${Mill.counted(folder.sample, "row")}`].filter(Boolean).join(", ");
    const service = summary.service;
    return h("section", { class: "folder", "aria-label": folder.name },
      h("header", { class: "folder-head" }, h("h2", {}, folder.name), h("span", { class: `state ${folder.live ? "running" : summary.state}` }, stateText(folder)),
        summary.simulated ? h("span", { class: "state simulated" }, "simulated") : null,
        chosen ? h("span", { class: "state simulated" }, `only ${chosen}`) : null),
      h("p", { class: "sub" }, [service && service.endpoint && `${service.profile || ""} ${service.endpoint}`.trim(),
        summary.started && `started ${Mill.time(Date.parse(summary.started))}`, `${Mill.counted(folder.runs.length, "run")}`].filter(Boolean).join(" · ")),
      h("dl", { class: "tiles" },
        tile("Images", count(made), ` of ${count(total)}`),
        tile("Not there", count(bad), bad ? ` ${((100 * bad) / total).toFixed(bad / total < 0.1 ? 1 : 0)} %` : ""),
        tile("Cost", money(summary.folder.cost_usd), summary.simulated ? " simulated" : ""),
        tile("Time", duration(figures.pace ? figures.pace.spent_s : summary.duration_s), folder.live && summary.eta_s ? ` ${duration(summary.eta_s)} left` : ""),
        tile("Half within", figures.latency ? duration(figures.latency.percentiles.p50) : "—", figures.latency ? ` p95 ${duration(figures.latency.percentiles.p95)}` : "")),
      statusBar(figures.statuses),
      figures.revised || !made ? null : h("p", { class: "note" }, "This service sends no revised prompts."),
      summary.warnings.length ? h("ul", { class: "warnings" }, summary.warnings.map((warning) => h("li", {}, warning.message))) : null,
      h("div", { class: "cards" }, costCard(figures.groups, summary.simulated), paceCard(figures.pace), latencyCard(figures.latency)),
      figures.errors.length ? h("section", { class: "errors" }, h("h3", {}, "What went wrong, and what mends it"),
        h("div", { class: "cards" }, figures.errors.map((error) => errorCard(error, number)))) : null,
      summary.next ? h("section", {}, h("h3", {}, "Next"), Mill.command(summary.next)) : null);
  }

  Mill.overview = () => {
    const { head, folders } = Mill.store;
    return h("div", { class: folders.length > 1 ? "summary several" : "summary" },
      folders.map(folderSection),
      h("footer", {}, `Made ${Mill.time(head.made)} by imagemill ${head.version}. This page asks no network for anything.`));
  };
})();
