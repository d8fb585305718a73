// What the page asks its server for. An answer that is no success becomes an Error in its words.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children: make("p", {className: "faint"}, "text"). */
export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function answer(response) {
  if (response.ok) return response.json();
  let words = `the server answers ${response.status}`;
  try {
    words = (await response.json()).error || words;
  } catch { /* no JSON */ }
  throw new Error(words);
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error("facepipe does not answer: was it ended in the terminal?");
  }
}

/** The address of something, with its query. */
export function address(path, query = {}) {
  const words = new URLSearchParams(query).toString();
  return words ? `${path}?${words}` : path;
}

export const get = async (path, query) => answer(await reach(address(path, query)));

export const post = async (path, body = {}) =>
  answer(await reach(path, {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body),
  }));

/** Send a file, and call `progress` with the share that is sent. */
export function upload(file, progress) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address("/api/upload", {name: file.name}));
    request.upload.onprogress = (event) => progress(event.loaded / Math.max(event.total, 1));
    request.onerror = () => fail(new Error("the upload was cut off"));
    request.onload = () => {
      const told = JSON.parse(request.responseText || "{}");
      if (request.status < 300) done(told);
      else fail(new Error(told.error || `the server answers ${request.status}`));
    };
    request.send(file);
  });
}

/** Load a picture before it is shown. An Error says why there is none. */
export async function loaded(source) {
  const image = new Image();
  image.src = source;
  try {
    await image.decode();
  } catch {
    await answer(await reach(source)).catch((error) => {
      throw error instanceof SyntaxError ? new Error("the picture could not be shown") : error;
    });
  }
  return image.src;
}

/** Say what was done, or what went wrong. */
export function say(words) {
  $("alert").hidden = true;
  $("status").textContent = words;
}

export function complain(error) {
  $("alert").textContent = error.message;
  $("alert").hidden = false;
}

/** A listener whose errors are shown. */
export const shown = (listener) => async (...given) => {
  try {
    await listener(...given);
  } catch (error) {
    complain(error);
  }
};
