// The questions before changes: by keyboard alone, left, answered, and refused by the coordinator.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sweepFile, until } from "./lab.js";
import { stage } from "./stage.js";

let page;
const { lab, inPage, go, letters, dialog, button, press, closed, leave, focused } = stage((opened) => (page = opened));

const waiting = { dropout: [0, 0.5], seeds: 3, settings: { gate: "never" } };
const summary = (text) => page.locator("#summary").getByText(text).first().waitFor();
const isIn = () => page.evaluate(() => document.activeElement === document.body || Boolean(document.activeElement.closest("dialog")));
/** Gives the answer by the Enter key. */
const answer = async (verb) => {
  await dialog().getByRole("button", { name: verb, exact: true }).focus();
  await page.keyboard.press("Enter");
};
async function remove(name) {
  // A page that is open asks for the sweep once more.
  page.allowed.push(/404/);
  if ((await lab().get(`sweeps/${name}`)).state === "active") await lab().call("POST", `sweeps/${name}/cancel`);
  await lab().call("DELETE", `sweeps/${name}`);
}

/** Buttons of a sweep that is under way, the words of their questions, and what has the focus at first. */
const ACTIONS = {
  "Pause…": ["Pause", /^Pause the sweep/, "No, leave it"],
  "Extend…": ["Extend", /^Extend the sweep/, ""],
  "Priority…": ["Set", /^Priority of the sweep/, ""],
  "Cancel…": ["Cancel the sweep", /^Cancel the sweep/, "No, leave it"],
};

