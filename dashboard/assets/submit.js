// A sweep file, written or chosen.

import { $, fill, h, plural } from "./dom.js";
import { post } from "./api.js";

let origin = "sweep.yaml";

$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  if (!file) return;
  origin = file.name;
  $("source").value = await file.text();
  $("refusal").hidden = true;
});

$("submit").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter ?? $("submit").querySelector("button");
  button.disabled = true;
  $("refusal").hidden = true;
  fill($("accepted"));
  try {
    const sweep = await post("sweeps", { source: $("source").value, origin, name: $("name").value.trim() });
    const url = `/sweeps/${encodeURIComponent(sweep.name)}`;
    if (sweep.created && sweep.submission_warnings.length === 0) {
      location.href = url;
      return;
    }
    fill(
      $("accepted"),
      h("p", {}, sweep.created ? "Submitted: " : "The same sweep is there already: ", h("a", { href: url }, sweep.name), ` with ${plural(sweep.tasks.total, "task")}.`),
      sweep.submission_warnings.map((text) => h("pre", { class: "diagnostics", tabindex: "0" }, text)),
    );
  } catch (error) {
    $("diagnostics").textContent = error.message;
    $("refusal").hidden = false;
    $("refusal").scrollIntoView({ block: "nearest" });
  } finally {
    button.disabled = false;
  }
});
