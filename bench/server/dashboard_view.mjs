// How long the first view of a large sweep takes in a real browser: 1,000 runs with 10,000,000 points, against the time
// that it takes to look at every point once (what a page would wait for that thins in the browser, before it has sent
// any of them). Needs a build with tests.
//
//   node bench/server/dashboard_view.mjs BUILD_DIR [RUNS [POINTS_PER_RUN]]
import { execFileSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [build, runs = "1000", points = "10000"] = process.argv.slice(2);
if (!build) throw new Error("usage: dashboard_view.mjs BUILD_DIR [RUNS [POINTS_PER_RUN]]");
process.env.SCALELAW_BIN = join(resolve(build), "bin");
process.env.SCALELAW_SOURCE = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const { openBrowser, openPage, Service } = await import("../../tests/dashboard/service.mjs");

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const REPEATS = 5;

const service = new Service();
const browser = await openBrowser();
try {
  await service.startServer();
  const filling = performance.now();
  service.run("fill_study", service.address, "many", runs, points);
  console.log(
    `stored ${(runs * points).toLocaleString("en")} points of ${runs} runs in ${((performance.now() - filling) / 1000).toFixed(1)} s`,
  );

  const view = [];
  const answer = [];
  const all = [];
  for (let i = 0; i < REPEATS; ++i) {
    const page = await openPage(browser);
    // From the address to curves on the screen.
    const began = performance.now();
    await page.goto(`${service.url}/sweeps/many`);
    await page.getByText(/\d curves/).waitFor();
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    view.push(performance.now() - began);
    await page.context().close();

    const asked = performance.now();
    await (await fetch(`${service.url}/api/sweeps/many/curves?metric=loss`)).arrayBuffer();
    answer.push(performance.now() - asked);

    const looked = performance.now();
    execFileSync("sqlite3", [
      "-readonly",
      join(service.data, "scalelaw.db"),
      "select count(*), sum(value) from v_curves where metric = 'loss'",
    ]);
    all.push(performance.now() - looked);
  }
  const ms = (values) =>
    `${median(values).toFixed(0)} ms (median of ${REPEATS}, ${Math.min(...values).toFixed(0)} – ${Math.max(...values).toFixed(0)})`;
  console.log(`first view in the browser      ${ms(view)}`);
  console.log(`the server's curves alone      ${ms(answer)}`);
  console.log(`every point looked at by SQL   ${ms(all)}`);
  console.log(`ratio, every point : the view  ${(median(all) / median(view)).toFixed(1)}`);
} finally {
  await browser.close();
  await service.stop();
}
