// A coordinator, workers and a browser for the tests of the pages, in a folder that is removed afterwards.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../..");
export const programs = process.env.COLEARN_PROGRAMS ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, "target"), "debug");
export const browserPath = process.env.COLEARN_CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** A program that learns a curve: it takes the time that it is told, fails where it is told, and waits for files. */
const TRAIN = `
import argparse, json, math, os, pathlib, random, sys, time
given = argparse.ArgumentParser()
for name in ("dropout", "rate", "seed", "pause"):
    given.add_argument("--" + name, type=float, default=0.0)
given.add_argument("--epochs", type=int, default=8)
given.add_argument("--fail-at", type=float, default=-1.0)
given.add_argument("--gate", default="")
given = given.parse_args()
draw = random.Random(f"{given.dropout} {given.rate} {given.seed}")
if given.gate:
    gate = pathlib.Path(__file__).with_name(given.gate)
    while not gate.exists() and not gate.with_name(f"{given.gate}-{int(given.seed)}").exists():
        time.sleep(0.01)
if given.dropout == given.fail_at and not pathlib.Path(__file__).with_name("repaired").exists():
    print("Traceback: <b>no memory</b> for", given.dropout)
    sys.exit(3)
def report(**values):
    with open(os.environ["COLEARN_METRICS"], "a") as file:
        print(json.dumps(values), file=file)
best = 0.72 - 0.5 * math.exp(-6 * given.dropout) + draw.gauss(0, 0.02)
for epoch in range(1, given.epochs + 1):
    time.sleep(0 if pathlib.Path(__file__).with_name("hurry").exists() else given.pause)
    accuracy = best * (1 - math.exp(-epoch / 2)) + draw.gauss(0, 0.004)
    print(f"epoch {epoch}: accuracy {accuracy:.3f}")
    report(epoch=epoch, valid_accuracy=accuracy, train_loss=2 * (1 - accuracy))
report(result={"accuracy": best, "loss": 2.2 * (1 - best)})
`;

/** A sweep file for the program above. */
export function sweepFile(name, { dropout = [0, 0.2, 0.4, 0.6, 0.8, 0.95], rates = [], seeds = 5, settings = {}, attempts = 2 } = {}) {
  const rate = rates.length ? `\n  rate: ${JSON.stringify(rates)}` : "";
  return `name: ${name}
program:
  command: [python3, train.py, "\${args}"]
settings: ${JSON.stringify({ epochs: 8, pause: 0.01, ...settings })}
parameters:
  dropout: ${JSON.stringify(dropout)}${rate}
seeds: {count: ${seeds}}
retries: {max_attempts: ${attempts}, initial_backoff: 0.1s, max_backoff: 0.2s}
report: {metrics: [accuracy, loss], baseline: {dropout: ${dropout[0]}}, margin: 0.02, better: {accuracy: higher, loss: lower}}
`;
}

/** A sweep file over a network, which has verdicts; small enough for a test. */
export function networkFile(name, { levels = [0, 0.5, 0.95], seeds = 3, epochs = 3 } = {}) {
  return `name: ${name}
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.3}
training: {epochs: ${epochs}, batch_size: 32, learning_rate: 0.005}
parameters:
  modality_dropout.audio: ${JSON.stringify(levels)}
  modality_dropout.video: ${JSON.stringify(levels)}
zip:
  - [modality_dropout.audio, modality_dropout.video]
include:
  - {unimodal: true}
seeds: {count: ${seeds}}
report: {metrics: [accuracy, loss, f_score], baseline: {unimodal: true}, margin: 0.02}
`;
}

/** Waits until something is so. */
export async function until(what, question, limit = 60000) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${limit} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("COLEARN_") || name === "COLEARN_ASSETS"));

export class Lab {
  children = new Map();

