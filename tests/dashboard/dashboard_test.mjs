// The dashboard as people use it: a real browser, a real server.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually, inked, openBrowser, openPage, screenshot, Service, sleep, SOURCE } from "./service.mjs";

const RUNS = 1000;

let browser;
before(async () => (browser = await openBrowser()));
after(() => browser.close());

const text = (page, selector) => page.locator(selector).first().innerText();
async function noTroubles(page) {
  assert.deepEqual(page.troubles, []);
  await page.context().close();
}
/** Nothing is wider than the screen, and everything that can be used has a name. */
async function isUsable(page, where) {
  const [wide, nameless] = await page.evaluate(() => {
    const named = (e) =>
      e.innerText?.trim() ||
      e.getAttribute("aria-label") ||
      e.labels?.length ||
      e.title ||
      e.getAttribute("placeholder");
    return [
      document.documentElement.scrollWidth - window.innerWidth,
      [...document.querySelectorAll("button, input, select, a, [role=img], progress")]
        .filter((e) => !named(e))
        .map((e) => e.outerHTML),
    ];
  });
  assert.ok(wide <= 0, `${where} is ${wide} pixels wider than the screen`);
  assert.deepEqual(nameless, [], `${where}: without a name`);
}

describe("finished studies", () => {
  const service = new Service();
  const law = {};
  before(async () => {
    await service.startServer();
    service.run("fill_study", service.address, "ladders");
    service.run("fill_study", service.address, "many", String(RUNS), "120");
    const fit = (name, study, ...options) =>
      (law[name] = JSON.parse(service.run("scalelaw", "fit", study, "--bootstrap", "200", "--json", ...options)).id);
    fit("alignment", "base", "--metric", "alignment", "--x", "flops");
    fit("better", "better", "--metric", "alignment", "--x", "flops");
    fit("surface", "base", "--metric", "val_loss", "--x", "params,samples");
  });
  after(() => service.stop());

  test("studies show their sweeps with what they cost", async () => {
    const page = await openPage(browser);
    await page.goto(service.url);
    await page.getByRole("link", { name: "base-ladder" }).waitFor();
    const study = page.getByRole("region", { name: "Study base" });
    assert.match(await study.innerText(), /37 \/ 37/);
    assert.match(await study.innerText(), /not measured/);
    await isUsable(page, "Studies");
    await screenshot(page, "studies-light");
    await page.getByRole("link", { name: "base-ladder" }).click();
    await page.getByRole("heading", { name: "base-ladder" }).waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "Studies" }).waitFor();
    await noTroubles(page);
  });

  test("a sweep of 1,000 runs is drawn whole, and only the rows in view exist", async () => {
    const page = await openPage(browser);
    await page.goto(`${service.url}/sweeps/many`);
    await page.getByText(`${RUNS} curves`).waitFor();
    assert.ok((await inked(page, ".chart-box")) > 10_000);
    const rows = await page.locator(".rows tbody tr:not(.space)").count();
    assert.ok(rows > 10 && rows < 60, `${rows} rows`);
    await page.locator(".rows").evaluate((box) => (box.scrollTop = box.scrollHeight));
    await page.getByRole("button", { name: "width=320 seed=100" }).waitFor();
    await isUsable(page, "Sweep");
    await screenshot(page, "sweep-1000-light");

    await page.getByRole("searchbox").fill("width=64 seed<=5");
    await page.getByText("5 of 1000 runs").waitFor();
    await page.getByText("5 curves").waitFor();
    await page.getByRole("button", { name: "loss", exact: true }).click();
    assert.equal(await page.locator(".rows thead th[aria-sort=ascending]").innerText(), "loss ▲");
    await page.getByLabel("log x").check();
    await page.getByRole("button", { name: "width=64 seed=3" }).click();
    await page.getByRole("region", { name: /^Run \d+$/ }).waitFor();
    await screenshot(page, "sweep-run-light");

    // Whoever gets the address sees the same.
    const other = await openPage(browser, { colorScheme: "dark" });
    await other.goto(page.url());
    await other.getByText("5 of 1000 runs").waitFor();
    assert.equal(await other.getByLabel("log x").isChecked(), true);
    await other.getByRole("region", { name: /^Run \d+$/ }).waitFor();
    await other.getByText("5 curves").waitFor();
    await screenshot(other, "sweep-run-dark");
    await noTroubles(other);
    await noTroubles(page);
  });

  test("a part of the curves is looked at closer, and the pointer names a run", async () => {
    const page = await openPage(browser);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${service.url}/sweeps/many?filter=width%3D64+seed%3D1`);
    await page.getByText("1 curve,").waitFor();
    const box = await page.locator(".chart-box").boundingBox();
    await page.mouse.move(box.x + 200, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + 500, box.y + 300, { steps: 4 });
    await page.mouse.up();
    await eventually("the part is asked for", () => asked.some((url) => url.includes("from=")));
    await page.getByRole("button", { name: "Reset zoom" }).click();
    await sleep(100);
    const middle = await page.evaluate(() => document.querySelector(".chart-box").getBoundingClientRect().height / 2);
    assert.ok(middle > 100);
    for (let y = box.y + 20; y < box.y + box.height - 50 && (await page.locator(".tip").count()) === 0; y += 12)
      await page.mouse.move(box.x + box.width / 2, y);
    assert.match(await text(page, ".tip"), /width=64 seed=1\nloss [\d.]+ at \d+ steps/);
    await noTroubles(page);
  });

  test("a plot is saved as SVG and PNG", async () => {
    const page = await openPage(browser);
    await page.goto(`${service.url}/laws/${law.alignment}`);
    for (const [button, name] of [
      [/as SVG$/, "svg"],
      [/as PNG$/, "png"],
    ]) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("region", { name: "By compute" }).getByRole("button", { name: button }).click(),
      ]);
      assert.equal(download.suggestedFilename(), `law-${law.alignment}-compute.${name}`);
      const { readFileSync } = await import("node:fs");
      const content = readFileSync(await download.path());
      assert.ok(name === "svg" ? content.toString().startsWith("<svg") : content.subarray(1, 4).toString() === "PNG");
      assert.ok(content.length > 3000);
    }
    await noTroubles(page);
  });

  test("a law answers for a budget as the command line does", async () => {
    const page = await openPage(browser);
    await page.goto(`${service.url}/laws/${law.surface}?budget=2e14`);
    await page.locator("[data-exact=yes]").waitFor();
    const best = JSON.parse(
      service.run("scalelaw", "optimal", "base", "--metric", "val_loss", "--flops", "2e14", "--json"),
    );
    const shown = await text(page, ".answers");
    const short = (value) => String(Number(value.toPrecision(4)));
    assert.ok(shown.includes(short(best.prediction.value)), `${shown} has no ${short(best.prediction.value)}`);
    assert.match(shown, /Best size N\*[\s\S]*parameters[\s\S]*Data D\*/);

    // At once while the slider moves, exactly when it rests; and the address keeps it.
    const slider = page.getByRole("slider", { name: "Training compute" });
    let answer;
    await page.route("**/optimal?*", (route) => (answer = route));
    await slider.focus();
    await page.keyboard.press("ArrowRight");
    await page.locator("[data-exact=no]").waitFor();
    assert.notEqual(await text(page, ".answers"), shown, "the slider does not wait for the server");
    (await eventually("the server is asked", () => answer)).continue();
    await page.locator("[data-exact=yes]").waitFor();
    await page.unroute("**/optimal?*");
    assert.match(page.url(), /budget=20[1-9]\d{12}$/);
    for (const region of ["By compute", "IsoFLOP curves", "Contours", "Residuals"])
      assert.ok((await inked(page, `section[aria-label="${region}"] .chart-box`)) > 2000, region);
    await isUsable(page, "Law");
    await screenshot(page, "law-surface-light");
    await page.goto(`${service.url}/laws/${law.surface}?budget=x`);
    await page.locator("[data-exact=yes]").waitFor();
    await noTroubles(page);
  });

  test("a law's forms are ranked where somebody asks", async () => {
    const page = await openPage(browser, { colorScheme: "dark" });
    await page.goto(`${service.url}/laws/${law.alignment}`);
    await page.locator("[data-exact=yes]").waitFor();
    await page.getByRole("button", { name: "Rank the forms" }).click();
    await page
      .getByRole("region", { name: "Forms" })
      .getByText("not worse than the best")
      .first()
      .waitFor({ timeout: 60_000 });
    await screenshot(page, "law-curve-dark");
    await noTroubles(page);
  });

  test("two recipes are compared by their compute", async () => {
    const page = await openPage(browser);
    await page.goto(`${service.url}/compare`);
    await page.getByLabel("A", { exact: true }).selectOption(String(law.better));
    await page.getByLabel("B", { exact: true }).selectOption(String(law.alignment));
    const verdict = page.getByRole("region", { name: "Verdict" });
    await verdict.waitFor({ timeout: 60_000 });
    // The runs of `better` are worth 1.7 times their compute.
    const times = Number(await verdict.locator("strong").innerText());
    assert.ok(times > 1.3 && times < 2.3, `${times} times`);
    await page.getByRole("region", { name: "Both curves" }).waitFor();
    await isUsable(page, "Compare");
    await screenshot(page, "compare-light");
    await noTroubles(page);
  });

  test("everything fits a phone", async () => {
    const page = await openPage(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    for (const [path, ready] of [
      ["/", "base-ladder"],
      ["/sweeps/base-ladder", "37 curves"],
      [`/laws/${law.surface}`, "Intervals are 95 %"],
      ["/compare", "Choose two laws"],
      ["/cluster", "filler"],
    ]) {
      await page.goto(service.url + path);
      await page.getByText(ready).first().waitFor();
      await isUsable(page, path);
      await screenshot(page, `phone${path.replaceAll("/", "-")}`);
    }
    await noTroubles(page);
  });

  test("all can be reached by keyboard alone", async () => {
    const page = await openPage(browser);
    await page.goto(service.url);
    await page.getByRole("link", { name: "base-ladder" }).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to the content");
    await page.getByRole("link", { name: "base-ladder" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("37 curves").waitFor();
    await page
      .getByRole("button", { name: /^params=50000 flops=3e\+?10/ })
      .first()
      .focus();
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: /^Run \d+$/ }).waitFor();
    await noTroubles(page);
  });

  test("an address without anything behind it says so", async () => {
    const page = await openPage(browser);
    await page.goto(`${service.url}/sweeps/nothing`);
    await page.getByRole("alert").getByText("no sweep").waitFor();
    await page.goto(`${service.url}/nowhere/at/all`);
    await page.getByText("nothing at this address").waitFor();
    await noTroubles(page);
  });
});

describe("a sweep that runs", () => {
  const service = new Service();
  before(() => service.startServer());
  after(() => service.stop());

  test("is followed live, over a restart of the server", async () => {
    const page = await openPage(browser);
    await page.goto(service.url);
    await page.getByText("Nothing has been submitted yet").waitFor();
    await screenshot(page, "empty-light");

    // It appears by itself.
    const sweep = join(service.root, "sweep.yaml");
    writeFileSync(
      sweep,
      `name: live
study: live
stages:
  - name: train
    command: [python3, ${SOURCE}/tests/dashboard/image_trainer.py]
    params: {steps: 400, step_seconds: 0.05}
    grid: {size: [1, 2, 4]}
    retries: {max: 0}
`,
    );
    service.run("scalelaw", "submit", sweep);
    await page.getByRole("link", { name: "live", exact: true }).click();
    await page.getByText("runs wait: ").waitFor();
    await page.goto(`${service.url}/cluster`);
    await page.getByText("No worker has ever connected").waitFor();

    service.startWorker(2);
    await page.getByRole("img", { name: "2 of 2 slots in use" }).waitFor();
    await page.getByText("waits for a free slot").waitFor();
    await isUsable(page, "Cluster");
    await screenshot(page, "cluster-light");

    await page.goto(`${service.url}/sweeps/live?run=1`);
    const step = async () =>
      Number(
        await page
          .getByRole("region", { name: "Run 1" })
          .locator("dt", { hasText: "Step" })
          .locator("+ dd")
          .innerText(),
      );
    const first = await eventually("the run has a step", step);
    await eventually("the step goes on", async () => (await step()) > first);
    await page.getByText("2 curves").waitFor();
    await page.locator(".log", { hasText: /step \d+ of 400/ }).waitFor();
    await page.locator(".samples img").first().waitFor();
    const width = await page
      .locator(".samples img")
      .first()
      .evaluate((image) => image.decode().then(() => image.naturalWidth));
    assert.equal(width, 24);
    const before = await inked(page, ".chart-box");
    assert.ok(before > 500);
    await screenshot(page, "live-light");

    await service.kill(service.server);
    await page.getByRole("alert").getByText("does not answer").waitFor();
    assert.equal(await page.getByRole("region", { name: "Run 1" }).count(), 1, "what was shown stays");
    await screenshot(page, "disconnected-light");
    const lost = await step();
    await service.startServer();
    await page.locator(".connection-live").waitFor();
    await eventually("the step goes on after the restart", async () => (await step()) > lost);
    await noTroubles(page);
  });
});