describe("a dialog", () => {
  it("opens by a key, holds the focus, and gives it back when it is left", () =>
    inPage(async () => {
      await lab().submit(sweepFile("left", waiting));
      await go("/sweeps/left");
      await until("two tasks run", async () => (await letters()).includes("RR"));
      const before = JSON.stringify((await lab().get("sweeps/left")).tasks);
      for (const [word, [, title, first]] of Object.entries(ACTIONS)) {
        await press(word);
        assert.match(await dialog().getByRole("heading").textContent(), title);
        assert.equal(await focused(), first, word);
        for (let at = 0; at < 8; at += 1) {
          await page.keyboard.press("Tab");
          assert.ok(await isIn(), `${word}: the focus left the dialog`);
        }
        await leave();
        assert.equal(await focused(), word);
        await press(word);
        await answer("No, leave it");
        await closed();
        assert.equal(await focused(), word);
      }
      const after = await lab().get("sweeps/left");
      assert.deepEqual([after.state, after.paused, JSON.stringify(after.tasks)], ["active", false, before]);
      await remove("left");
    }));

  it("does what was asked, says so, and leaves the focus on a button", () =>
    inPage(async () => {
      await lab().submit(sweepFile("asked", waiting));
      await go("/sweeps/asked");
      await until("two tasks run", async () => (await letters()).includes("RR"));
      const said = (text) => page.locator("#done").getByText(text).waitFor();
      const act = async (word, verb) => {
        await press(word);
        await answer(verb);
        await closed();
      };
      await act("Pause…", "Pause");
      await said("It is paused.");
      await page.locator("#summary .badge.paused").waitFor();
      await button("Resume…").waitFor();
      assert.equal(await focused(), "Resume…");
      await act("Resume…", "Resume");
      await page.locator("#summary .badge.active").waitFor();
      await button("Pause…").waitFor();
      assert.equal(await focused(), "Pause…");

      // What the field does not allow is not sent.
      await press("Priority…");
      await page.keyboard.type("5000");
      await page.keyboard.press("Enter");
      assert.equal(await dialog().locator("input:invalid").count(), 1);
      await page.keyboard.press("Control+a");
      await page.keyboard.type("7");
      await page.keyboard.press("Enter");
      await said("Its priority is 7.");
      assert.equal(await focused(), "Priority…");
      assert.equal((await lab().get("sweeps/asked")).priority, 7);

      await press("Extend…");
      await dialog().locator("textarea").fill(lab().placed(sweepFile("asked", { ...waiting, seeds: 4 })));
      await answer("Extend");
      await said("2 tasks added.");
      await until("the grid has them", async () => (await letters()).length === 8);
      assert.equal(await focused(), "Extend…");

      await act("Cancel…", "Cancel the sweep");
      await said("It is cancelled.");
      await until("all are cancelled in the page", async () => (await letters()) === "CCCCCCCC");
      await button("Remove…").waitFor();
      assert.equal(await focused(), "Retry…");
      await act("Retry…", "Retry");
      await said("8 tasks wait again.");
      await act("Cancel…", "Cancel the sweep");
      await button("Remove…").waitFor();
      // The page may ask for it once more.
      page.allowed.push(/404/);
      await act("Remove…", "Remove for ever");
      await page.waitForURL(`${lab().url}/`);
    }));

  it("shows what the coordinator says against it, and stays for another answer", () =>
    inPage(async () => {
      page.allowed.push(/404|409|422|ERR_CONNECTION_REFUSED/);
      for (const [word, [verb]] of Object.entries(ACTIONS)) {
        await lab().submit(sweepFile("gone", waiting));
        await go("/sweeps/gone");
        await press(word);
        await remove("gone");
        if (word === "Extend…") await dialog().locator("textarea").fill(lab().placed(sweepFile("gone", waiting)));
        await answer(verb);
        await dialog().getByRole("alert").getByText("there is no sweep `gone`").waitFor();
        assert.ok(await dialog().getByRole("button", { name: verb, exact: true }).isEnabled());
        assert.equal(await focused(), verb, `${word}: the focus is lost`);
        await leave();
      }
      // The position in a file that is refused is under its line.
      await lab().submit(sweepFile("other", waiting));
      await go("/sweeps/other");
      await press("Extend…");
      await dialog().locator("textarea").fill("name: other\nprogram: {comand: [x]}\n");
      await answer("Extend");
      await dialog().getByRole("alert").getByText("there is no key `comand`").waitFor();
      assert.match(await dialog().getByRole("alert").textContent(), /\^\^\^/);
      await dialog().locator("textarea").fill(lab().placed(sweepFile("other", { ...waiting, settings: { gate: "other" } })));
      await answer("Extend");
      await dialog().getByRole("alert").getByText(/settings|differ/).first().waitFor();
      await leave();
      await remove("other");
    }));

  it("gives the focus back also when the page was drawn anew behind it", () =>
    inPage(async () => {
      await lab().submit(sweepFile("drawn", { ...waiting, settings: { gate: "gate-drawn", pause: 0 } }));
      await go("/workers");
      await page.locator("#workers").getByRole("link", { name: /drawn/ }).first().waitFor();
      const drain = page.locator("#workers button");
      await drain.focus();
      await drain.evaluate((element) => (globalThis.opener = element));
      await page.keyboard.press("Enter");
      await dialog().waitFor();
      await lab().open("gate-drawn");
      await until("it is drawn anew", () => page.evaluate(() => !globalThis.opener.isConnected));
      await leave();
      assert.match(await focused(), /^Drain w1-/);
    }));

  it("leaves the focus to what has got it since it was closed", () =>
    inPage(async () => {
      await lab().submit(sweepFile("since", waiting));
      await go("/sweeps/since");
      await press("Pause…");
      // In one task of the page, as the next key of somebody who is quick may be before the page hears of the first.
      await button("Cancel…").evaluate((next) => {
        document.querySelector("dialog").close();
        next.focus();
      });
      await closed();
      assert.equal(await focused(), "Cancel…");
      await remove("since");
    }));

  it("says that nobody answers, and works when somebody does again", () =>
    inPage(async () => {
      page.allowed.push(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
      await lab().submit(sweepFile("alone", waiting));
      await go("/sweeps/alone");
      await press("Pause…");
      const { address } = lab();
      await lab().kill("coordinator");
      await answer("Pause");
      await dialog().getByRole("alert").getByText("The coordinator cannot be reached.").waitFor();
      await lab().startCoordinator(address);
      await answer("Pause");
      await page.locator("#done").getByText("It is paused.").waitFor();
      await summary("paused");
    }));
});
