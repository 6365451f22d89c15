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
  let seen = "";
  return follow(
    ofSweep(sweepName, "/events"),
    ofSweep(sweepName, "?limit=1"),
    {
      sweep: (sweep) => {
        showError(null);
        const now = `${stateWord(sweep)}: ${counted(sweep)}`;
        if (before && now !== before) announce(now);
        before = now;
        // A stream that begins anew begins with what is known already.
        const all = JSON.stringify(sweep);
        if (all !== seen) changed(sweep);
        seen = all;
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
