"use strict";
// What every page has in common: errors that stand in the document, numbers as people read them, and the chart of a market.
const seawall = (function () {
  // What goes wrong stands in the document, where people and tests find it.
  const root = document.documentElement;
  const fail = (what) => { root.dataset.errors = ((root.dataset.errors || "") + " " + what).trim(); };
  window.addEventListener("error", (e) => fail(e.message));
  window.addEventListener("unhandledrejection", (e) => fail(String(e.reason)));
  document.addEventListener("securitypolicyviolation", (e) => fail("blocked: " + e.blockedURI + " " + e.violatedDirective));

  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  const INK = "#16202c", SOFT = "#566475", LINE = "#dde3ea";
  // Colours that people with any colour vision tell apart (Okabe and Ito), the index dark above them.
  const SOURCES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c00", "#7a5195"];
  const DASHES = ["solid", "dot", "dash", "dashdot"];
  const STATES = { Agreed: "#2a9d6f", Degraded: "#e9a23b", Disputed: "#d1495b", None: "#6b7280" };
  const RUNGS = { Primary: "#4f83cc", LastGood: "#b5651d", None: "#6b7280" };
  const MODES = {
    Normal: null, Cautious: "#fff1b8", ReduceOnly: "#ffd6a5", CancelOnly: "#ffb4a2", Halted: "#e5989b", Settling: "#c9b6e4",
  };
  // The library's own buttons include one that sends the chart to its maker's cloud: only these are shown, and none where the bar
  // would cover the title.
  const config = {
    responsive: true, displaylogo: false, showTips: false, showSendToCloud: false, plotlyServerURL: "", topojsonURL: "",
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
    displayModeBar: window.innerWidth < 700 ? false : "hover",
  };
  let drawn = 0;

  // The library reads a few tags and entities in names; names are text.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const whole = (n) => Math.round(n).toLocaleString("en-US");
  const usd = (n) => (n < 0 ? "−$" : "$") + (Math.abs(n) < 1000 ? Math.abs(n).toFixed(2) : whole(Math.abs(n)));
  const utc = (ms) => new Date(ms).toISOString().replace("T", " ").replace("Z", "");
  const span = (s) => {
    if (s > 0 && s < 0.1) return Math.round(1000 * s) + " ms";
    if (s < 60) return (Number.isInteger(s) ? s : s.toFixed(1)) + " s";
    const w = Math.round(s);
    if (w < 3600) return Math.floor(w / 60) + " min" + (w % 60 ? " " + (w % 60) + " s" : "");
    return Math.floor(w / 3600) + " h" + (Math.floor(w / 60) % 60 ? " " + (Math.floor(w / 60) % 60) + " min" : "");
  };
  const sum = (steps) => { let at = 0; return steps.map((step) => (at += step)); };

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  function draw(target, traces, layout) {
    Plotly.react(target, traces, layout, config).then(() => {
      if (!target.dataset.drawn) { drawn += 1; root.dataset.charts = String(drawn); }
      target.dataset.drawn = "1";
    }).catch((e) => fail(String(e)));
  }

  // ---- one market
  // Stretches of one value, as [from, to, value].
  const stretches = (changes, to) => changes.map(([at, value], i) => [at, i + 1 < changes.length ? changes[i + 1][0] : to, value]);
  const values = (changes) => [...new Set(changes.map(([, value]) => value))];

  function bands(market) {
    const all = stretches(market.modes, market.to);
    return values(market.modes).filter((mode) => mode !== "Normal").map((mode) => {
      const x = [], y = [];
      for (const [from, to, value] of all) {
        if (value !== mode) continue;
        if (x.length) { x.push(null); y.push(null); }
        x.push(from, from, to, to, from); y.push(0, 1, 1, 0, 0);
      }
      return {
        type: "scatter", mode: "lines", name: "Mode " + plain(mode), x, y, yaxis: "y4", fill: "toself",
        fillcolor: MODES[mode] || "#e5e7eb", line: { width: 0 }, hoverinfo: "skip",
      };
    });
  }

  function strip(changes, to, row, colors) {
    const all = stretches(changes, to);
    return values(changes).map((value) => {
      const x = [], y = [], text = [];
      for (const [from, until, of] of all) {
        if (of !== value) continue;
        x.push(from, until, null); y.push(row, row, null);
        const said = row + " " + plain(of) + ", " + utc(from) + " to " + utc(until) + " (" + span((until - from) / 1000) + ")";
        text.push(said, said, "");
      }
      return {
        type: "scatter", mode: "lines", name: row + " " + plain(value), x, y, text, yaxis: "y2", hoverinfo: "text",
        line: { width: 13, color: colors[value] || "#9aa5b1" },
      };
    });
  }

  function band(index) {
    const x = [], y = [];
    // Each price holds until the next: the band is drawn in steps, out along the top and back along the bottom.
    let start = 0;
    const n = index.at.length;
    while (start < n) {
      if (!(index.p[start] > 0)) { start += 1; continue; }
      let end = start;
      while (end < n && index.p[end] > 0) end += 1;
      const top = [], bottom = [];
      for (let i = start; i < end; i += 1) {
        const until = i + 1 < n ? index.at[i + 1] : index.at[i];
        top.push([index.at[i], index.p[i] + index.c[i]], [until, index.p[i] + index.c[i]]);
        bottom.push([index.at[i], index.p[i] - index.c[i]], [until, index.p[i] - index.c[i]]);
      }
      if (x.length) { x.push(null); y.push(null); }
      // Pairs of the way back must be turned round too.
      for (const [at, value] of top.concat(bottom.reverse())) { x.push(at); y.push(value > 0 ? value : null); }
      start = end;
    }
    return {
      type: "scatter", mode: "lines", name: "Confidence band", x, y, fill: "toself", fillcolor: "rgba(22,32,44,.14)",
      line: { width: 0 }, hoverinfo: "skip",
    };
  }

  function liquidations(of, name, symbol, color) {
    return {
      type: "scatter", mode: "markers", name, x: sum(of.t), y: of.usd, yaxis: "y3",
      marker: { symbol, color, size: 5, opacity: .6, line: { width: 1, color } },
      hovertemplate: "%{x|%H:%M:%S} " + name.toLowerCase() + " $%{y:,.0f}<extra></extra>",
    };
  }

  // `log`: a logarithmic price axis; `near`: the index's own range.
  function chart(target, market, { log, near }) {
    const index = market.index;
    index.at = index.at || sum(index.t);
    const known = index.p.map((p) => (p > 0 ? p : null));
    const sources = market.sources.map((source, i) => ({
      type: "scatter", mode: "lines", name: plain(source.name), x: sum(source.t), y: source.p,
      line: { shape: "hv", width: 1.3, color: SOURCES[i % SOURCES.length], dash: DASHES[Math.floor(i / SOURCES.length) % DASHES.length] },
      hovertemplate: "$%{y:,.8~g}",
    }));
    const { policy, competent } = market.liquidations;
    const any = policy.usd.concat(competent.usd).some((usd) => usd > 0);
    const none = policy.count + competent.count ? "no liquidation was filled in this market" : "no account was liquidated in this market";
    const traces = [
      ...bands(market), band(index), ...sources,
      {
        type: "scatter", mode: "lines", name: "Index", x: index.at, y: known, line: { shape: "hv", width: 2.4, color: INK },
        customdata: index.c, hovertemplate: "$%{y:,.8~g} ± %{customdata:,.3~g}",
      },
      ...strip(market.rungs, market.to, "Rung", RUNGS), ...strip(market.states, market.to, "State", STATES),
      liquidations(competent, "Liquidated, competent", "diamond-open", "#c8690a"),
      liquidations(policy, "Liquidated, policy", "circle", "#0b5cad"),
    ];
    const range = near ? around(index, log) : undefined;
    const money = { tickprefix: "$", separatethousands: true, gridcolor: LINE, zeroline: false, automargin: true };
    // The legend stands below the plot, in columns that fit, and the plot keeps its height.
    const columns = Math.max(2, Math.floor((target.clientWidth - 20) / 235));
    const legend = 21 * Math.ceil(traces.length / columns) + 8;
    draw(target, traces, {
      title: { text: plain(market.market) + ": sources against the index", x: 0, xanchor: "left", font: { size: 15 } },
      height: 620 + legend, font: { family: FONT, size: 12, color: INK },
      margin: { l: 10, r: 12, t: 40, b: 62 + legend }, paper_bgcolor: "#fff", plot_bgcolor: "rgba(0,0,0,0)",
      hovermode: "x", hoverlabel: { namelength: 24, font: { size: 11 } },
      xaxis: {
        type: "date", range: [market.from, market.to], title: { text: "Time (UTC)", standoff: 6 }, gridcolor: LINE, anchor: "y3",
        showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: SOFT, spikedash: "dot", hoverformat: "%Y-%m-%d %H:%M:%S.%L UTC",
      },
      // The modes' axis lies below the prices', so that bands are behind lines.
      yaxis: { ...money, overlaying: "y4", tickmode: "auto", domain: [.37, 1], title: { text: "Price (USD" + (log ? ", log" : "") + ")", standoff: 8 }, type: log ? "log" : "linear", range, autorange: range ? false : true },
      yaxis2: { domain: [.26, .35], type: "category", categoryarray: ["Rung", "State"], categoryorder: "array", range: [-.6, 1.6], fixedrange: true, showgrid: false, zeroline: false, automargin: true },
      yaxis3: { ...money, domain: [0, .23], title: { text: "Liquidated (USD, log)", standoff: 8 }, type: "log", dtick: 1, exponentformat: "SI", ...(any ? {} : { range: [2, 6] }) },
      yaxis4: { domain: [.37, 1], range: [0, 1], fixedrange: true, visible: false },
      legend: { orientation: "h", x: 0, yref: "container", y: 0, yanchor: "bottom", entrywidth: 1 / columns - .005, entrywidthmode: "fraction", font: { size: 12 } },
      annotations: any ? [] : [{ text: none, xref: "paper", yref: "paper", x: .5, y: .12, showarrow: false, font: { color: SOFT } }],
      uirevision: market.market + log + near,
    });
    target.dataset.market = market.market;
  }

  // What of the liquidation orders is drawn.
  function liquidated(market) {
    const { policy, competent } = market.liquidations;
    const shown = (of) => whole(of.count) + (of.t.length < of.count ? " (the largest " + whole(of.t.length) + " drawn)" : "");
    return policy.count + competent.count ? "Liquidation orders: policy " + shown(policy) + ", competent " + shown(competent) + "." : "";
  }

  // The index's own range, a tenth wider: one venue's wick doesn't flatten all else.
  function around(index, log) {
    let low = Infinity, high = 0;
    index.p.forEach((p) => { if (p > 0) { low = Math.min(low, p); high = Math.max(high, p); } });
    if (!(high > 0)) return undefined;
    const room = (high - low) * .1 || high * .01;
    const ends = [Math.max(low - room, low / 2), high + room];
    return log ? ends.map(Math.log10) : ends;
  }

  function table(parent, title, rows) {
    const box = element("div", undefined, parent);
    element("h3", title, box);
    const body = element("tbody", undefined, element("table", undefined, box));
    for (const [name, value, share, color] of rows) {
      const row = element("tr", undefined, body);
      element("th", name, row).scope = "row";
      const cell = element("td", value, row);
      if (share === undefined) continue;
      const bar = element("span", undefined, cell);
      bar.className = "bar";
      bar.style.width = (60 * share).toFixed(1) + "px";
      bar.style.marginRight = (60 * (1 - share)).toFixed(1) + "px";
      bar.style.background = color;
    }
  }

  function times(parent, title, seconds, colors) {
    const total = Object.values(seconds).reduce((a, b) => a + b, 0) || 1;
    const order = Object.keys(colors);
    const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
    const names = Object.keys(seconds).filter((name) => seconds[name] > 0).sort((a, b) => rank(a) - rank(b));
    table(parent, title, names.map((name) => {
      const share = seconds[name] / total;
      return [name, span(seconds[name]) + " · " + (100 * share).toFixed(1) + "%", share, colors[name] || "#9fd3b8"];
    }));
  }

  function tables(parent, market) {
    parent.replaceChildren();
    times(parent, "Time in each state", market.seconds_by_state, STATES);
    times(parent, "Time in each mode", market.seconds_by_mode, MODES);
    const w = market.window;
    const bp = (x) => x.toFixed(1) + " bp";
    table(parent, "Arbitrage window", [
      ["Median distance", bp(w.median_bps)], ["99th percentile", bp(w.p99_bps)], ["Largest", bp(w.max_bps)],
      ["Above " + bp(w.threshold_bps), span(w.ms_above / 1000)], ["Longest above it", span(w.longest_ms / 1000)],
    ]);
    const both = ([a, b], show) => show(a) + " / " + show(b);
    table(parent, "Policy / competent", [
      ["Accounts liquidated", both(market.liquidated, whole)], ["Unjustified", both(market.unjustified, whole)],
      ["Bad debt", both(market.bad_debt_usd, usd)],
      ["Index outside the hull", whole(market.outside_hull) + " of " + whole(market.hull_checks)],
      ["Independent lineages", whole(market.lineages)],
    ]);
  }

  return { byId, read, element, draw, plain, whole, usd, utc, chart, liquidated, tables, FONT, INK, LINE };
})();
