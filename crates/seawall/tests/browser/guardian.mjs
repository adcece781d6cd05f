// A guardian's night in a real browser: a breaker trips, its receipt is read, a market is restricted with a signed statement, and the
// restriction lapses. Arguments: the page's address, the keys' directory, where pictures go. Whatever is not as it must be ends it.
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";

const [address, keys, pictures] = process.argv.slice(2);
const { chromium } = createRequire(join(process.env.SEAWALL_PLAYWRIGHT, "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath: process.env.SEAWALL_CHROMIUM, args: ["--no-sandbox"] });
const amiss = [];

async function open(options) {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(60000);
  // A refused statement is answered with an error, and the browser says so.
  const expected = /the server responded with a status of 4\d\d/;
  page.on("console", (said) => { if (["error", "warning"].includes(said.type()) && !expected.test(said.text())) amiss.push(said.text()); });
  page.on("pageerror", (error) => amiss.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) amiss.push(`outside: ${request.url()}`); });
  await page.goto(address);
  await page.waitForSelector("#link[data-state=live]");
  return page;
}

const entry = (page, text) => page.locator("#timeline li", { hasText: text });
const seen = [];

const page = await open({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
await page.waitForSelector("#markets tbody tr");

// A breaker trips.
const trip = entry(page, /Normal to (Cautious|ReduceOnly)/).last();
await trip.waitFor();
seen.push(`trip: ${(await trip.locator("strong").innerText()).trim()} ${(await trip.locator("span").innerText()).trim()}`);
await page.waitForSelector("#verdict[data-level=tightened], #verdict[data-level=needs_you]");

// Its receipt.
await trip.locator("button").click();
const receipt = page.locator("#receipt[open]");
await receipt.waitFor();
const told = await receipt.innerText();
assert.match(told, /Mode \{ market: MarketId\(\d+\), from: Normal/, "the receipt has the effect");
assert.equal((told.match(/[0-9a-f]{64}/g) ?? []).length, 5, "record, effects, parameters, rules, leaf");
await page.keyboard.press("Escape");

// Restricting a market: not without a reason, not with another's role, not with what is no key.
await page.keyboard.press("t");
await page.waitForSelector("#acting[open]");
await page.selectOption("#acting-market", { label: "BTC" });
await page.fill("#acting-for", "10");
const effect = page.locator("#acting-effect");
assert.match(await effect.innerText(), /Say why/);
await page.fill("#acting-because", "the book of one venue is empty");
await page.setInputFiles("#acting-key", { name: "no.key", mimeType: "text/plain", buffer: Buffer.from("hello") });
await page.locator("#acting-answer", { hasText: "holds no key" }).waitFor();
await page.setInputFiles("#acting-key", join(keys, "governor-1.key"));
await page.locator("#acting-effect", { hasText: "only a guardian" }).waitFor();
assert.equal(await page.locator("#acting-sign").isDisabled(), true);
await page.setInputFiles("#acting-key", join(keys, "guardian-1.key"));
await page.locator("#acting-effect", { hasText: "BTC goes to reduce-only at once" }).waitFor();
const statement = await page.locator("#acting-text").textContent();
assert.match(statement, /^seawall statement 1\nvenue [0-9a-f]{64}\nkey [0-9a-f]{64}\nnonce 1\nexpires \d+\nact tighten market=\d+ to=reduce-only for=600000000\nbecause the book of one venue is empty\n$/);
await page.click("#acting-sign");
await page.locator("#acting-answer", { hasText: /Heard at height \d+/ }).waitFor();
await page.click("#acting-close");
const held = entry(page, "held to reduce-only by the guardian of key 0").first();
await held.waitFor();
await page.locator("#plans", { hasText: "BTC held to reduce-only" }).waitFor();
seen.push(`held: ${(await held.locator("span").innerText()).trim()}`);
const at = (line) => line.locator("time").getAttribute("title").then((iso) => Date.parse(iso));
const begun = await at(held);
await held.locator("button").click();
assert.match(await page.locator("#receipt[open]").innerText(), /Imposed \{ market/);
await page.keyboard.press("Escape");

// It lapses by itself.
const over = entry(page, "a restriction is over").first();
await over.waitFor();
await page.locator("#plans", { hasText: "Nothing is asked for" }).waitFor();
const lasted = (await at(over)) - begun;
assert.ok(lasted >= 600000 && lasted < 602000, `it lasted ${lasted} ms`);
seen.push(`lapsed after ${lasted / 1000} s of the venue's time`);

// The same on a phone, in the dark.
await page.evaluate(() => scrollTo(0, 0));
await page.waitForTimeout(2500);
await page.screenshot({ path: join(pictures, "light.png") });
const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark" });
await phone.waitForSelector("#markets tbody tr");
await phone.waitForTimeout(2500);
const wide = await phone.evaluate(() => document.documentElement.scrollWidth);
assert.ok(wide <= 390, `the page is ${wide} wide on a phone`);
await phone.screenshot({ path: join(pictures, "phone.png"), fullPage: true });
const dark = await open({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
await dark.waitForTimeout(2500);
await dark.screenshot({ path: join(pictures, "dark.png") });
await dark.keyboard.press("?");
await dark.waitForSelector("#keyboard[open]");

assert.deepEqual(amiss, []);
await browser.close();
writeFileSync(join(pictures, "seen.txt"), seen.join("\n"));
console.log(seen.join("\n"));
