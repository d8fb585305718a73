// The queue: what waits, what is at work and how far, what is done and can be downloaded.

import {$, address, make, post, shown} from "./api.js";

const KINDS = {analyze: "Find the faces of", render: "Enhance"};
const VERBS = {
  waiting: ["remove"], running: ["stop"], stopped: ["resume", "remove"],
  failed: ["resume", "remove"], done: ["remove"],
};
const LABELS = {stop: "Cancel", resume: "Resume", remove: "Remove"};
const STATES = {waiting: "waits", stopped: "cancelled; what is finished is kept", failed: "failed", done: "done"};

export class Jobs {
  #items = new Map();

  show(jobs) {
    $("no-jobs").hidden = jobs.length > 0;
    const numbers = new Set(jobs.map((job) => job.number));
    for (const [number, item] of this.#items) {
      if (numbers.has(number)) continue;
      item.row.remove();
      this.#items.delete(number);
    }
    for (const job of jobs) this.#update(job);
  }

  #update(job) {
    let item = this.#items.get(job.number);
    if (!item) {
      item = this.#made(job);
      this.#items.set(job.number, item);
      $("jobs").append(item.row);
    }
    item.bar.hidden = job.state !== "running";
    if (job.total) item.bar.value = job.done / job.total;
    else item.bar.removeAttribute("value");
    item.state.textContent = stateOf(job);
    item.message.hidden = !job.message;
    item.message.textContent = job.message;
    if (item.last !== job.state) {
      const held = item.verbs.contains(document.activeElement);
      item.last = job.state;
      item.row.dataset.state = job.state;
      item.verbs.replaceChildren(...links(job), ...buttons(job));
      if (held) item.verbs.querySelector("button")?.focus();
    }
  }

  #made(job) {
    const title = `${KINDS[job.kind]} ${job.video}`;
    const item = {
      bar: make("progress", {max: 1}),
      state: make("p", {className: "faint"}),
      message: make("pre", {hidden: true}),
      verbs: make("p", {className: "row"}),
    };
    item.bar.setAttribute("aria-label", title);
    item.row = make("li", {className: "job"}, make("h3", {}, title), item.bar, item.state, item.message, item.verbs);
    item.row.dataset.job = job.number;
    return item;
  }
}

function stateOf(job) {
  if (job.state !== "running") return STATES[job.state];
  if (!job.total) return "begins";
  if (job.done >= job.total) return "all frames are done; the file is being finished";
  const share = Math.floor((100 * job.done) / job.total);
  const left = job.seconds_left === null ? "" : `, about ${duration(job.seconds_left)} left`;
  return `${share} %, ${job.done} of ${job.total} frames${left}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 1)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function links(job) {
  return job.made.map((name) => {
    const link = make("a", {href: address("/api/result", {name})}, `Download ${name}`);
    link.setAttribute("download", name.split("/").pop());
    return link;
  });
}

function buttons(job) {
  return VERBS[job.state].map((verb) => {
    const button = make("button", {type: "button"}, LABELS[verb]);
    button.setAttribute("aria-label", `${LABELS[verb]}: ${KINDS[job.kind]} ${job.video}`);
    button.addEventListener("click", shown(() => post(`/api/jobs/${job.number}/${verb}`)));
    return button;
  });
}
