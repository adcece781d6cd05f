// The page shows what the node says, and sends nothing but statements that a key signed in this browser.

const $ = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

const state = { view: null, market: null, newest: 0, oldest: Infinity, live: false, heard: 0, key: null, shown: null };
const ENTRIES_MAX = 400;
const SILENT_MS = 15000;

const clock = (iso) => iso.slice(11, 19);
const day = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
const money = (text) => {
  const [whole, cents] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return Math.abs(Number(whole)) < 1000 && cents ? `${grouped}.${cents}` : grouped;
};
const span = (ms) => {
  if (ms === null || ms === undefined) return "—";
  if (ms < 1000) return `${ms} ms`;
  if (ms < 90000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  if (ms < 5400000) return `${Math.round(ms / 60000)} min`;
  return `${(ms / 3600000).toFixed(1)} h`;
};
const bps = (value) => (value === null || value === undefined ? "—" : `${value > 0 ? "+" : ""}${value} bp`);
const away = (iso) => span(Math.max(0, Date.parse(iso) - Date.parse(state.view.at)));

// What the node says.

function why(market) {
  const causes = market.causes.map((cause) => `${cause.name} (${cause.to})`);
  const parts = [];
  if (causes.length > 0) parts.push(causes.join(", "));
  if (market.restraint) {
    const { until, ratified } = market.restraint;
    parts.push(`${ratified ? "ratified" : "by a guardian"} until ${clock(until)}, in ${away(until)}`);
  }
  if (market.resume) {
    parts.push(market.resume.at ? `${market.resume.to} at ${clock(market.resume.at)} if it stays calm` : `then ${market.resume.to}, once that is over and a calm has passed`);
  }
  return parts.join(" · ");
}

const mode = (name) => el("span", { class: "mode", "data-mode": name }, name);

function markOff(market) {
  if (!market.index || !market.mark) return "—";
  return bps(Math.round((Number(market.mark) / Number(market.index) - 1) * 10000));
}

function showMarkets(view) {
  const body = $("markets").tBodies[0];
  const order = [...view.markets].sort((a, b) => rank(b.mode) - rank(a.mode) || a.id - b.id);
  if (!view.markets.some((market) => market.name === state.market)) state.market = order[0]?.name ?? null;
  body.replaceChildren(...order.map((market) => el("tr",
    { "aria-selected": String(market.name === state.market), "data-market": market.name, onclick: () => choose(market.name) },
    el("td", {}, el("strong", {}, market.name)),
    el("td", {}, mode(market.mode)),
    el("td", { class: "number" }, market.index ? money2(market.index) : "none"),
    el("td", { class: "number" }, markOff(market)),
    el("td", { class: market.quality === "agreed" ? "" : "bad" }, `${market.quality}, ${market.lineages} of ${market.sources.length}${market.rung === "primary" ? "" : `, ${market.rung}`}`),
    el("td", {}, why(market)))));
}

const MODES = ["normal", "cautious", "reduce-only", "cancel-only", "halted", "settling"];
const rank = (name) => MODES.indexOf(name);
const money2 = (text) => {
  const [whole, rest] = text.split(".");
  return `${whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f")}${rest ? `.${rest}` : ""}`;
};

function showDetail(view) {
  const market = view.markets.find((found) => found.name === state.market);
  if (!market) return;
  $("detail-title").replaceChildren(`${market.name} `, mode(market.mode));
  const denied = market.denied.length > 0 ? `denied: ${market.denied.join(", ").toLowerCase()}` : "nothing is denied";
  const extra = [market.margin_addon !== "0" ? `+${market.margin_addon}% margin to open` : null, market.size_scale !== "100" ? `orders up to ${market.size_scale}%` : null];
  $("detail-facts").textContent = [denied, ...extra, `open interest ${money(market.open_interest)} of ${money(market.open_interest_max)} USD`, market.distressed > 0 ? `${market.distressed} under maintenance` : null].filter(Boolean).join(" · ");
  $("sources").tBodies[0].replaceChildren(...market.sources.map((source) => el("tr", {},
    el("td", {}, source.name, source.lineage && source.lineage !== source.name ? el("span", { class: "quiet" }, ` ${source.lineage}`) : null),
    el("td", {}, source.rung),
    el("td", { class: "number" }, source.price ? money2(source.price) : "—"),
    el("td", { class: "number" }, bps(source.off_bps)),
    el("td", { class: "number" }, span(source.age_ms)),
    el("td", { class: source.excluded ? "bad" : "" }, source.excluded ? `left out: ${source.excluded}` : source.price ? "heard" : "not yet"))));
}

function showPlans(view) {
  const plans = [];
  for (const market of view.markets) {
    if (!market.restraint) continue;
    const { to, until, ratified, by } = market.restraint;
    plans.push(el("div", { class: "plan" }, el("strong", {}, `${market.name} held to ${to}`), el("p", { class: "quiet" },
      `${ratified ? "ratified" : `by the guardian of key ${by}, not ratified`}; over at ${clock(until)}, in ${away(until)}, then back by steps`)));
  }
  for (const filed of view.governance.proposals) {
    const agree = `${filed.approvals.length} of ${view.governance.threshold} agree`;
    plans.push(el("div", { class: "plan" }, el("strong", {}, `change ${filed.id}: `), el("code", {}, filed.change), el("p", { class: "quiet" },
      `${filed.direction}; ${agree}; ${filed.due ? `takes effect at ${day(filed.due)}, in ${away(filed.due)}; a guardian can cancel it` : "waits for approvals"}`)));
  }
  if (plans.length === 0) plans.push(el("p", { class: "quiet" }, "Nothing is asked for, and no change is filed."));
  $("plans").replaceChildren(...plans);
}

function showWater(view) {
  $("water").replaceChildren(...view.pools.flatMap((pool) => [
    el("p", {}, el("strong", {}, pool.name), el("span", { class: "quiet" }, ` ${pool.accounts} accounts${pool.distressed > 0 ? `, ${pool.distressed} under maintenance` : ""}`)),
    el("ol", {},
      el("li", {}, `the insurance fund: ${money(pool.insurance)} USD`),
      el("li", {}, "holders of the other side, closed at the bankruptcy price"),
      el("li", {}, "holders of that market, a share each"),
      el("li", { class: Number(pool.deficit) > 0 ? "bad" : null }, `a deficit that stands: ${money(pool.deficit)} USD`))]));
}

const MAY = { guardian: "restrict a market at once; cancel what loosens", operator: "file changes", governor: "file and approve changes", teller: "bring in a vote", observer: "read", revoked: "nothing" };
function showKeys(view) {
  const rows = view.governance.keys.map((key) => el("tr", {},
    el("td", {}, `${key.place} `, el("code", {}, key.key.slice(0, 8))), el("td", {}, key.role), el("td", {}, MAY[key.role] ?? "")));
  if (rows.length === 0) rows.push(el("tr", {}, el("td", { colspan: 3, class: "quiet" }, "No keys are listed: nobody can change anything while it runs.")));
  $("keys").tBodies[0].replaceChildren(...rows);
}

function showVerdict(view) {
  $("verdict").dataset.level = view.verdict.level;
  $("headline").textContent = view.verdict.headline;
  $("needs").replaceChildren(...view.verdict.needs.map((need) => el("li", {}, need.what, el("em", {}, ` — ${need.remedy}`))));
  const delivery = view.delivery;
  $("delivery").hidden = !delivery;
  if (delivery) $("delivery").textContent = `The venue's side: ${delivery.state}, at height ${delivery.confirmed}${delivery.waiting ? `, ${delivery.waiting} deliveries wait` : ""}${delivery.why ? ` (${delivery.why})` : ""}.`;
  document.title = { normal: "Seawall: calm", tightened: "Seawall: restricted", needs_you: "Seawall: YOU ARE NEEDED" }[view.verdict.level];
}

function show(view) {
  state.view = view;
  $("date").textContent = view.at.slice(0, 10);
  $("time").textContent = `${clock(view.at)} UTC`;
  $("height").textContent = view.height;
  showVerdict(view);
  showMarkets(view);
  showDetail(view);
  showPlans(view);
  showWater(view);
  showKeys(view);
  if ($("acting").open) draft();
}

// Charts.

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function frame(more) {
  const grid = { gridcolor: color("--line"), zeroline: false, tickfont: { size: 11 } };
  return { margin: { l: 62, r: 8, t: 6, b: 28 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: color("--quiet"), size: 11 },
    showlegend: true, legend: { orientation: "h", y: 1.12, x: 0 }, hovermode: "x unified", ...more, xaxis: { ...grid, ...more.xaxis }, yaxis: { ...grid, ...more.yaxis } };
}
const PLAIN = { displayModeBar: false, responsive: true };

async function showCharts() {
  const name = state.market;
  if (!name || !window.Plotly) return;
  const answer = await fetch(`api/v1/markets/${encodeURIComponent(name)}`).catch(() => null);
  if (!answer?.ok) return;
  const { history, liquidations } = await answer.json();
  if (name !== state.market) return;
  const at = history.at.map((micros) => new Date(micros / 1000).toISOString());
  const line = (values, label, tone, dash) => ({ x: at, y: values.map((value) => (value === null ? null : Number(value))), name: label, mode: "lines", line: { color: color(tone), width: 1.6, dash } });
  await window.Plotly.react($("price-chart"), [line(history.index, "index", "--accent"), line(history.mark, "mark", "--watch", "dot")],
    frame({ xaxis: { type: "date" }, yaxis: { tickformat: "~g" }, shapes: shades(history, at) }), PLAIN);
  const buckets = liquidations?.buckets ?? [];
  const bar = (field, label, tone) => ({ type: "bar", x: buckets.map((bucket) => Number(bucket.price)), y: buckets.map((bucket) => Number(bucket[field])), name: label, marker: { color: color(tone) } });
  const mark = liquidations?.mark ? [{ type: "line", xref: "x", yref: "paper", x0: Number(liquidations.mark), x1: Number(liquidations.mark), y0: 0, y1: 1, line: { color: color("--ink"), width: 1, dash: "dot" } }] : [];
  await window.Plotly.react($("map-chart"), [bar("longs", "longs", "--alarm"), bar("shorts", "shorts", "--accent")],
    frame({ barmode: "stack", bargap: 0.1, shapes: mark, xaxis: { tickformat: "~g" }, yaxis: { title: { text: "USD", standoff: 4 } } }), PLAIN);
  const many = buckets.reduce((sum, bucket) => sum + bucket.accounts, 0);
  $("map-note").textContent = liquidations?.mark ? `${many} positions are looked at within 15% of the mark (dotted)${liquidations.is_partial ? ", the nearest of more" : ""}.` : "Without a mark there is no map.";
}

// Where the market was not in its normal mode.
function shades(history, at) {
  const shapes = [];
  for (let i = 0; i < at.length; i += 1) {
    const name = history.mode[i];
    if (name === "normal") continue;
    let end = i;
    while (end + 1 < at.length && history.mode[end + 1] === name) end += 1;
    shapes.push({ type: "rect", xref: "x", yref: "paper", x0: at[i], x1: at[Math.min(end + 1, at.length - 1)], y0: 0, y1: 1, line: { width: 0 }, layer: "below", fillcolor: color(rank(name) > 2 ? "--alarm-ground" : "--watch-ground") });
    i = end;
  }
  return shapes;
}

function choose(name) {
  state.market = name;
  if (state.view) show(state.view);
  showCharts();
}

// The timeline.

function row(entry, fresh) {
  const more = entry.count > 1 ? ` (and ${entry.count - 1} more like it)` : "";
  return el("li", { "data-id": entry.id, "data-kind": entry.kind, class: fresh ? "fresh" : null }, el("time", { title: entry.at }, clock(entry.at)), el("strong", {}, entry.market),
    el("span", {}, entry.text + more), el("button", { type: "button", onclick: () => openReceipt(entry.height) }, "receipt"));
}

function addEntry(entry) {
  if (entry.id <= state.newest) return;
  state.newest = entry.id;
  state.oldest = Math.min(state.oldest, entry.id);
  const list = $("timeline");
  list.prepend(row(entry, true));
  // A cascade's liquidations push nothing else out.
  const alike = list.querySelectorAll(entry.kind === "liquidation" ? "li[data-kind=liquidation]" : "li:not([data-kind=liquidation])");
  if (alike.length > ENTRIES_MAX) alike[alike.length - 1].remove();
}

async function fillTimeline(older) {
  const before = older ? `&before=${state.oldest}` : "";
  const answer = await fetch(`api/v1/timeline?limit=100${before}`).catch(() => null);
  if (!answer?.ok) return;
  const { items: entries } = await answer.json();
  if (!older) $("timeline").replaceChildren();
  for (const entry of entries) {
    if (!older && entry.id > state.newest) state.newest = entry.id;
    state.oldest = Math.min(state.oldest, entry.id);
    $("timeline").append(row(entry, false));
  }
  $("older").hidden = entries.length < 100;
}

function filter() {
  $("timeline").classList.toggle("brief", !$("each").checked);
}

async function openReceipt(height) {
  const answer = await fetch(`api/v1/receipts/${height}`).catch(() => null);
  const body = $("receipt-body");
  $("receipt-title").textContent = `Receipt of height ${height}`;
  if (!answer?.ok) {
    const problem = await answer?.json().catch(() => null);
    body.replaceChildren(el("dt", {}, "not here"), el("dd", {}, problem?.detail ?? "the node does not answer"));
  } else {
    const receipt = await answer.json();
    const pair = (name, value) => [el("dt", {}, name), el("dd", {}, value)];
    const code = (text) => el("code", {}, text);
    const left = receipt.effects_count - receipt.effects.length;
    body.replaceChildren(...pair("time", receipt.at), ...pair("inputs", String(receipt.inputs)),
      ...pair("effects", el("div", {}, ...receipt.effects.map((effect) => el("pre", {}, effect)), left > 0 ? `and ${left} more` : "")),
      ...pair("record", code(receipt.record)), ...pair("effects' digest", code(receipt.effects_digest)), ...pair("parameters", code(receipt.parameters)),
      ...pair("rules", code(receipt.rules)), ...pair("leaf", code(receipt.leaf)));
  }
  const plans = await fetch(`api/v1/plans?before=${BigInt(height) + 1n}&limit=1`).catch(() => null);
  const found = plans?.ok ? (await plans.json()).items.filter((plan) => plan.height === Number(height)) : [];
  $("plans").replaceChildren(...found.map(planned));
  if (!$("receipt").open) $("receipt").showModal();
}

// What a change of a mode rests on, means and leads back from.
function planned(plan) {
  const percent = (value) => (value === null ? "" : `${value}%`);
  const cells = (kind, ...texts) => texts.map((text) => el(kind, {}, text));
  const rows = plan.checks.map((check) => el("tr", {}, ...cells("td", check.name, check.asks, percent(check.value), percent(check.cautious), percent(check.reduce_only), percent(check.slack))));
  const head = el("tr", {}, ...cells("th", "looked at", "asks for", "value", "cautious from", "reduce-only from", "slack"));
  const of = plan.accounts;
  const lines = [
    `${of.holders} positions, ${of.distressed} in distress. Of the ${of.seen} accounts nearest to their triggers ${of.open_with} may open now, ${of.open_without} could before, ${of.reduce_with} may reduce.`,
    plan.denied.length ? `Denied from now on: ${plan.denied.join(", ")}.` : "",
    plan.permitted.length ? `Permitted again: ${plan.permitted.join(", ")}.` : "",
    `${plan.withdrawn} resting orders taken out, ${plan.refused_count} inputs refused.`,
    plan.resume ? `Back to ${plan.resume.to} at ${plan.resume.at} at the earliest, once ${plan.resume.calm_s} s are calm.` : "",
  ];
  return el("section", { class: "plan" }, el("h3", {}, `${plan.market}: ${plan.from} to ${plan.to}`), el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)), ...lines.filter((line) => line).map((line) => el("p", {}, line)));
}

