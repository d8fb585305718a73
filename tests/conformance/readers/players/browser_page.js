"use strict";

// What runs in the browser's page: each function takes the address of a video.

function loaded(video, event) {
  return new Promise((good, bad) => {
    video.addEventListener(event, good, {once: true});
    video.addEventListener("error", () => bad(new Error(video.error.message)), {once: true});
  });
}

async function opened(url) {
  const video = document.createElement("video");
  Object.assign(video, {muted: true, preload: "auto"});
  const ready = loaded(video, "loadeddata");
  video.src = url;
  await ready;
  return video;
}

async function told(url) {
  const video = await opened(url);
  const size = `${video.videoWidth}x${video.videoHeight}`;
  return {duration: video.duration, size};
}

function shot(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(video, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const green = [];
  for (let at = 1; at < pixels.length; at += 4) green.push(String.fromCharCode(pixels[at]));
  return [canvas.width, canvas.height, btoa(green.join(""))];
}

// The event tells that the frame is there, the callback that it is shown; it does not come where
// the frame was shown already.
async function shotAt(video, time) {
  const shown = new Promise((good) => video.requestVideoFrameCallback(good));
  const done = loaded(video, "seeked");
  video.currentTime = time;
  await done;
  await Promise.race([shown, new Promise((good) => setTimeout(good, 500))]);
  return shot(video);
}

async function framesAt(url, times) {
  const video = await opened(url);
  const shots = [];
  for (const time of times) shots.push(await shotAt(video, time));
  return shots;
}

function bytesOf(url) {
  return new Promise((good, bad) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.responseType = "arraybuffer";
    request.onload = () => good(request.response);
    request.onerror = () => bad(new Error("cannot be read"));
    request.send();
  });
}

// Feed a video to MediaSource in pieces, as streaming players do, and look at `times`.
async function streamed(url, kind, times, piece) {
  if (!MediaSource.isTypeSupported(kind)) throw new Error(`takes no ${kind}`);
  const content = await bytesOf(url);
  const video = document.createElement("video");
  Object.assign(video, {muted: true, preload: "auto"});
  const source = new MediaSource();
  const open = new Promise((good) => source.addEventListener("sourceopen", good, {once: true}));
  video.src = URL.createObjectURL(source);
  await open;
  const buffer = source.addSourceBuffer(kind);
  for (let at = 0; at < content.byteLength; at += piece) {
    await new Promise((good, bad) => {
      const fail = () => bad(new Error(video.error ? video.error.message : "not appended"));
      buffer.onupdateend = good;
      buffer.onerror = fail;
      if (video.error) fail();
      else buffer.appendBuffer(content.slice(at, at + piece));
    });
  }
  source.endOfStream();
  const ranges = [];
  for (let n = 0; n < buffer.buffered.length; n++) {
    ranges.push([buffer.buffered.start(n), buffer.buffered.end(n)]);
  }
  const shots = [];
  for (const time of times) shots.push(await shotAt(video, time));
  return {ranges, duration: video.duration, shots};
}
