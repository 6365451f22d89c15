// A single task is cancelled in its page, and retried.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { Lab, launch, openPage, sweepFile, until } from "./lab.js";

let lab;
let browser;

before(async () => {
  lab = await Lab.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

it("cancels a running task, and the sweep goes on", async () => {
  const page = await openPage(browser);
  await lab.submit(sweepFile("partly", { dropout: [0, 0.5], seeds: 3, settings: { gate: "gate-partly" } }));
  const tasks = async () => (await lab.get("sweeps/partly/tasks")).tasks;
  await until("two tasks run", async () => (await tasks()).filter((task) => task.state === "running").length === 2);
  const running = (await tasks()).find((task) => task.state === "running");
  await page.goto(`${lab.url}/sweeps/partly/tasks/${running.configuration}/${running.seed}`);
  const state = (word) => page.locator("#facts").getByText(word, { exact: true }).waitFor();
  await state("running");
  const button = (name) => page.getByRole("button", { name, exact: true });
  await button("Cancel this task…").click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the task", exact: true }).click();
  await state("cancelled");
  await page.getByText("It is cancelled.").waitFor();
  assert.equal((await lab.get("sweeps/partly")).state, "active");
  assert.equal(await button("Cancel this task…").count(), 0);
  await button("Retry this task…").click();
  await page.getByRole("dialog").getByRole("button", { name: "Retry", exact: true }).click();
  await button("Cancel this task…").waitFor();
  assert.equal((await lab.get("sweeps/partly")).tasks.cancelled, 0);
  assert.deepEqual(page.troubles, [], "errors and warnings in the page");
  await page.context().close();
});