// Acting: a statement, its text in full, and a key that stays here.

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function readKey(file) {
  const text = (await file.text()).trim();
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new Error("that file holds no key: 64 hexadecimal digits are one");
  // PKCS #8 around the 32 bytes.
  const wrapped = new Uint8Array([...bytes("302e020100300506032b657004220420"), ...bytes(text)]);
  const secret = await crypto.subtle.importKey("pkcs8", wrapped, { name: "Ed25519" }, true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", secret);
  const raw = atob(x.replace(/-/g, "+").replace(/_/g, "/"));
  const sealed = await crypto.subtle.importKey("pkcs8", wrapped, { name: "Ed25519" }, false, ["sign"]);
  return { secret: sealed, key: Array.from(raw, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("") };
}

function draft() {
  const { view, key } = state;
  const seconds = Math.round(Number($("acting-for").value) * Number($("acting-unit").value));
  const market = view.markets.find((found) => String(found.id) === $("acting-market").value);
  const because = $("acting-because").value.trim();
  const listed = key && view.governance.keys.find((found) => found.key === key.key);
  const problem = view.governance.keys.length === 0 ? "No keys are listed here: nobody can restrict a market by hand."
    : !(seconds > 0) || seconds > view.governance.tighten_max_s ? `One guardian restricts for at most ${span(view.governance.tighten_max_s * 1000)}.`
    : because === "" ? "Say why: it stands in the journal."
    : !key ? "Pick the file with your key."
    : !listed ? "That key is not listed here."
    : listed.role !== "guardian" ? `That key is a ${listed.role}'s: only a guardian restricts at once.` : null;
  $("acting-sign").disabled = problem !== null;
  const to = $("acting-to").value;
  $("acting-effect").textContent = problem ?? `${market.name} goes to ${to} at once${rank(market.mode) >= rank(to) ? " (it is there already, and stays)" : ""}: open interest ${money(market.open_interest)} USD, exits stay open. It ends by itself in ${span(seconds * 1000)} of the venue's time, and the way back goes by steps. Governors can ratify or lift it.`;
  $("acting-effect").className = problem ? "bad" : "";
  if (problem) {
    $("acting-text").textContent = "";
    return null;
  }
  const expires = view.at_micros + view.governance.statement_max_s * 500000;
  const text = ["seawall statement 1", `venue ${view.governance.venue}`, `key ${key.key}`, `nonce ${listed.nonce}`, `expires ${expires}`,
    `act tighten market=${market.id} to=${to} for=${seconds * 1000000}`, `because ${because}`, ""].join("\n");
  // What is shown is what is signed: it stands still while it is read, unless it must change.
  const alike = (other) => other && other.replace(/expires \d+/, "") === text.replace(/expires \d+/, "");
  const late = state.shown && Number(/expires (\d+)/.exec(state.shown)?.[1] ?? 0) - view.at_micros < view.governance.statement_max_s * 100000;
  if (!alike(state.shown) || late) state.shown = text;
  $("acting-text").textContent = state.shown;
  return state.shown;
}

function openActing() {
  if (!state.view || $("acting").open) return;
  const select = $("acting-market");
  select.replaceChildren(...state.view.markets.map((market) => el("option", { value: market.id }, market.name)));
  const chosen = state.view.markets.find((market) => market.name === state.market);
  if (chosen) select.value = String(chosen.id);
  $("acting-answer").textContent = "";
  draft();
  $("acting").showModal();
}

async function send(event) {
  event.preventDefault();
  const text = draft();
  if (!text) return;
  $("acting-sign").disabled = true;
  $("acting-answer").textContent = "sent";
  try {
    const signature = hex(await crypto.subtle.sign("Ed25519", state.key.secret, new TextEncoder().encode(text)));
    const answer = await fetch("api/v1/statements", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ text, signature }) });
    const said = await answer.json();
    $("acting-answer").textContent = answer.ok ? `Heard at height ${said.height}. The timeline has its receipt.` : `${said.title}: ${said.detail}`;
    $("acting-answer").className = answer.ok ? "" : "bad";
    if (answer.ok) $("acting-because").value = "";
  } catch (error) {
    $("acting-answer").textContent = `It was not sent: ${error.message}`;
    $("acting-answer").className = "bad";
  }
}

