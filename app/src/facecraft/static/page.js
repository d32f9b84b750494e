// What the page at / does: it posts a picture to the service's own endpoint, and shows what comes back.

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

const patience = 120_000; // milliseconds until an answer
const sentences = {
  no_face_detected: "No face was found in this picture. Choose one in which a face is seen from the front.",
  loading: "The models are still being loaded. Try again in a moment.",
};

/** Bytes; told by the service. */
let largest = Number.POSITIVE_INFINITY;
/** Ends the request that an earlier picture is waiting for. */
let earlier = new AbortController();
/** Addresses of pictures in the browser's memory. */
const addresses = { given: "", portrait: "" };

/** @param {"given" | "portrait"} which @param {Blob | undefined} picture */
function show(which, picture) {
  const image = element(which);
  URL.revokeObjectURL(addresses[which]);
  addresses[which] = picture ? URL.createObjectURL(picture) : "";
  image.hidden = !picture;
  if (picture) {
    image.src = addresses[which];
  } else {
    image.removeAttribute("src");
  }
}

/** A sentence from what a program says. */
function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}

/** Why the service did not answer with a portrait, as a sentence. */
async function reason(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (typeof detail === "string") {
    return sentences[detail] ?? sentence(detail);
  }
  if (Array.isArray(detail) && detail.length > 0) {
    return `The service did not understand the request: ${sentence(String(detail[0].msg))}`;
  }
  return `The service failed (status ${response.status}). Its log says why.`;
}

/** @returns {Promise<Blob>} */
async function askForPortrait(file, signal) {
  if (file.size === 0) {
    throw new Error("This file is empty.");
  }
  if (file.size > largest) {
    throw new Error(`This file has ${megabytes(file.size)}. The service takes at most ${megabytes(largest)}.`);
  }
  const body = new FormData();
  body.append("file", file);
  const late = AbortSignal.timeout(patience);
  try {
    const response = await fetch(element("form").action, {
      method: "POST",
      body,
      signal: AbortSignal.any([signal, late]),
    });
    if (response.ok) {
      return await response.blob();
    }
    throw new Error(await reason(response));
  } catch (error) {
    if (late.aborted) {
      throw new Error(`The service did not answer within ${patience / 1000} seconds.`);
    }
    throw error instanceof TypeError
      ? new Error("The service cannot be reached. See whether it still runs, and try again.")
      : error;
  }
}

async function makePortrait(file) {
  earlier.abort();
  earlier = new AbortController();
  const { signal } = earlier;
  element("error").textContent = "";
  element("progress").textContent = "Making the portrait…";
  element("pictures").hidden = false;
  element("name").textContent = file.name;
  element("given").alt = `Your picture ${file.name}`;
  element("answer").classList.add("busy");
  element("save").hidden = true;
  show("given", file);
  show("portrait", undefined);
  const began = performance.now();
  try {
    const portrait = await askForPortrait(file, signal);
    if (signal.aborted) {
      return;
    }
    show("portrait", portrait);
    element("portrait").alt = `The portrait that was made of ${file.name}`;
    element("save").href = addresses.portrait;
    element("save").hidden = false;
    element("progress").textContent =
      `Here is the portrait, after ${((performance.now() - began) / 1000).toFixed(1)} s.`;
  } catch (error) {
    if (signal.aborted) {
      return;
    }
    element("progress").textContent = "";
    element("pictures").hidden = true;
    element("error").textContent = error.message;
  }
  element("answer").classList.remove("busy");
}

/** An element with a text in it. */
function tag(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** What is known of a model's bytes: a sentence, and whether that is good, bad or neither. */
function judge({ pin, sha256, error }) {
  if (error) {
    return [sentence(error), "bad"];
  }
  if (!sha256) {
    return ["Being loaded…", ""];
  }
  if (!pin) {
    return ["Loaded. Nothing here says which pin it must have: the service does not run in its image.", ""];
  }
  return pin === sha256
    ? ["Loaded, and its bytes are those of the pin.", "good"]
    : [`Loaded, but its bytes are others than those of the pin: ${sha256}`, "bad"];
}

function describe(model) {
  const list = document.createElement("dl");
  const add = (term, ...parts) => {
    const value = document.createElement("dd");
    value.append(...parts);
    list.append(tag("dt", term), value);
  };
  add("File", tag("code", model.file), model.sizeBytes === null ? "" : `, ${megabytes(model.sizeBytes)}`);
  if (model.pin ?? model.sha256) {
    add(model.pin ? "Pin" : "SHA-256", tag("code", model.pin ?? model.sha256));
  }
  add("State", tag("span", ...judge(model)));
  const item = document.createElement("li");
  item.append(tag("h3", model.title), list);
  return item;
}

function tell(state, text) {
  const place = element("service");
  // What is said again is read out again.
  if (place.textContent !== text) {
    place.dataset.state = state;
    place.textContent = text;
  }
}

/** Asks for the models, again and again until they are loaded. */
async function watch() {
  let wait = 1000;
  try {
    const response = await fetch("api/v1/about", { signal: AbortSignal.timeout(10_000) });
    const about = await response.json();
    largest = about.largestBytes;
    element("limits").textContent =
      `JPEG, PNG or WebP, at most ${megabytes(about.largestBytes)} and ${about.largestPixels / 1e6} megapixels`;
    element("list").replaceChildren(...about.models.map(describe));
    const failed = about.models.filter(({ error }) => error);
    const loading = about.models.filter(({ error, sha256 }) => !error && !sha256);
    const other = about.models.filter(({ pin, sha256 }) => pin && sha256 && pin !== sha256);
    if (failed.length > 0) {
      tell("failed", `Not ready: ${failed.map(({ title }) => title).join(", ")} cannot be loaded`);
    } else if (loading.length > 0) {
      tell("loading", "Loading the models…");
    } else if (other.length > 0) {
      tell("failed", `Ready, but ${other.map(({ title }) => title).join(", ")} is not the file that its pin names`);
    } else {
      tell("ready", about.device === "cpu" ? "Ready, on the CPU" : "Ready, on the GPU");
      wait = 0;
    }
  } catch {
    tell("failed", "The service does not answer");
    wait = 5000;
  }
  if (wait > 0) {
    setTimeout(watch, wait);
  }
}

element("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) {
    makePortrait(file);
  }
  // So that the same file can be chosen again.
  target.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  element("file").addEventListener(name, () => element("file").classList.toggle("over", name === "dragover"));
}
document.addEventListener("paste", ({ clipboardData }) => {
  const [file] = clipboardData.files;
  if (file) {
    makePortrait(file);
  }
});
watch();