  /** `options` are further ones of the coordinator; `prepare` gets the lab before it starts; `secure`: over TLS. */
  static async start({ slots = 2, options = [], secure = false, prepare } = {}) {
    const lab = new Lab();
    lab.options = secure ? [...options, "--secure"] : options;
    lab.secure = secure;
    lab.folder = await mkdtemp(path.join(tmpdir(), "colearn-pages-"));
    await writeFile(lab.file("train.py"), TRAIN);
    await mkdir(lab.file("data"));
    try {
      await prepare?.(lab);
      await lab.colearn("data", "generate", "--out", lab.file("data/demo.safetensors"));
      await lab.startCoordinator("127.0.0.1:0");
      if (slots) await lab.startWorker("w1", slots);
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  file(name) {
    return path.join(this.folder, name);
  }

  async run(name, program, args) {
    const env = { ...environment, HOME: this.folder, XDG_CONFIG_HOME: this.file("config"), PATH: `${this.file("bin")}:${process.env.PATH}` };
    const child = spawn(path.join(programs, program), args, { cwd: this.folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.children.set(name, child);
    this.said = [];
    const heard = (line) => this.said.push(line);
    createInterface({ input: child.stdout }).on("line", heard);
    createInterface({ input: child.stderr }).on("line", heard);
    child.on("error", heard);
    return child;
  }

  /** Runs a command to its end, which must be good. */
  async colearn(...args) {
    const child = await this.run("command", "colearn", args);
    const { said } = this;
    const [code] = await once(child, "close");
    this.children.delete("command");
    if (code !== 0) throw new Error(`colearn ${args.join(" ")}: ${said.join("\n")}`);
    return said;
  }

  async startCoordinator(listen) {
    const child = await this.run("coordinator", "colearn", ["coordinator", "--listen", listen, "--state", this.file("state"), ...this.options]);
    this.address = await this.listening(child);
    this.url = `${this.secure ? "https" : "http"}://${this.address}`;
  }

  /** The address that a program prints. */
  async listening(child) {
    const { said } = this;
    const line = await until("a program listens", () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${said.join("\n")}`);
      return said.find((text) => /127\.0\.0\.1:[1-9]\d*/.test(text));
    });
    this.line = line;
    return /127\.0\.0\.1:\d+/.exec(line)[0];
  }

  /** An access file of a secured coordinator. */
  access(name) {
    return this.file(`state/access/${name}.access`);
  }

  /** `colearn dashboard` with an access file; returns the address that it prints. */
  async startDashboard(name) {
    await this.listening(await this.run(`dashboard-${name}`, "colearn", ["dashboard", "--coordinator", this.url, "--access", this.access(name)]));
    return /http:\/\/\S+/.exec(this.line)[0];
  }

  async startWorker(id, slots = 2) {
    const access = this.secure ? ["--access", this.access("worker")] : [];
    await this.run(id, "colearn-worker", ["--coordinator", this.url, "--slots", String(slots), "--name", id, "--allow-programs", "--data-dir", this.file("data"), "--checkpoints", this.file("checkpoints"), ...access]);
    if (this.secure) return;
    await until(`${id} is connected`, async () => (await this.get("workers")).workers.some((worker) => worker.id.startsWith(`${id}-`)));
  }

  /** kill -9. */
  async kill(name) {
    const child = this.children.get(name);
    this.children.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async call(method, rest, body) {
    const response = await fetch(`${this.url}/api/v1/${rest}`, { method, headers: body ? { "content-type": "application/json" } : {}, body: body && JSON.stringify(body) });
    const document = await response.json();
    if (!response.ok) throw new Error(`${rest}: ${JSON.stringify(document)}`);
    return document;
  }

  get(rest) {
    return this.call("GET", rest);
  }

  /** Submits a sweep file; programs run in the folder of the lab. */
  submit(source) {
    return this.call("POST", "sweeps", { source: this.placed(source), origin: "test.yaml" });
  }

  placed(source) {
    return source.replace("program:\n", `program:\n  directory: ${this.folder}\n`);
  }

  /** Opens the way for programs that wait. */
  open(gate) {
    return writeFile(this.file(gate), "");
  }

  async stop() {
    for (const name of [...this.children.keys()].reverse()) await this.kill(name);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export const launch = () => chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });

/** A page that remembers what went wrong in it: errors, violations of the policy, long tasks. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.troubles = [];
  page.allowed = [];
  page.on("console", (message) => {
    const text = message.text();
    if (["error", "warning"].includes(message.type()) && !page.allowed.some((it) => it.test(text))) page.troubles.push(text);
  });
  page.on("pageerror", (error) => page.troubles.push(String(error.stack ?? error)));
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.longTasks.push(entry.duration);
    }).observe({ type: "longtask", buffered: true });
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return page;
}

export const axeSource = () => readFile(path.join(here, "node_modules/axe-core/axe.min.js"), "utf8");
