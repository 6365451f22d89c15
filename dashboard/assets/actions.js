// Changes, each after a question.

import { h, fill } from "./dom.js";

let numbered = 0;

/**
 * Asks, then does it; errors stay in the dialog. Resolves with the answer, or with undefined if the user says no.
 *
 * `fields` are `{name, label, type, value}`; type is that of an input, or `textarea`, or `file` which fills the
 * textarea before it.
 */
export function ask({ title, text, fields = [], verb, dangerous = false, run }) {
  const number = (numbered += 1);
  return new Promise((resolve) => {
    let result;
    const inputs = new Map();
    const error = h("pre", { class: "diagnostics", role: "alert", hidden: true, tabindex: "0" });
    const rows = fields.map((field) => {
      const id = `field-${number}-${field.name}`;
      if (field.type === "file") {
        const file = h("input", { id, type: "file", accept: field.accept });
        file.addEventListener("change", async () => {
          if (file.files[0]) inputs.get(field.into).value = await file.files[0].text();
        });
        return h("p", {}, h("label", { for: id }, field.label), " ", file);
      }
      if (field.type === "textarea") {
        const area = h("textarea", { id, rows: 12, spellcheck: "false", wrap: "off", autocapitalize: "off" });
        area.value = field.value ?? "";
        inputs.set(field.name, area);
        return h("p", {}, h("label", { for: id }, field.label), area);
      }
      const input = h("input", { id, type: field.type, min: field.min, max: field.max, step: field.step, required: field.required });
      if (field.type === "checkbox") input.checked = Boolean(field.value);
      else input.value = field.value ?? "";
      inputs.set(field.name, input);
      const label = h("label", { for: id }, field.label);
      return h("p", { class: field.type === "checkbox" ? "check" : "" }, field.type === "checkbox" ? [input, label] : [label, " ", input]);
    });
    const go = h("button", { type: "submit", class: dangerous ? "dangerous" : "main" }, verb);
    const no = h("button", { type: "button", onclick: () => dialog.close() }, "No, leave it");
    const form = h(
      "form",
      {
        onsubmit: async (event) => {
          event.preventDefault();
          const held = document.activeElement;
          go.disabled = no.disabled = true;
          error.hidden = true;
          const values = {};
          for (const [name, input] of inputs) {
            values[name] = input.type === "checkbox" ? input.checked : input.type === "number" ? input.valueAsNumber : input.value;
          }
          try {
            result = await run(values);
            dialog.close();
          } catch (trouble) {
            error.hidden = false;
            error.textContent = trouble.message;
            error.scrollIntoView({ block: "nearest" });
          } finally {
            go.disabled = no.disabled = false;
            // A button that is disabled loses the focus.
            if (dialog.open && !dialog.contains(document.activeElement)) held.focus();
          }
        },
      },
      h("h2", { id: `dialog-${number}` }, title),
      text ? h("p", {}, text) : null,
      rows,
      error,
      h("p", { class: "row end" }, no, go),
    );
    const dialog = h("dialog", { "aria-labelledby": `dialog-${number}` }, form);
    const opener = document.activeElement;
    const home = opener.parentElement;
    // What is under way is not left: nobody would hear how it ends.
    dialog.addEventListener("cancel", (event) => go.disabled && event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      giveBack(opener, home);
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (fields.length === 0 ? no : form.querySelector("input, textarea")).focus();
  });
}

/**
 * Gives the focus, if nothing has it, to what stands where the opener of a dialog stood: the page may have been drawn
 * anew behind it. To an opener that is still there the browser gives it. A page hears of a closed dialog a moment later:
 * what has got the focus since then keeps it.
 */
function giveBack(opener, home) {
  if (document.activeElement && document.activeElement !== document.body) return;
  const { key } = opener.dataset;
  const same = opener.isConnected ? opener : key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  (same || home?.querySelector("button"))?.focus();
}

/** Buttons for actions `{word, key, dangerous, act}`. */
export function buttons(place, actions) {
  const wanted = actions.map((action) => action.word).join("|");
  // Buttons that stay the same are not touched: somebody may be about to press one.
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  const held = place.contains(document.activeElement);
  fill(
    place,
    actions.map((action) =>
      h("button", { type: "button", "data-key": action.word, class: action.dangerous ? "dangerous" : undefined, onclick: action.act }, action.word),
    ),
  );
  // The button that had the focus may be gone: "Pause" is "Resume" now.
  if (held && !place.contains(document.activeElement)) place.querySelector("button")?.focus({ preventScroll: true });
}
