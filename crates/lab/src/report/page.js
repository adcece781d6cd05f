(function () {
  const { byId, read, element, draw, plain, whole, usd, utc, FONT, INK, LINE } = seawall;
  const page = read("data-page");

  // ---- losses by who paid them
  function waterfall() {
    const target = byId("waterfall");
    const runs = page.waterfall;
    if (!runs.some((run) => run.usd.some((x) => x !== 0))) {
      target.classList.add("empty");
      target.textContent = "No run lost money past the accounts' own.";
      return;
    }
    const layers = [["Insurance", "#4f83cc"], ["ADL", "#e69f00"], ["Socialized", "#cc79a7"], ["Deficit", "#d1495b"]];
    const names = runs.map((run) => plain(run.run));
    const traces = layers.map(([name, color], i) => ({
      type: "bar", orientation: "h", name, y: names, x: runs.map((run) => run.usd[i]), marker: { color },
      hovertemplate: "%{y}: " + name.toLowerCase() + " $%{x:,.0f}<extra></extra>",
    }));
    draw(target, traces, {
      title: { text: "Losses past the accounts' own money, by who paid", x: 0, xanchor: "left", font: { size: 15 } },
      barmode: "relative", height: 150 + 34 * runs.length, margin: { l: 10, r: 16, t: 36, b: 84 },
      font: { family: FONT, size: 12, color: INK }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      xaxis: { title: { text: "USD", standoff: 6 }, gridcolor: LINE, zerolinecolor: "#b9c3cf", tickprefix: "$", separatethousands: true, exponentformat: "SI", nticks: 6 },
      yaxis: { automargin: true, autorange: "reversed", title: { text: "Run", standoff: 10 }, fixedrange: true },
      legend: { orientation: "h", x: 0, yref: "container", y: 0, yanchor: "bottom", traceorder: "normal" },
    });
  }

  // ---- one market, drawn when it is chosen
  let market = null;

  function chart() {
    seawall.chart(byId("chart"), market, { log: byId("axis").value === "log", near: byId("range").value === "index" });
    byId("liquidations").textContent = seawall.liquidated(market);
  }

  const choose = byId("market");
  function show(position) {
    if (!(position >= 0 && position < page.markets)) return;
    choose.value = String(position);
    byId("previous").disabled = position === 0;
    byId("next").disabled = position === page.markets - 1;
    market = read("data-market-" + position);
    chart();
    seawall.tables(byId("market-tables"), market);
  }
  choose.addEventListener("change", () => show(Number(choose.value)));
  byId("previous").addEventListener("click", () => show(Number(choose.value) - 1));
  byId("next").addEventListener("click", () => show(Number(choose.value) + 1));
  for (const id of ["axis", "range"]) byId(id).addEventListener("change", () => market && chart());
  byId("markets").addEventListener("click", (e) => {
    const button = e.target.closest("button[data-market]");
    if (!button) return;
    show(Number(button.dataset.market));
    byId("chart").scrollIntoView({ block: "center" });
  });

  // ---- timeline
  const PAGE = 300;
  const lines = read("data-timeline");
  let limit = PAGE;
  function options(select, column) {
    [...new Set(lines.map((line) => line[column]))].filter(Boolean).sort().forEach((value) => { element("option", value, select).value = value; });
  }
  function list() {
    const find = byId("find").value.trim().toLowerCase(), kind = byId("kind").value, of = byId("of").value;
    const fits = lines.filter((line) => (!kind || line[2] === kind) && (!of || line[1] === of)
      && (!find || line[3].toLowerCase().includes(find) || line[1].toLowerCase().includes(find)));
    const body = document.querySelector("#timeline tbody");
    body.replaceChildren(...fits.slice(0, limit).map(([at, name, what, text, count, amount]) => {
      const row = document.createElement("tr");
      element("th", utc(at), row).scope = "row";
      element("td", name, row); element("td", what, row); element("td", text, row);
      element("td", count > 1 ? "×" + whole(count) : "", row);
      element("td", amount ? usd(amount) : "", row);
      return row;
    }));
    byId("shown").textContent = whole(Math.min(limit, fits.length)) + " of " + whole(fits.length) + " lines";
    byId("more").hidden = fits.length <= limit;
  }
  options(byId("kind"), 2);
  options(byId("of"), 1);
  for (const id of ["find", "kind", "of"]) byId(id).addEventListener("input", () => { limit = PAGE; list(); });
  byId("more").addEventListener("click", () => { limit += PAGE; list(); });

  // ---- begin; `#market=NAME` opens the page at a market
  list();
  waterfall();
  const named = new URLSearchParams(location.hash.slice(1)).get("market");
  const at = [...choose.options].findIndex((option) => option.text === named);
  show(at < 0 ? 0 : at);
})();
