// What all pages of one sweep have.

import { announce, showError } from "./dom.js";
import { ofSweep } from "./api.js";
import { follow } from "./live.js";
import { counted, stateWord } from "./measures.js";

export const sweepName = document.body.dataset.sweep;
export const sweepUrl = (rest = "") => `/sweeps/${encodeURIComponent(sweepName)}${rest}`;

/** Follows the sweep: `changed` gets it now and after each change. Returns a function that looks at once. */
export function followSweep(changed) {
  let before = "";
  return follow(
    ofSweep(sweepName, "/events"),
    ofSweep(sweepName, "?limit=0"),
    {
      sweep: (sweep) => {
        showError(null);
        const now = `${stateWord(sweep)}: ${counted(sweep)}`;
        if (before && now !== before) announce(now);
        before = now;
        changed(sweep);
        return sweep.state === "active";
      },
    },
    showError,
  );
}

/** Shows an error, unless it is that the coordinator is not there: that is said elsewhere. */
export function unlessAway(error) {
  if (!error.unreachable) showError(error);
}
