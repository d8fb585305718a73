// The page: opens a video, and keeps its parts and the files beside the video the same.

import {$, complain, get, make, post, say, shown, upload} from "./api.js";
import {Jobs} from "./jobs.js";
import {SettingsFields} from "./settings.js";
import {Tracks} from "./tracks.js";
import {Viewer} from "./viewer.js";

const AGAIN = 1500; // milliseconds after which a lost connection is tried again
let video = null;
let socket = null;
let finished = null; // jobs that are known to have ended

const viewer = new Viewer({toggled: shown(toggle), drawn: (region) => set({"choose.region": region})});
const tracks = new Tracks({toggled: shown(toggle), chosen: shown(choose)});
const fields = new SettingsFields(shown(set));
const jobs = new Jobs();

function adopt(answer) {
  video = answer;
  $("work").hidden = $("line-part").hidden = false;
  $("about").textContent =
    `${video.width} x ${video.height}, ${video.frames} frames, ${video.length}` +
    video.warnings.map((words) => `; ${words}`).join("");
  $("render").disabled = !video.searched;
  $("analyze").textContent = video.searched ? "Find faces anew" : "Find faces";
  $("anew").hidden = !video.searched;
  $("files").textContent = video.files.join(", ");
  $("commands").textContent = Object.values(video.commands).map((words) => words.map(quoted).join(" ")).join("\n");
  fields.open(video);
  tracks.open(video);
  viewer.open(video);
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

async function open(name) {
  say(`opening ${name}`);
  try {
    adopt(await get("/api/video", {video: name}));
  } catch (error) {
    if (video) $("video").value = video.name;
    say("");
    throw error;
  } finally {
    listen();
  }
  document.title = `${name} - facepipe`;
  history.replaceState(null, "", `/?video=${encodeURIComponent(name)}`);
  say(video.searched ? video.summary : "Find faces to begin.");
}

async function toggle(number, enhance) {
  try {
    adopt(await post("/api/tracks", {video: video.name, numbers: [number], enhance}));
  } catch (error) {
    tracks.open(video);
    throw error;
  }
  const now = video.tracks.find((track) => track.number === number);
  say(now.enhance ? `Track ${number} is to be enhanced.` : `Track ${number} is left as it is: ${now.kind}.`);
}

async function set(values) {
  try {
    adopt(await post("/api/settings", {video: video.name, values}));
    say("The settings are saved.");
  } catch (error) {
    fields.open(video);
    complain(error);
  }
}

async function choose(number) {
  tracks.mark(number);
  const {frame} = await get("/api/best", {video: video.name, track: number});
  await viewer.choose(number, frame);
}

async function add(kind) {
  await post("/api/jobs", {video: video.name, kind});
  say(kind === "analyze" ? "The search is in the queue." : "The video is in the queue.");
}

/** Hear of jobs, and of files that others change; for as long as the page is open. */
function listen() {
  const before = socket;
  socket = new WebSocket(`ws://${location.host}/events?video=${encodeURIComponent(video?.name ?? "")}`);
  before?.close();
  const own = socket;
  own.onmessage = shown(async ({data}) => {
    const told = JSON.parse(data);
    jobs.show(told.jobs);
    announce(told.jobs);
    if (own === socket && video && told.mark && told.mark !== video.mark)
      adopt(await get("/api/video", {video: video.name}));
  });
  own.onclose = () => own === socket && setTimeout(() => own === socket && listen(), AGAIN);
}

function announce(all) {
  const ended = all.filter(({state}) => state === "done" || state === "failed");
  for (const job of ended)
    if (finished && !finished.has(job.number)) {
      if (job.kind === "render") shown(list)();
      say(`${job.kind === "analyze" ? "The search of" : "The enhancing of"} ${job.video}: ${job.state}.`);
    }
  finished = new Set(ended.map(({number}) => number));
}

/** Ask which videos there are, and offer them. */
async function list() {
  const found = await get("/api/videos");
  const options = found.videos.map((one) =>
    make("option", {value: one.name}, one.is_result ? `${one.name} (made by facepipe)` : one.name));
  $("video").replaceChildren(...options);
  if (video) $("video").value = video.name;
  $("upload-field").hidden = !found.most_bytes;
  return found;
}

/** Open the video of that name, or the first one that facepipe has not made. */
async function begin(name) {
  const found = await list();
  const first = found.videos.find((one) => one.name === name) ?? found.videos.find((one) => !one.is_result);
  if (!first) {
    say(`There is no video in ${found.folder}.`);
    listen();
    return;
  }
  $("video").value = first.name;
  await open(first.name);
}

$("video").addEventListener("change", shown(() => open($("video").value)));
$("analyze").addEventListener("click", shown(() => add("analyze")));
$("render").addEventListener("click", shown(() => add("render")));
$("upload").addEventListener("change", shown(async () => {
  const [file] = $("upload").files;
  if (!file) return;
  const bar = $("upload-progress");
  bar.hidden = false;
  try {
    const taken = await upload(file, (share) => { bar.value = share; });
    await begin(taken.name);
  } finally {
    bar.hidden = true;
    $("upload").value = "";
  }
}));

const asked = new URLSearchParams(location.search).get("video");
history.replaceState(null, "", "/"); // the token need not be seen any longer
shown(() => begin(asked))();
