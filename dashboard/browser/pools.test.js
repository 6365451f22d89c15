// Pools of worker jobs, with stand-ins of Slurm's commands: a queue is a file that a test writes.

import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { sweepFile, until } from "./lab.js";
import { stage } from "./stage.js";

const COMMANDS = {
  sbatch: `#!/bin/sh
for argument; do case $argument in --test-only) echo "sbatch: Job 1 to start" >&2; exit 0 ;; esac; done
name=$(sed -n 's/^#SBATCH --job-name=//p')
if [ -e refuse ]; then echo "sbatch: error: invalid partition specified: <b>none</b>" >&2; exit 1; fi
id=$(($(wc -l < queue) + 17))
echo "$id|$name|PENDING|0|Resources|" >> queue
echo "$id"
`,
  squeue: "#!/bin/sh\ncat queue\n",
  scancel: "#!/bin/sh\nexit 0\n",
};

async function prepare(lab) {
  await mkdir(lab.file("bin"));
  await writeFile(lab.file("queue"), "");
  for (const [name, text] of Object.entries(COMMANDS)) {
    await writeFile(lab.file(`bin/${name}`), text);
    await chmod(lab.file(`bin/${name}`), 0o755);
  }
}

let page;
const { lab, inPage, go } = stage((opened) => (page = opened), { slots: 0, options: ["--allow-pools", "--pool-interval", "1s"], prepare });

const alloc = (verb, ...args) => lab().colearn("alloc", verb, "--coordinator", lab().url, ...args);
const row = (name) => page.locator("#pools tbody tr").filter({ has: page.getByRole("rowheader", { name, exact: true }) });
/** All jobs in the queue get this state. */
async function jobs(state, reason = "") {
  const queue = await readFile(lab().file("queue"), "utf8");
  await writeFile(lab().file("queue"), queue.replace(/\|(PENDING|RUNNING)\|\S*\|/g, `|${state}|${state === "FAILED" ? "3:0" : "0"}|${reason}|`));
}

describe("the pools", () => {
  it("are shown with their jobs while these wait, run and fail", () =>
    inPage(async () => {
      await go("/workers");
      await page.locator("#count").getByText("No worker is connected").waitFor();
      assert.ok(await page.locator("#pools").isHidden());
      await alloc("slurm", "--name", "gpu", "--max-workers", "2", "--allow-programs", "--", "--partition=low");
      await row("gpu").getByText("none").waitFor();
      assert.match(await row("gpu").textContent(), /active0 to 2nonone/);
      await lab().submit(sweepFile("waiting", { dropout: [0, 0.5], seeds: 2 }));
      // Two jobs for four tasks, and why they wait.
      await row("gpu").getByText("2 queued").waitFor();
      await row("gpu").getByText("Resources").waitFor();
      await jobs("RUNNING");
      await row("gpu").getByText("2 starting").waitFor();
      await jobs("FAILED", "NonZeroExitCode");
      await row("gpu").getByText(/ended with exit code 3/).first().waitFor();
    }));

  it("that are paused, refused and removed say so in text that is only text", () =>
    inPage(async () => {
      await alloc("pause", "gpu");
      await go("/workers");
      await row("gpu").getByText("paused").waitFor();
      await lab().open("refuse");
      await alloc("slurm", "--name", "odd", "--max-workers", "1", "--allow-programs", "--", "--partition=none");
      await row("odd").getByText("invalid partition specified: <b>none</b>").waitFor();
      await alloc("rm", "odd");
      await until("it is gone", async () => (await page.locator("#pools tbody tr").count()) === 1);
    }));

  it("say that the queue cannot be seen", () =>
    inPage(async () => {
      await alloc("resume", "gpu");
      await writeFile(lab().file("bin/squeue"), "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n");
      await go("/workers");
      await page.locator("#pools-trouble").getByText("Unable to contact slurm controller").waitFor();
    }));
});
