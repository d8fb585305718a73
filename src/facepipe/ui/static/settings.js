// The fields of settings: each change is written to the settings file beside the video.

import {$, make} from "./api.js";

const FIELDS = {
  restorer: "restore.restorer", scale: "output.scale", strength: "restore.strength",
  fidelity: "restore.fidelity", score: "detect.score", "min-face": "detect.min_face",
  "max-face": "detect.max_face",
};
const REGION = ["region-x", "region-y", "region-w", "region-h"];

export class SettingsFields {
  /** `changed` is called with the settings that were changed, by their keys. */
  constructor(changed) {
    this.changed = changed;
    for (const [id, key] of Object.entries(FIELDS)) {
      $(id).addEventListener("change", () => changed({[key]: valueOf($(id))}));
      if ($(id).type === "range") $(id).addEventListener("input", () => outputOf(id));
    }
    $("region").addEventListener("submit", (event) => {
      event.preventDefault();
      changed({"choose.region": REGION.map((id) => $(id).valueAsNumber)});
    });
    $("clear-region").addEventListener("click", () => changed({"choose.region": null}));
  }

  open(video) {
    const restorers = video.restorers.map(({name, summary}) =>
      make("option", {value: name, title: summary}, name));
    const own = video.settings["restore.restorer"];
    if (!video.restorers.some(({name}) => name === own)) restorers.push(make("option", {value: own}, own));
    if (document.activeElement !== $("restorer")) $("restorer").replaceChildren(...restorers);
    for (const [id, key] of Object.entries(FIELDS)) {
      const value = video.settings[key];
      const field = $(id);
      field.placeholder = video.defaults[key] ?? "";
      const isDefault = field.type === "number" && value === video.defaults[key];
      field.value = isDefault || value === null ? "" : String(value);
      if (field.type === "range") outputOf(id);
    }
    $("others-part").hidden = video.others.length === 0;
    $("others").replaceChildren(...video.others.map((line) => make("li", {}, make("code", {}, line))));
    const region = video.settings["choose.region"];
    REGION.forEach((id, k) => { $(id).value = Array.isArray(region) ? region[k] : ""; });
  }
}

function valueOf(field) {
  if (field.id === "restorer") return field.value;
  return field.value === "" ? null : Number(field.value);
}

function outputOf(id) {
  $(`${id}-value`).textContent = Number($(id).value).toFixed(2);
}
