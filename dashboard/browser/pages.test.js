// The pages in a real browser, with the real coordinator and worker.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { axeSource, networkFile, sweepFile, until } from "./lab.js";
import { patience, report, stage } from "./stage.js";

let page;
const { lab, inPage, go, ended, letters, confirm, leave } = stage((opened) => (page = opened));

describe("the dashboard", () => {
  it("submits a sweep, shows the diagnostics of a refusal, and follows it live to its end", () =>
    inPage(async () => {
      await go("/submit");
      page.allowed.push(/422/);
      await page.locator("#source").fill("name: live\nprogram: {comand: [x]}\n");
      await page.getByRole("button", { name: "Submit" }).click();
      await page.locator("#diagnostics").getByText("there is no key `comand`").waitFor();
      assert.match(await page.locator("#diagnostics").textContent(), /\^\^\^/);

      const source = lab().placed(sweepFile("live", { dropout: [0, 0.5], seeds: 3, settings: { gate: "gate-live", pause: 0 } }));
      await page.locator("#file").setInputFiles({ name: "live.yaml", mimeType: "text/yaml", buffer: Buffer.from(source) });
      await until("the file is in the form", async () => (await page.locator("#source").inputValue()) === source);
      await page.getByRole("button", { name: "Submit" }).click();
      await page.waitForURL(/\/sweeps\/live$/);
      await until("two tasks run", async () => (await letters()) === "PPPPRR");

      // From the moment when the program may end to the letter in the grid.
      await page.evaluate(() => {
        globalThis.seen = new Promise((resolve) => {
          const look = () => [...document.querySelectorAll("#grid .cell.done")].length > 0 && resolve(Date.now());
          new MutationObserver(look).observe(document.getElementById("grid"), { subtree: true, childList: true, attributes: true });
        });
      });
      await lab().open("gate-live-0");
      // The journal knows when the result was recorded; the page's clock is the same.
      const seen = await page.evaluate(() => globalThis.seen);
      const results = await lab().get("sweeps/live/results");
      const recorded = Math.min(...results.configurations.flatMap((row) => row.tasks).filter((task) => task.recorded_at).map((task) => Date.parse(task.recorded_at)));
      report(`a finished task is seen after ${seen - recorded} ms`);
      assert.ok(seen - recorded < 1000 * patience, `${seen - recorded} ms`);

      await lab().open("gate-live");
      await until("all are done in the page", async () => (await letters()) === "DDDDDD");
      await page.locator("#summary .badge.complete").waitFor();
      await page.locator("#summary").getByText("6 of 6 tasks done").waitFor();
    }));

  it("lists sweeps, filters them, and keeps the filter in the address", () =>
    inPage(async () => {
      await lab().submit(sweepFile("other", { dropout: [0, 0.5], seeds: 2 }));
      await ended("other");
      await go("/");
      await page.locator('#sweeps tr[data-sweep="live"]').waitFor();
      await page.locator('#sweeps tr[data-sweep="other"]').waitFor();
      await page.locator("#filter").fill("liv");
      await until("one is left", async () => (await page.locator("#sweeps tbody tr").count()) === 1);
      assert.match(page.url(), /filter=liv/);
      await page.reload();
      await page.locator('#sweeps tr[data-sweep="live"]').waitFor();
      assert.equal(await page.locator("#sweeps tbody tr").count(), 1);
    }));

  it("sorts and filters results, draws them, and offers them as files", () =>
    inPage(async () => {
      await lab().submit(sweepFile("table", { dropout: [0, 0.3, 0.9], rates: [1, 2], seeds: 3, settings: { pause: 0, epochs: 3 } }));
      await ended("table");
      await go("/sweeps/table/results");
      await page.locator("#results tbody tr").first().waitFor();
      const accuracies = async () => (await page.locator("#results tbody tr").evaluateAll((rows) => rows.map((row) => Number.parseFloat(row.cells[4].textContent))));
      assert.equal((await accuracies()).length, 6);
      await page.locator("#results").getByRole("button", { name: "accuracy", exact: true }).click();
      const up = await accuracies();
      assert.deepEqual(up, [...up].sort((a, b) => a - b));
      await page.locator("#results").getByRole("button", { name: "accuracy", exact: true }).click();
      assert.deepEqual(await accuracies(), [...up].reverse());
      assert.equal(await page.locator('#results th[aria-sort="descending"]').count(), 1);
      assert.match(page.url(), /sort=accuracy&descending=1/);
      await page.locator("#filter").fill("dropout=0.9");
      await until("two are left", async () => (await accuracies()).length === 2);
      await page.locator("#chart canvas").waitFor();
      await page.locator("#charts summary").click();
      assert.equal(await page.locator("#chart-data tbody tr").count(), 3);
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "CSV", exact: true }).click();
      assert.equal((await download).suggestedFilename(), "table.csv");
      await go("/sweeps/table/curves");
      await page.locator("#chart canvas").waitFor();
      await go("/compare?sweeps=live,other");
      await page.locator("#comparison table").waitFor();
    }));

  it("shows verdicts and the baseline of a sweep over a network", () =>
    inPage(async () => {
      await lab().submit(networkFile("network"));
      await go("/sweeps/network");
      await until("a network has been trained", async () => (await lab().get("sweeps/network")).state === "complete", 120000);
      await go("/sweeps/network/results");
      await page.locator("#results [class*=verdict-]").first().waitFor();
      const shown = await page.locator("#results [class*=verdict-]").allTextContents();
      assert.equal(shown.length, 3);
      for (const verdict of shown) assert.match(verdict, /^(PCL|NCL|equivalent|inconclusive)$/);
      assert.equal(await page.locator("#results .badge").getByText("best", { exact: true }).count(), 1);
      await page.locator("#charts .u-legend").getByText("baseline unimodal").waitFor();
      await page.locator("#verdict").selectOption(shown[0]);
      await until("only these are shown", async () => new Set(await page.locator("#results [class*=verdict-]").allTextContents()).size === 1);
    }));

  it("cancels, after a question", () =>
    inPage(async () => {
      await lab().submit(sweepFile("stopped", { dropout: [0, 0.5], seeds: 3, settings: { gate: "never" } }));
      await go("/sweeps/stopped");
      await until("two tasks run", async () => (await letters()).includes("RR"));
      await page.getByRole("button", { name: "Cancel…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "No, leave it" }).click();
      assert.equal((await lab().get("sweeps/stopped")).state, "active");
      await confirm("Pause…", "Pause");
      await page.locator("#summary .badge.paused").waitFor();
      await confirm("Resume…", "Resume");
      await page.locator("#summary .badge.active").waitFor();
      await confirm("Cancel…", "Cancel the sweep");
      await until("all are cancelled in the page", async () => (await letters()) === "CCCCCC");
      assert.equal((await lab().get("sweeps/stopped")).state, "cancelled");
      // A refusal is shown in the dialog.
      page.allowed.push(/404|422|409/);
      await page.getByRole("button", { name: "Extend…" }).click();
      await page.getByRole("dialog").locator("textarea").fill("name: x");
      await page.getByRole("dialog").getByRole("button", { name: "Extend" }).click();
      await page.getByRole("dialog").locator(".diagnostics").waitFor();
      await leave();
      await confirm("Remove…", "Remove for ever");
      await page.waitForURL(`${lab().url}/`);
    }));

  it("says why a sweep was stopped", () =>
    inPage(async () => {
      const settings = { "fail-at": 0.5, pause: 0 };
      await lab().submit(`${sweepFile("halted", { dropout: [0.5, 0.6, 0.7, 0.8], seeds: 3, attempts: 1, settings })}stop_after_failures: 1\norder: by_configuration\n`);
      await ended("halted");
      await go("/sweeps/halted");
      await page.locator("#summary .why").getByText("Stopped: ").waitFor();
      assert.equal((await lab().get("sweeps/halted")).state, "failed");
      assert.ok((await letters()).includes("C"), "what had not begun is cancelled");
      await go("/");
      await page.locator("#sweeps .why").getByText("`stop_after_failures`").waitFor();
    }));

  it("shows why a task failed, in letters that are only text, and retries it", () =>
    inPage(async () => {
      await lab().submit(sweepFile("broken", { dropout: [0, 0.5], seeds: 1, attempts: 1, settings: { "fail-at": 0.5, pause: 0 } }));
      await ended("broken");
      await go("/sweeps/broken");
      await page.locator("#failures li").getByText("crash").waitFor();
      await page.locator("#grid").getByRole("link", { name: "dropout=0.5, seed 0: failed" }).click();
      await page.locator("#log").getByText("<b>no memory</b>").waitFor();
      await lab().open("repaired");
      await confirm("Retry this task…", "Retry");
      await page.locator("#facts .badge.done").waitFor();
      await page.locator("#curves canvas").waitFor();
      assert.equal((await lab().get("sweeps/broken")).state, "complete");
    }));

  it("survives the death of the coordinator, and catches up", () =>
    inPage(async () => {
      await lab().submit(sweepFile("survivor", { dropout: [0, 0.5], seeds: 2, settings: { gate: "gate-survivor", pause: 0 } }));
      await go("/sweeps/survivor");
      await until("two tasks run", async () => (await letters()) === "PPRR");
      page.allowed.push(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
      await lab().kill("coordinator");
      await page.locator("#connection").getByText("Disconnected, trying again").waitFor();
      await lab().open("gate-survivor");
      const { address } = lab();
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await lab().startCoordinator(address);
      await until("the page has caught up", async () => (await letters()) === "DDDD");
      await page.locator("#connection").waitFor({ state: "hidden" });
    }));

  it("drains a worker, and undrains it", () =>
    inPage(async () => {
      // A worker that is drained and idle would end.
      await lab().submit(sweepFile("busy", { dropout: [0], seeds: 2, settings: { gate: "gate-busy", pause: 0 } }));
      await go("/workers");
      await page.locator("#workers").getByRole("link", { name: "busy: dropout=0, seed 0" }).waitFor();
      await page.locator("#workers button").click();
      await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
      await page.locator("#workers .badge.draining").waitFor();
      await page.locator("#workers button").click();
      await page.getByRole("dialog").getByRole("button", { name: "Undrain" }).click();
      await page.locator("#workers .badge.connected").waitFor();
      await lab().open("gate-busy");
      await ended("busy");
    }));

  it("moves in the grid by keys, and opens a task", () =>
    inPage(async () => {
      await go("/sweeps/live");
      await until("the grid is there", async () => (await letters()) === "DDDDDD");
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
      await page.locator("#grid a[tabindex='0']").focus();
      for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
      assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "dropout=0.5, seed 2: done");
      assert.equal(await page.locator("#grid a[tabindex='0']").count(), 1);
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/sweeps\/live\/tasks\/[0-9a-f]{16}\/2$/);
      await page.locator("#facts .badge.done").waitFor();
    }));

  it("sees long tasks, for the test after this one", () =>
    inPage(async () => {
      await go("/submit");
      await page.evaluate(() => setTimeout(() => { const end = performance.now() + 250; while (performance.now() < end); }, 0));
      await until("it is seen", async () => (await page.evaluate(() => Math.max(0, ...globalThis.longTasks))) > 200);
    }));

  it("has a heading above every seed in sight", () =>
    inPage(async () => {
      await lab().submit(sweepFile("wide", { dropout: [0.1, 0.2], seeds: 2500, settings: { gate: "never" } }));
      await go("/sweeps/wide");
      await until("it runs", async () => (await letters()).includes("R"));
      await page.locator("#grid a[tabindex='0']").focus();
      await page.keyboard.press("Control+End");
      await page.locator("#grid").getByRole("columnheader", { name: "…99" }).and(page.locator("[title='seed 2499']")).waitFor();
      assert.ok((await page.locator("#grid [role=columnheader]").count()) < 200, "only those in sight are in the document");
      await lab().call("POST", "sweeps/wide/cancel");
    }));

  it("stays responsive with 10,000 tasks", () =>
    inPage(async () => {
      const dropout = Array.from({ length: 2000 }, (_, at) => at / 2000);
      await lab().submit(sweepFile("large", { dropout, seeds: 5, settings: { gate: "never" } }));
      await go("/sweeps/large");
      await until("two tasks run", async () => (await letters()).includes("RR"));
      assert.ok((await page.locator("#grid .cell").count()) < 400, "only what is seen is in the document");
      const grid = page.locator("#grid .grid");
      await page.locator("#grid a[tabindex='0']").focus();
      await page.keyboard.press("Control+End");
      assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "dropout=0.9995, seed 4: pending");
      for (let at = 0; at <= 20; at += 1) {
        await grid.evaluate((box, part) => (box.scrollTop = part * box.scrollHeight), at / 20);
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
      const longest = async () => Math.round(Math.max(0, ...(await page.evaluate(() => globalThis.longTasks))));
      const measured = { grid: await longest() };
      await go("/sweeps/large/results");
      await until("the table is there", async () => (await page.locator("#results tbody tr").count()) === 100);
      await page.locator("#results").getByRole("button", { name: "dropout", exact: true }).click();
      await page.locator("#filter").fill("0.99");
      await until("it is filtered", async () => (await page.locator("#results tbody tr").count()) < 100);
      measured.results = await longest();
      await go("/sweeps/large/tasks?filter=dropout%3D0.5");
      await page.locator("#count").getByText("1,000 tasks").waitFor();
      measured.tasks = await longest();
      report(`longest tasks of the page with 10,000 tasks, in ms: ${JSON.stringify(measured)}`);
      await lab().call("POST", "sweeps/large/cancel");
      for (const [view, time] of Object.entries(measured)) assert.ok(time < 200 * patience, `${view}: ${time} ms`);
    }));

  it("answers unknown paths with a page, and those of the API and gRPC in their own way", () =>
    inPage(async () => {
      page.allowed.push(/404/);
      const answer = await go("/nothing/here");
      assert.equal(answer.status(), 404);
      await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
      const api = await fetch(`${lab().url}/api/v1/nothing`);
      assert.equal(api.status, 404);
      assert.equal((await api.json()).error.code, "not_found");
      const grpc = await fetch(`${lab().url}/some.Service/Method`, { method: "POST", headers: { "content-type": "application/grpc" } });
      assert.equal(grpc.headers.get("grpc-status"), "12");
      await go("/sweeps/nosuch");
      await page.locator("#error").getByText("nosuch").waitFor();
    }));

  it("loads in less than 500 kB", async () => {
    const views = { "/": "#sweeps tbody tr", "/sweeps/table": "#grid .cell.done", "/sweeps/table/results": "#chart canvas", "/sweeps/table/curves": "#chart canvas" };
    for (const [path, shown] of Object.entries(views)) {
      await inPage(async () => {
        const session = await page.context().newCDPSession(page);
        await session.send("Network.enable");
        let bytes = 0;
        session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
        await go(path);
        await page.locator(shown).first().waitFor();
        report(`${path}: ${(bytes / 1000).toFixed(1)} kB as sent`);
        assert.ok(bytes > 1000 && bytes < 500_000, `${path}: ${bytes}`);
      });
    }
  });

  it("has no serious barrier in any view, in light and dark, and fits on a phone", async () => {
    const { rows } = await lab().get("sweeps/broken/grid");
    const task = `/sweeps/broken/tasks/${rows[0].id}/0`;
    const views = {
      "/": "#sweeps tbody tr",
      "/submit": "#source",
      "/sweeps/table": "#grid .cell.done",
      "/sweeps/broken": "#grid .cell.done",
      "/sweeps/table/results": "#chart canvas",
      "/sweeps/table/curves": "#chart canvas",
      "/sweeps/table/tasks": "#tasks tbody tr",
      [task]: "#curves canvas",
      "/compare?sweeps=live,other": "#comparison table",
      "/workers": "#workers article",
      "/nothing": "h1",
    };
    const axe = await axeSource();
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 360]) {
        await inPage(async () => {
          page.allowed.push(/404/);
          for (const [view, shown] of Object.entries(views)) {
            await go(view);
            await page.locator(shown).first().waitFor();
            // Not through a script element, which the policy of the page forbids.
            await page.evaluate(axe);
            const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
            const grave = found.violations.filter((it) => ["serious", "critical"].includes(it.impact));
            assert.deepEqual(grave.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(" ")}`), [], `${view} ${colorScheme} ${width}`);
            const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(over <= 0, `${view} is ${over} px too wide at ${width}`);
          }
        }, { colorScheme, viewport: { width, height: 800 } });
      }
    }
  });
});
