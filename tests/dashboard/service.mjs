// The programs, started and ended by tests, and a browser to look at them with.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const BIN = process.env.SCALELAW_BIN;
export const SOURCE = process.env.SCALELAW_SOURCE;
const SCREENSHOTS = process.env.SCALELAW_SCREENSHOTS;
// The browser's driver is among the dashboard's own packages.
const { chromium } = createRequire(join(SOURCE, "dashboard/package.json"))("playwright-core");

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export async function eventually(what, condition, seconds = 60) {
  for (const end = Date.now() + 1000 * seconds; ; await sleep(50)) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
  }
}

export class Service {
  constructor() {
    this.root = mkdtempSync(join(tmpdir(), "scalelaw-dashboard-"));
    this.data = join(this.root, "data");
    this.processes = [];
  }
  spawn(program, ...argv) {
    const child = spawn(join(BIN, program), argv, { stdio: ["ignore", "ignore", "inherit"] });
    this.processes.push(child);
    return child;
  }
  async startServer() {
    const files = ["server.addr", "http.addr"].map((name) => join(this.data, name));
    for (const file of files) if (existsSync(file)) unlinkSync(file);
    // The same addresses again after a restart.
    const options = this.address
      ? ["--listen", this.address, "--http", this.url.slice("http://".length)]
      : ["--listen", "127.0.0.1:0"];
    this.server = this.spawn("scalelaw-server", "--data", this.data, ...options);
    await eventually("the server listens", () => existsSync(files[0]));
    [this.address, this.url] = files.map((file) => readFileSync(file, "utf8").trim());
    this.url = `http://${this.url}`;
  }
  startWorker(slots) {
    this.worker = this.spawn(
      "scalelaw-worker",
      "--server",
      this.address,
      "--work-dir",
      join(this.root, "work"),
      "--slots",
      String(slots),
    );
  }
  async kill(process) {
    const ended = new Promise((done) => process.once("exit", done));
    process.kill("SIGKILL");
    await ended;
  }
  run(program, ...argv) {
    return execFileSync(join(BIN, program), argv, {
      encoding: "utf8",
      env: { ...process.env, SCALELAW_SERVER: this.address },
    });
  }
  async stop() {
    // The worker before its server: what it runs is over when the server has heard so.
    for (const child of this.processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A page that keeps what went wrong in it in `page.troubles`. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  page.on("console", (message) => {
    // A server that is gone, and a page that is not there, are part of the tests.
    if (
      message.type() === "error" &&
      !message.text().includes("Failed to load resource") &&
      !message.text().includes("net::ERR")
    )
      page.troubles.push(message.text());
  });
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1:|data:|blob:)/.test(request.url())) page.troubles.push(`asks for ${request.url()}`);
  });
  return page;
}

export async function screenshot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** How many pixels of the first plot are not its ground: 0 where nothing is drawn. */
export async function inked(page, plot) {
  return page
    .locator(plot)
    .first()
    .evaluate((box) => {
      let count = 0;
      for (const canvas of box.querySelectorAll("canvas")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 3; i < data.length; i += 4) if (data[i] > 0) ++count;
      }
      return count;
    });
}
