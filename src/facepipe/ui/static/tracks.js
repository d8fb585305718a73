// The list of faces: each with its picture, why it is left as it is, and whether it is to be enhanced.

import {$, address, make} from "./api.js";

const PAGE = 60; // tracks that are shown at first, and more at a time

export class Tracks {
  #items = new Map();
  #video = null;
  #most = PAGE;
  #name = "";

  /** `toggled` is called with a track's number and whether to enhance it, `chosen` to show it. */
  constructor({toggled, chosen}) {
    this.toggled = toggled;
    this.chosen = chosen;
    $("filter").addEventListener("change", () => { this.#most = PAGE; this.#list(); });
    $("more").addEventListener("click", () => this.#more());
  }

  open(video) {
    if (this.#name !== video.name) {
      this.#items.clear();
      this.#most = PAGE;
      this.#name = video.name;
    }
    this.#video = video;
    $("summary").textContent = video.searched ? video.summary : "No faces were searched for yet.";
    $("filter-field").hidden = video.tracks.length === 0;
    this.#list();
  }

  mark(number) {
    for (const [own, item] of this.#items) item.row.classList.toggle("chosen", own === number);
  }

  #more() {
    const first = this.#most;
    this.#most += PAGE;
    this.#list();
    $("tracks").children[first]?.querySelector("button").focus();
  }

  #list() {
    const wanted = $("filter").value;
    const fits = this.#video.tracks.filter((track) => wanted === "all" || (wanted === "yes") === track.enhance);
    const rows = fits.slice(0, this.#most).map((track) => this.#row(track));
    const list = $("tracks");
    // Rows that stay where they are keep the keyboard's focus.
    if (rows.length !== list.children.length || rows.some((row, k) => row !== list.children[k]))
      list.replaceChildren(...rows);
    $("more").hidden = fits.length <= this.#most;
  }

  #row(track) {
    let item = this.#items.get(track.number);
    if (!item) {
      item = this.#made(track.number);
      this.#items.set(track.number, item);
    }
    item.track = track;
    const source = address("/api/thumbnail", {
      video: this.#video.name, track: track.number, of: `${track.from}-${track.to}-${track.size}`,
    });
    if (item.image.getAttribute("src") !== source) item.image.src = source;
    item.row.classList.toggle("no", !track.enhance);
    item.check.checked = track.enhance;
    item.about.textContent = `${track.from} to ${track.to}, ${track.size} px`;
    item.why.hidden = track.enhance;
    item.why.textContent = track.enhance ? "" : `Left as it is: ${track.kind}`;
    const details = track.enhance ? "" : [track.why, track.remedy].filter(Boolean).join(". ");
    item.details.textContent = details;
    item.details.hidden = !details;
    return item.row;
  }

  #made(number) {
    const name = `track-${number}`;
    const image = make("img", {alt: "", loading: "lazy", width: 72, height: 72});
    const thumb = make("button", {type: "button", className: "thumb"}, image);
    thumb.setAttribute("aria-label", `Show track ${number} in the picture`);
    const check = make("input", {type: "checkbox", id: name});
    const item = {
      image, check,
      about: make("p", {className: "faint"}),
      why: make("p", {className: "why"}),
      details: make("p", {className: "faint"}),
    };
    thumb.addEventListener("click", () => this.chosen(number));
    check.addEventListener("change", () => this.toggled(number, check.checked));
    const label = make("label", {htmlFor: name}, check, ` Enhance track ${number}`);
    item.row = make("li", {className: "track"}, thumb,
      make("div", {}, label, item.about, item.why, item.details));
    return item;
  }
}
