// What the pages show of tasks that run, and of the hosts that run them.

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { Lab, axeSource, launch, openPage, sweepFile, until } from "./lab.js";

let lab;
let browser;
let page;

before(async () => {
  lab = await Lab.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

async function inPage(work, options) {
  page = await openPage(browser, options);
  try {
    await work();
    assert.deepEqual(page.troubles, [], "errors and warnings in the page");
  } finally {
    await page.context().close();
  }
}

const go = (path) => page.goto(lab.url + path);
const text = (selector) => page.locator(selector).textContent();
/** The cells of the chart's data, row by row. */
const data = () => page.locator("#chart-data tbody tr").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));
/** The last epoch that is shown of each task. */
const last = async () => (await data()).map((cells) => Number(/(\d+)( of|,|$)/.exec(cells[1])?.[1] ?? 0));

async function accessible() {
  await page.evaluate(await axeSource());
  const found = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
}

describe("what runs", () => {
  it("has curves that grow, and become those of the results", () =>
    inPage(async () => {
      await lab.submit(sweepFile("growing", { dropout: [0.2, 0.8], seeds: 1, settings: { epochs: 600, pause: 0.2 } }));
      await go("/sweeps/growing/curves");
      await page.locator("#chart canvas").waitFor();
      await until("both tasks have curves", async () => /^2 running tasks, a line for each\. A line with a dot/.test(await text("#state")));
      await until("some epochs are there", async () => (await last()).every((epoch) => epoch > 2));
      await page.locator("#chart canvas").evaluate((canvas) => (canvas.dataset.first = "yes"));
      const before = await last();
      await until("they have grown", async () => (await last()).every((epoch, at) => epoch > before[at]));
      assert.equal((await lab.get("sweeps/growing")).tasks.done, 0, "no task is finished");
      assert.equal(await page.locator("#chart canvas").getAttribute("data-first"), "yes", "the chart stays");
      assert.match((await data())[0][0], /seed \d+ running$/);
      await accessible();

      const { rows, seeds } = await lab.get("sweeps/growing/grid");
      const task = `/sweeps/growing/tasks/${rows[0].id}/${seeds[0]}`;
      const other = await page.context().newPage();
      await other.goto(lab.url + task);
      await other.locator("#curves canvas").waitFor();
      const epochs = () => other.locator("#chart-data tbody tr").count();
      const known = await epochs();
      await until("the page of a task grows too", async () => (await epochs()) > known);
      assert.equal(await other.locator("#known").textContent(), "");
      assert.ok(await other.locator("#result").isHidden());
      await writeFile(lab.file("hurry"), "");
      await other.locator("#result").waitFor({ state: "visible", timeout: 120000 });
      await until("its history is whole", async () => (await epochs()) === 600);
      await other.close();

      await until("both are finished", async () => /^2 finished tasks, a line for each\.$/.test(await text("#state")));
      assert.deepEqual((await data()).map((cells) => cells[1]), ["1 to 600", "1 to 600"]);
      assert.ok((await data()).every((cells) => !cells[0].includes("running")));
      await rm(lab.file("hurry"));
    }));

  it("says from where curves are known, after the coordinator was lost", () =>
    inPage(async () => {
      await lab.submit(sweepFile("late", { dropout: [0.5], seeds: 1, settings: { epochs: 2000, pause: 0.05 } }));
      await until("epochs are known", async () => {
        const { rows } = await lab.get("sweeps/late/grid");
        const { running } = await lab.get(`sweeps/late/curves?configurations=${rows[0].id}`);
        return running[0]?.curves.epochs.length > 3;
      });
      const { address } = lab;
      await lab.kill("coordinator");
      await lab.startCoordinator(address);
      await go("/sweeps/late/curves");
      await page.locator("#chart canvas").waitFor();
      assert.match(await text("#state"), /Of running tasks the earlier epochs are known when they are done\.$/);
      await lab.call("POST", "sweeps/late/cancel");
      await until("nothing of it is left", async () => /^Curves appear as soon as/.test(await text("#state")));
    }));

  it("has hosts whose processors and memory are shown", () =>
    inPage(async () => {
      await go("/workers");
      const meters = page.getByRole("meter");
      await until("they are measured", async () => (await meters.count()) >= 2);
      const [processors, memory] = await meters.evaluateAll((all) => all.map((one) => one.getAttribute("aria-valuetext")));
      assert.match(processors, /^[\d.]+ of [\d.]+ busy, [\d.]+ by the worker/);
      assert.match(memory, /^[\d.]+ GiB of [\d.]+ GiB used, [\d.]+ GiB by the worker/);
      await accessible();
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await accessible();
      }
    }));

  it("says nothing of hosts of which nothing is known, and shows GPUs", () =>
    inPage(async () => {
      const { workers } = await lab.get("workers");
      const usage = { at: "2026-01-01T00:00:00Z", processors: 2.5, processors_busy: null, processors_busy_own: null, processors_of_group: true, memory: null, memory_used: null, memory_used_own: null, memory_of_group: false, gpus: [{ uuid: "GPU-1", name: "NVIDIA H100", busy_percent: 42, memory: 80 * 2 ** 30, memory_used: 2 ** 30 }] };
      const answer = [{ ...workers[0], id: "older", usage: null }, { ...workers[0], id: "newer", usage }];
      await page.route("**/api/v1/workers", (route) => route.fulfill({ json: { workers: answer } }));
      await go("/workers");
      const older = page.locator("[data-worker=older]");
      await older.getByText("What its host does is unknown.").waitFor();
      assert.equal(await older.getByRole("meter").count(), 0);
      const newer = page.locator("[data-worker=newer]");
      assert.deepEqual(await newer.getByRole("meter").evaluateAll((all) => all.map((one) => one.getAttribute("aria-valuetext"))), ["42 % busy, NVIDIA H100", "1.0 GiB of 80.0 GiB used"]);
      assert.equal(await newer.locator(".gauges").getByText("unknown").count(), 2);
    }));
});
