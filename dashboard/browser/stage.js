// What the tests of the pages share: a lab and a browser for the tests of a file, and a page for each test.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Lab, launch, openPage, until } from "./lab.js";

/** Limits on time hold on an idle machine. */
export const patience = Number(process.env.COLEARN_PATIENCE ?? 1);
export const report = (text) => console.log(`# ${text}`);

/** `opened` gets the page of each test. The options are those of a lab. */
export function stage(opened, options) {
  let lab;
  let browser;
  let page;
  before(async () => {
    lab = await Lab.start(options);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
  });

  /** Opens a page, and says at the end of the test what went wrong in it. */
  async function inPage(work, how) {
    page = await openPage(browser, how);
    opened(page);
    try {
      await work();
      assert.deepEqual(page.troubles, [], "errors and warnings in the page");
    } finally {
      await page.context().close();
    }
  }

  const dialog = () => page.getByRole("dialog");
  /** A closed dialog has no role any more, but is there until the page hears of it. */
  const closed = () => page.locator("dialog").waitFor({ state: "detached" });
  const button = (name) => page.getByRole("button", { name, exact: true });
  return {
    lab: () => lab,
    inPage,
    go: (path) => page.goto(lab.url + path),
    ended: (name) => until(`${name} has ended`, async () => (await lab.get(`sweeps/${name}`)).state !== "active"),
    /** How often each letter is in the grid that is seen. */
    letters: () => page.locator("#grid .grid-body .cell").evaluateAll((cells) => cells.map((cell) => cell.textContent).sort().join("")),
    confirm: async (name, verb) => {
      await button(name).click();
      await dialog().getByRole("button", { name: verb, exact: true }).click();
    },
    dialog,
    button,
    /** Opens a dialog as a person without a mouse does. */
    press: async (name) => {
      await button(name).focus();
      await page.keyboard.press("Enter");
      await dialog().waitFor();
    },
    closed,
    /** Leaves a dialog by its key. */
    leave: async () => {
      await page.keyboard.press("Escape");
      await closed();
    },
    /** What has the focus, in a few words. */
    focused: () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? (document.activeElement === document.body ? "nothing" : document.activeElement.textContent.trim())),
  };
}
