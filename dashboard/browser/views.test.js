// Views as people use them: compared, downloaded, filtered, with the keyboard alone, on a phone, in the dark.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { sweepFile, until } from "./lab.js";
import { stage } from "./stage.js";

let page;
const { lab, inPage, go, ended, dialog, button, focused } = stage((opened) => (page = opened));

const quick = { pause: 0, epochs: 3 };
const results = () => page.locator("#results tbody tr");

describe("the views", () => {
  before(async () => {
    await lab().submit(sweepFile("one", { dropout: [0, 0.4, 0.9], seeds: 3, settings: quick }));
    await lab().submit(sweepFile("two", { dropout: [0, 0.4], seeds: 3, settings: { ...quick, epochs: 4 } }));
    await lab().submit(sweepFile("failing", { dropout: [0, 0.4], seeds: 3, attempts: 1, settings: { ...quick, "fail-at": 0.4 } }));
    for (const name of ["one", "two", "failing"]) await ended(name);
  });

  it("compare sweeps that are chosen in the list, and say what the API says", () =>
    inPage(async () => {
      await go("/");
      assert.ok(await button("Compare selected").isDisabled());
      for (const name of ["one", "two"]) await page.getByRole("checkbox", { name: `Compare ${name}` }).check();
      await button("Compare selected").click();
      await page.waitForURL(/\/compare\?sweeps=/);
      await page.locator("#comparison table").waitFor();
      const answer = await lab().get("compare?sweeps=one,two");
      assert.equal(answer.kind, "pairs");
      const shown = await page.locator("#comparison tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
      assert.equal(shown.length, answer.comparisons.length);
      for (const [at, row] of answer.comparisons.entries()) {
        assert.deepEqual(shown[at].slice(0, 2), [row.name, row.metric]);
        assert.ok(shown[at][2].startsWith(row.first_results.summary.mean.toFixed(3)), shown[at][2]);
        assert.ok(shown[at][4].replace("−", "-").startsWith((row.comparison.mean_difference >= 0 ? "+" : "") + row.comparison.mean_difference.toFixed(3)), shown[at][4]);
      }
      // Three of them side by side, chosen here.
      await page.getByRole("checkbox", { name: "failing" }).check();
      await button("Compare").click();
      await page.locator("#comparison th").getByText("failing").first().waitFor();
      assert.match(page.url(), /failing/);
      for (const name of ["one", "two"]) await page.getByRole("checkbox", { name, exact: true }).uncheck();
      await button("Compare").click();
      await page.locator("#error").getByText("Choose two sweeps or more.").waitFor();
    }));

  it("give every file that they offer, with its name and its content", () =>
    inPage(async () => {
      await go("/sweeps/one/results");
      await results().first().waitFor();
      const begins = {
        CSV: [".csv", /^id,name,dropout,/],
        "CSV, every seed": [".csv", /seed/],
        "CSV, every epoch": [".csv", /epoch/],
        JSON: [".json", /^\{/],
        Markdown: [".md", /\| ?dropout/],
        LaTeX: [".tex", /\\begin\{tabular\}/],
      };
      assert.deepEqual(await page.locator("#downloads a").allTextContents(), Object.keys(begins));
      const names = new Set();
      for (const [words, [ending, content]] of Object.entries(begins)) {
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: words, exact: true }).click()]);
        assert.ok(download.suggestedFilename().startsWith("one") && download.suggestedFilename().endsWith(ending), download.suggestedFilename());
        assert.match(await readFile(await download.path(), "utf8"), content, words);
        names.add(download.suggestedFilename());
      }
      assert.equal(names.size, 6, `files replace each other: ${[...names]}`);
    }));

  it("filter tasks by state and configuration, and keep that in the address", () =>
    inPage(async () => {
      await go("/sweeps/failing/tasks");
      await page.locator("#count").getByText("6 tasks").waitFor();
      await page.locator("#state").selectOption("failed");
      await page.locator("#count").getByText("3 tasks").waitFor();
      assert.deepEqual(new Set(await page.locator("#tasks .badge").allTextContents()), new Set(["failed"]));
      await page.locator("#tasks").getByText("crash").first().waitFor();
      await page.reload();
      await page.locator("#count").getByText("3 tasks").waitFor();
      await page.locator("#filter").fill("dropout=0");
      await page.locator("#state").selectOption("done");
      await page.locator("#count").getByText("3 tasks").waitFor();
      assert.match(page.url(), /state=done/);
      // Of the results of this sweep a row is without any, and says so.
      await page.getByRole("link", { name: "Results" }).click();
      await results().getByText("3 failed").waitFor();
    }));

  it("can be used by the keyboard alone", () =>
    inPage(async () => {
      const tabTo = async (what) => {
        for (let at = 0; at < 60; at += 1) {
          await page.keyboard.press("Tab");
          if (what.test(await focused())) {
            const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
            assert.notEqual(ring, "none", `${what} has no ring`);
            return;
          }
        }
        assert.fail(`the Tab key does not reach ${what}`);
      };
      await go("/");
      await page.locator('#sweeps tr[data-sweep="one"]').waitFor();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await tabTo(/^one$/);
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/sweeps\/one$/);
      await tabTo(/^Results$/);
      await page.keyboard.press("Enter");
      await results().first().waitFor();
      await tabTo(/^accuracy$/);
      await page.keyboard.press("Enter");
      await page.locator('#results th[aria-sort="ascending"]').waitFor();
      assert.match(await focused(), /^accuracy/, "the focus stays on the heading");
      await page.keyboard.press("Space");
      await page.locator('#results th[aria-sort="descending"]').waitFor();
      await tabTo(/^Markdown$/);
    }));

  it("work on a phone, by touch", () =>
    inPage(
      async () => {
        await lab().submit(sweepFile("touched", { dropout: [0, 0.5], seeds: 8, settings: { gate: "never" } }));
        await go("/");
        await page.getByRole("link", { name: "touched" }).tap();
        await page.locator("#grid .cell.running").first().waitFor();
        const fits = async (what) => {
          const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.ok(over <= 0, `${what} is ${over} px too wide`);
        };
        for (const word of ["Priority…", "Extend…", "Cancel…"]) {
          await button(word).tap();
          await fits(word);
          const box = await dialog().boundingBox();
          assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 640, `${word} ${JSON.stringify(box)}`);
          await dialog().getByRole("button", { name: "No, leave it" }).tap();
        }
        // What a finger has to meet is large enough.
        const small = await page.locator("button, nav a, #grid .grid-cell:has(a)").evaluateAll((all) => all.filter((it) => it.offsetParent && Math.min(it.offsetHeight, it.offsetWidth) < 24).map((it) => it.outerHTML));
        assert.deepEqual(small, []);
        for (const view of ["Results", "Curves", "Tasks"]) {
          await page.getByRole("link", { name: view, exact: true }).tap();
          await page.locator("main h1").waitFor();
          await fits(view);
        }
        await lab().call("POST", "sweeps/touched/cancel");
      },
      { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
    ));

  it("turn dark when the system does, with their charts", () =>
    inPage(async () => {
      await go("/sweeps/one/results");
      await page.locator("#chart canvas").waitFor();
      const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      const picture = () => page.locator("#chart canvas").evaluate((canvas) => canvas.toDataURL());
      const [light, drawn] = [await ground(), await picture()];
      await page.emulateMedia({ colorScheme: "dark" });
      await until("the chart is drawn anew", async () => (await picture()) !== drawn);
      assert.notEqual(await ground(), light);
      await page.emulateMedia({ colorScheme: "light" });
      await until("it is as before", async () => (await picture()) === drawn);
    }));
});
