// Events from the coordinator, and what to do while there is none.

import { $ } from "./dom.js";
import { get } from "./api.js";

const LONGEST_PAUSE = 15000;
/** How often something is looked at that has ended: somebody may start it again. */
const LOOK_AGAIN = 5000;

/** Shows whether the page is connected. */
let troubled = false;
function show(text) {
  const place = $("connection");
  place.hidden = text === "";
  if (place.textContent !== text) place.textContent = text;
}

/**
 * Follows a stream of events; after a break it connects again, with growing pauses.
 *
 * `probe` is a path of the API: it tells an error from a coordinator that is not there. `on` has a function for each
 * kind of event; it returns whether more will come. Returns a function that connects again at once after the end.
 */
export function follow(path, probe, on, failed) {
  let source;
  let timer;
  let pause = 500;
  let generation = 0;
  let idle = false;

  const stop = () => {
    generation += 1;
    source?.close();
    source = undefined;
    clearTimeout(timer);
  };
  const again = () => {
    stop();
    const wait = pause;
    pause = Math.min(pause * 2, LONGEST_PAUSE);
    troubled = true;
    show(`Disconnected, trying again${wait >= 2000 ? ` in ${Math.round(wait / 1000)} s` : ""}…`);
    timer = setTimeout(connect, wait);
  };
  const connect = async () => {
    stop();
    idle = false;
    // Also when it was opened in the background.
    if (document.hidden) return;
    const mine = generation;
    try {
      await get(probe);
    } catch (error) {
      if (mine !== generation) return;
      if (error.unreachable || error.status === 429 || error.status >= 500) return again();
      show("");
      failed(error);
      return;
    }
    if (mine !== generation) return;
    source = new EventSource(`/api/v1/${path}`);
    let active = true;
    for (const [name, react] of Object.entries(on)) {
      source.addEventListener(name, (event) => {
        if (mine !== generation) return;
        pause = 500;
        if (troubled) {
          troubled = false;
          show("");
        }
        active = react(JSON.parse(event.data));
      });
    }
    // The stream ends with this event when there will be no more; also when the coordinator stops.
    source.addEventListener("end", () => {
      if (mine !== generation) return;
      if (active) return again();
      stop();
      idle = true;
      timer = setTimeout(connect, LOOK_AGAIN);
    });
    source.onerror = () => {
      if (mine === generation) again();
    };
  };
  // A browser has few connections to one host: a page that nobody sees needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else connect();
  });
  addEventListener("online", connect);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
  return () => {
    if (!idle && source) return;
    connect();
  };
}

/**
 * Does something again and again when asked, never twice at once, not faster than `least` milliseconds (a number,
 * or a function that knows it), and slower if it takes long.
 */
export function throttled(least, work) {
  let running = false;
  let wanted = false;
  let next = 0;
  let timer;
  const run = async () => {
    timer = undefined;
    running = true;
    wanted = false;
    const begun = performance.now();
    try {
      await work();
    } finally {
      const took = performance.now() - begun;
      next = begun + Math.max(typeof least === "function" ? least() : least, 5 * took);
      running = false;
      if (wanted) ask();
    }
  };
  const ask = () => {
    wanted = true;
    if (running || timer) return;
    timer = setTimeout(run, Math.max(0, next - performance.now()));
  };
  return ask;
}

/** Asks for something every so often while the page is seen; says when the coordinator is not there. */
export function poll(every, ask, failed) {
  let pause = every;
  let timer;
  let running = false;
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden || running) return;
    running = true;
    try {
      await ask();
      pause = every;
      if (troubled) show("");
      troubled = false;
    } catch (error) {
      if (error.unreachable) {
        pause = Math.min(Math.max(pause, 500) * 2, LONGEST_PAUSE);
        troubled = true;
        show(`Disconnected, trying again in ${Math.round(pause / 1000)} s…`);
      } else failed(error);
    } finally {
      running = false;
    }
    timer = setTimeout(look, pause);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return look;
}
