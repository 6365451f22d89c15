// A coordinator that is secured by TLS, through `colearn dashboard`: its secret, and what a role allows.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { sweepFile, until } from "./lab.js";
import { stage } from "./stage.js";

let page;
const { lab, inPage, letters, dialog, press, leave } = stage((opened) => (page = opened), { secure: true });

const addresses = new Map();
/** The address that `colearn dashboard` prints with this access file. */
async function dashboard(name) {
  if (!addresses.has(name)) addresses.set(name, await lab().startDashboard(name));
  return addresses.get(name);
}
async function submit(name, options) {
  await writeFile(lab().file(`${name}.yaml`), lab().placed(sweepFile(name, { dropout: [0, 0.5], seeds: 2, ...options })));
  await lab().colearn("submit", lab().file(`${name}.yaml`), "--coordinator", lab().url, "--access", lab().access("people"));
}

describe("the pages of a secured coordinator", () => {
  it("are shown to who has the secret in the address, which leaves it at once", () =>
    inPage(async () => {
      await submit("secret", { settings: { gate: "gate-secret", pause: 0 } });
      const address = await dashboard("people");
      const plain = address.split("?")[0];
      page.allowed.push(/403/);
      const refused = await page.goto(plain);
      assert.equal(refused.status(), 403);
      assert.match(await page.locator("body").textContent(), /colearn dashboard/);
      assert.doesNotMatch(await page.content(), /secret/);
      const wrong = await page.goto(`${plain}?token=${"a".repeat(64)}`);
      assert.equal(wrong.status(), 403);

      await page.goto(address);
      assert.equal(page.url(), plain);
      assert.equal(await page.evaluate(() => document.cookie), "", "scripts do not see it");
      await page.getByRole("link", { name: "secret" }).click();
      await until("two tasks run", async () => (await letters()) === "PPRR");
      // Events come through the channel, too.
      await lab().open("gate-secret");
      await until("all are done in the page", async () => (await letters()) === "DDDD");
      await page.getByRole("link", { name: "Results" }).click();
      await page.locator("#results tbody tr").first().waitFor();
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "CSV", exact: true }).click();
      assert.equal((await download).suggestedFilename(), "secret.csv");
    }));

  it("change what the role of the access file allows", () =>
    inPage(async () => {
      await submit("ours", { settings: { gate: "never" } });
      await page.goto(await dashboard("people"));
      await page.getByRole("link", { name: "ours" }).click();
      await press("Pause…");
      await dialog().getByRole("button", { name: "Pause", exact: true }).click();
      await page.locator("#summary .badge.paused").waitFor();
      await page.locator("#summary").getByText("by people").waitFor();
    }));

  it("say to who may only look what the role does not allow, and change nothing", () =>
    inPage(async () => {
      page.allowed.push(/403/);
      await page.goto(await dashboard("look"));
      await page.getByRole("link", { name: "ours" }).click();
      await page.locator("#summary .badge.paused").waitFor();
      const verbs = { "Resume…": "Resume", "Priority…": "Set", "Cancel…": "Cancel the sweep" };
      for (const [word, verb] of Object.entries(verbs)) {
        await press(word);
        await dialog().getByRole("button", { name: verb, exact: true }).click();
        await dialog().getByRole("alert").getByText("needs the role `operate`").waitFor();
        await leave();
      }
      await page.getByRole("link", { name: "Workers" }).click();
      await page.locator("#workers button").click();
      await dialog().getByRole("button", { name: "Drain" }).click();
      await dialog().getByRole("alert").getByText("needs the role `operate`").waitFor();
      await leave();
      await page.locator("#workers .badge.connected").waitFor();
      await page.getByRole("link", { name: "Submit" }).click();
      await page.locator("#source").fill(lab().placed(sweepFile("theirs")));
      await page.getByRole("button", { name: "Submit" }).click();
      await page.locator("#refusal").getByText("needs the role `operate`").waitFor();
    }));

  it("say that the coordinator has gone, and go on when it is back", () =>
    inPage(async () => {
      page.allowed.push(/503|ERR_/);
      await page.goto(await dashboard("people"));
      await page.getByRole("link", { name: "ours" }).click();
      await page.locator("#summary .badge.paused").waitFor();
      const { address } = lab();
      await lab().kill("coordinator");
      await page.locator("#connection").getByText("Disconnected, trying again").waitFor();
      await lab().startCoordinator(address);
      await page.locator("#connection").waitFor({ state: "hidden" });
      await lab().colearn("resume", "ours", "--coordinator", lab().url, "--access", lab().access("people"));
      await page.locator("#summary .badge.active").waitFor();
    }));
});