// Live.

function link(name, text) {
  if ($("link").dataset.state === name && $("link").textContent === text) return;
  $("link").dataset.state = name;
  $("link").textContent = text;
}

function listen() {
  const source = new EventSource("api/v1/stream");
  const alive = () => { state.heard = Date.now(); link("live", "live"); };
  source.addEventListener("view", (event) => { alive(); show(JSON.parse(event.data)); });
  source.addEventListener("entry", (event) => { alive(); addEntry(JSON.parse(event.data)); });
  source.addEventListener("reset", () => fillTimeline(false));
  source.addEventListener("cut", () => { source.close(); link("lost", "too slow, again soon"); setTimeout(listen, 1000); });
  source.addEventListener("open", () => { alive(); fillTimeline(false); });
  source.addEventListener("error", () => {
    link("lost", "no connection: this is old");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it is chosen anew next time */ }
  showCharts();
}

function move(step) {
  const rows = [...$("markets").tBodies[0].rows];
  const at = rows.findIndex((found) => found.dataset.market === state.market);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  if (next) choose(next.dataset.market);
}

document.addEventListener("keydown", (event) => {
  const writes = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const act = { j: () => move(1), k: () => move(-1), t: openActing, d: theme, "?": () => $("keyboard").showModal(),
    r: () => { const first = $("timeline").querySelector("button"); if (first) first.click(); } }[event.key];
  if (act) { event.preventDefault(); act(); }
});
try { const kept = localStorage.getItem("theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* none is kept */ }
$("theme").addEventListener("click", theme);
$("help").addEventListener("click", () => $("keyboard").showModal());
$("act").addEventListener("click", openActing);
$("each").addEventListener("change", filter);
$("older").addEventListener("click", () => fillTimeline(true));
$("acting-close").addEventListener("click", () => $("acting").close());
$("acting-form").addEventListener("submit", send);
$("acting-form").addEventListener("input", () => state.view && draft());
$("acting-key").addEventListener("change", async (event) => {
  state.key = null;
  $("acting-answer").textContent = "";
  try {
    if (event.target.files.length > 0) state.key = await readKey(event.target.files[0]);
  } catch (error) {
    $("acting-answer").textContent = error.message;
    $("acting-answer").className = "bad";
  }
  if (state.view) draft();
});
setInterval(() => { if (state.heard && Date.now() - state.heard > SILENT_MS) link("lost", "silent: this is old"); }, 1000);
setInterval(showCharts, 2000);
addEventListener("load", showCharts);
filter();
listen();
