// Pictures of every view: node screenshots.js FOLDER

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { Lab, launch, networkFile, openPage, sweepFile, until } from "./lab.js";

const folder = path.resolve(process.argv[2] ?? "screenshots");
await mkdir(folder, { recursive: true });
const lab = await Lab.start({ slots: 4 });
let browser;
try {
  browser = await launch();
  const ended = (name) => until(`${name} has ended`, async () => (await lab.get(`sweeps/${name}`)).state !== "active", 600000);
  const levels = [0, 0.15, 0.4, 0.6, 0.8, 0.9, 0.95];
  await lab.submit(networkFile("demo", { levels, seeds: 5, epochs: 15 }));
  await lab.submit(sweepFile("first", { dropout: levels, rates: [0.001, 0.01], seeds: 3 }));
  await lab.submit(sweepFile("second", { dropout: levels, rates: [0.001, 0.01], seeds: 3, settings: { epochs: 12 } }));
  await lab.submit(sweepFile("broken", { dropout: [0, 0.5], seeds: 3, attempts: 1, settings: { "fail-at": 0.5, pause: 0 } }));
  await Promise.all(["demo", "first", "second", "broken"].map(ended));
  const task = (await lab.get("sweeps/demo/grid")).rows[3].id;
  const failed = (await lab.get("sweeps/broken/grid")).rows[1].id;
  // One that is under way, with a failure.
  await lab.submit(sweepFile("under-way", { dropout: levels, rates: [0.001, 0.01, 0.1], seeds: 10, attempts: 1, settings: { epochs: 20, pause: 0.12, "fail-at": 0.4 } }));
  await lab.submit(sweepFile("waiting", { dropout: [0, 0.5] }));
  await until("some tasks are done", async () => (await lab.get("sweeps/under-way")).tasks.done >= 24, 600000);

  // The two pictures of the documentation.
  const small = await openPage(browser, { viewport: { width: 980, height: 620 } });
  await small.goto(`${lab.url}/sweeps/under-way`);
  await small.locator("#grid .cell.running").first().waitFor();
  await small.waitForTimeout(5500);
  await small.screenshot({ path: path.join(folder, "dashboard.png") });
  await small.goto(`${lab.url}/sweeps/demo/results`);
  await small.locator("#chart canvas").waitFor();
  await small.setViewportSize({ width: 980, height: 900 });
  await small.waitForTimeout(500);
  await small.screenshot({ path: path.join(folder, "dashboard-results.png") });

  const views = {
    sweeps: ["/", "#sweeps tbody tr"],
    submit: ["/submit", "#source"],
    overview: ["/sweeps/under-way", "#grid .cell.running"],
    results: ["/sweeps/demo/results", "#chart canvas"],
    forming: ["/sweeps/under-way/results", "#chart canvas"],
    curves: ["/sweeps/demo/curves", "#chart canvas"],
    tasks: ["/sweeps/under-way/tasks", "#tasks tbody tr"],
    task: [`/sweeps/demo/tasks/${task}/2`, "#curves canvas"],
    failed: [`/sweeps/broken/tasks/${failed}/1`, "#failures pre"],
    compare: ["/compare?sweeps=first,second", "#comparison table"],
    across: ["/compare?sweeps=first,second,under-way", "#comparison"],
    workers: ["/workers", "#workers article"],
    missing: ["/nothing", "h1"],
  };
  const kinds = {
    wide: { viewport: { width: 1280, height: 800 } },
    narrow: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 },
    dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
    "narrow-dark": { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme: "dark" },
  };
  for (const [kind, options] of Object.entries(kinds)) {
    const page = await openPage(browser, options);
    for (const [name, [address, shown]] of Object.entries(views)) {
      await page.goto(lab.url + address);
      await page.locator(shown).first().waitFor();
      // Long enough for the second picture of things that move.
      await page.waitForTimeout(name === "sweeps" || name === "overview" ? 5500 : 400);
      await page.screenshot({ path: path.join(folder, `${name}-${kind}.png`), fullPage: true });
    }
    await page.goto(`${lab.url}/sweeps/under-way`);
    await page.getByRole("button", { name: "Priority…" }).click();
    await page.screenshot({ path: path.join(folder, `dialog-${kind}.png`) });
    console.log(kind, page.troubles);
    await page.context().close();
  }
} finally {
  await browser?.close();
  await lab.stop();
}
