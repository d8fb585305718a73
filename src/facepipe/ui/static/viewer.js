// The frame under the play head: as it is, and as a run would make it, with boxes over it.

import {$, address, complain, get, loaded} from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
const SETTLED = 200; // milliseconds without a move, after which the enhanced frame is made

export class Viewer {
  #video = null;
  #frame = 0;
  #moment = null;
  #chosen = null;
  #toCentre = false; // whether the chosen track is to be in the middle of the next frame
  #wanted = null; // the frame to show next, while one is on its way
  #busy = false;
  #timer = 0;
  #turn = 0; // of the enhanced frame: answers to older questions are dropped

  /** `toggled` is called with the number of a track whose box was clicked, `drawn` with a region. */
  constructor({toggled, drawn}) {
    this.toggled = toggled;
    this.drawn = drawn;
    $("frame").addEventListener("input", () => this.show($("frame").valueAsNumber));
    $("previous").addEventListener("click", () => this.show(this.#frame - 1));
    $("next").addEventListener("click", () => this.show(this.#frame + 1));
    $("show-after").addEventListener("change", () => this.#settle(0));
    $("split").addEventListener("input", () => this.#place());
    $("scroll").addEventListener("scroll", () => this.#place());
    window.addEventListener("resize", () => this.#place());
    $("show-boxes").addEventListener("change", () => this.#draw());
    $("zoom").addEventListener("change", () => this.#enlarge());
    this.#listenForRegions();
  }

  get frame() { return this.#frame; }

  /** Show another video from its first frame on, or the same one whose files have changed. */
  open(video) {
    const another = this.#video?.name !== video.name;
    this.#video = video;
    $("frame").max = video.frames - 1;
    $("stage").style.aspectRatio = String(video.shape);
    $("overlay").setAttribute("viewBox", `0 0 ${video.width} ${video.height}`);
    if (another) {
      $("zoom").value = "1";
      this.#chosen = null;
      this.#enlarge();
    }
    this.show(another ? 0 : this.#frame);
  }

  /** Show a frame; while one is on its way, only the last that was asked for comes next. */
  async show(frame) {
    if (!this.#video) return;
    this.#wanted = Math.min(Math.max(frame, 0), this.#video.frames - 1);
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#wanted !== null) {
        const next = this.#wanted;
        this.#wanted = null;
        await this.#load(next);
      }
    } catch (error) {
      complain(error);
    } finally {
      this.#busy = false;
    }
  }

  /** Show a track at a frame, in the middle where the picture is enlarged. */
  async choose(number, frame) {
    this.#chosen = number;
    this.#toCentre = true;
    await this.show(frame);
  }

  async #load(frame) {
    const of = {video: this.#video.name, frame};
    const [moment, source] = await Promise.all([
      get("/api/moment", of), loaded(address("/api/frame", of)),
    ]);
    this.#frame = frame;
    this.#moment = moment;
    $("before").src = source;
    $("frame").value = frame;
    $("frame").setAttribute("aria-valuetext", `frame ${frame + 1}, ${moment.clock}`);
    $("clock").textContent =
      `${moment.clock} of ${this.#video.length}, frame ${frame + 1} of ${this.#video.frames}, pts ${moment.pts}`;
    $("stage").dataset.pts = moment.pts;
    this.#draw();
    if (this.#toCentre && this.#wanted === null) {
      this.#toCentre = false;
      this.#centre();
    }
    this.#settle(SETTLED);
  }

  #settle(after) {
    clearTimeout(this.#timer);
    this.#turn += 1;
    $("after").hidden = $("line").hidden = true;
    $("split").disabled = true;
    delete $("stage").dataset.after;
    $("took").textContent = "";
    if ($("show-after").checked) this.#timer = setTimeout(() => this.#enhance(), after);
  }

  async #enhance() {
    const turn = this.#turn;
    const began = performance.now();
    const query = {video: this.#video.name, frame: this.#frame, after: 1, mark: this.#video.mark};
    $("took").textContent = "making the enhanced frame";
    try {
      const source = await loaded(address("/api/frame", query));
      if (turn !== this.#turn) return;
      $("after").src = source;
    } catch (error) {
      if (turn === this.#turn) complain(error);
      return;
    }
    $("after").hidden = $("line").hidden = false;
    $("split").disabled = false;
    $("took").textContent = `made in ${((performance.now() - began) / 1000).toFixed(2)} s, before it is encoded`;
    $("stage").dataset.after = this.#frame;
    this.#place();
  }

  /** Put the line between before and after, at a share of what is seen of the picture. */
  #place() {
    const share = Number($("split").value);
    const scroll = $("scroll");
    const left = scroll.scrollLeft + (share / 100) * scroll.clientWidth;
    const at = `${(100 * left / $("stage").clientWidth).toFixed(2)}%`;
    $("after").style.clipPath = `inset(0 0 0 ${at})`;
    $("line").style.left = at;
    $("split").setAttribute("aria-valuetext", `the left ${share} % as it is, the rest enhanced`);
  }

  #enlarge() {
    $("stage").style.width = `${100 * Number($("zoom").value)}%`;
    this.#draw();
    this.#centre();
    this.#place();
  }

  #centre() {
    const box = this.#moment?.boxes.find((one) => one.number === this.#chosen)?.box;
    if (!box) return;
    const stage = $("stage"), scroll = $("scroll");
    scroll.scrollLeft = (box[0] + box[2] / 2) / this.#video.width * stage.clientWidth - scroll.clientWidth / 2;
    scroll.scrollTop = (box[1] + box[3] / 2) / this.#video.height * stage.clientHeight - scroll.clientHeight / 2;
  }

  #draw(region = this.#video?.settings["choose.region"]) {
    const overlay = $("overlay");
    overlay.replaceChildren();
    if (Array.isArray(region)) overlay.append(rectangle(region, "shadow"), rectangle(region, "region"));
    if (!this.#moment || !$("show-boxes").checked) return;
    const size = this.#video.height / 32 / Number($("zoom").value);
    for (const {number, enhance, box} of this.#moment.boxes) {
      const one = rectangle(box, `${enhance ? "yes" : "no"}${number === this.#chosen ? " chosen" : ""}`);
      one.dataset.track = number;
      one.addEventListener("click", () => this.toggled(number, !enhance));
      const words = document.createElementNS(SVG, "text");
      words.textContent = number;
      for (const [name, value] of [["x", box[0]], ["y", box[1] - size / 4], ["font-size", size]])
        words.setAttribute(name, value);
      overlay.append(rectangle(box, "shadow"), one, words);
    }
  }

  #listenForRegions() {
    const stage = $("stage");
    let corner = null;
    const point = (event) => {
      const place = $("overlay").getBoundingClientRect();
      return [
        Math.min(Math.max((event.clientX - place.left) / place.width, 0), 1) * this.#video.width,
        Math.min(Math.max((event.clientY - place.top) / place.height, 0), 1) * this.#video.height,
      ];
    };
    const between = ([ax, ay], [bx, by]) =>
      [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)].map(Math.round);
    $("draw").addEventListener("click", () => this.setDrawing(!stage.classList.contains("drawing")));
    stage.addEventListener("pointerdown", (event) => {
      if (!stage.classList.contains("drawing")) return;
      event.preventDefault();
      stage.setPointerCapture(event.pointerId);
      corner = point(event);
    });
    stage.addEventListener("pointermove", (event) => corner && this.#draw(between(corner, point(event))));
    stage.addEventListener("pointercancel", () => { corner = null; this.#draw(); });
    stage.addEventListener("pointerup", (event) => {
      if (!corner) return;
      const region = between(corner, point(event));
      corner = null;
      this.setDrawing(false);
      if (region[2] >= 1 && region[3] >= 1) this.drawn(region);
      else this.#draw();
    });
  }

  /** Whether the pointer draws a region. */
  setDrawing(on) {
    $("stage").classList.toggle("drawing", on);
    $("draw").setAttribute("aria-pressed", String(on));
  }
}

function rectangle([x, y, width, height], kind) {
  const made = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({x, y, width, height, class: kind})) made.setAttribute(name, value);
  return made;
}
