// A picture that is pasted anywhere on the page is uploaded like one that is chosen.
document.addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  const input = document.querySelector("#upload input[type=file]");
  if (!file || !input) return;
  event.preventDefault();
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

// Gradio hides what overflows the page, which would keep the crop from staying in view on a phone (page.css).
function letTheCropStay() {
  document.querySelector(".gradio-container")?.style.setProperty("overflow", "clip", "important");
}

// A file above MAX_UPLOAD bytes, which the server states, is not sent; a sentence says so.
function refuseLargeFile(event) {
  const upload = document.querySelector("#upload");
  if (!upload?.contains(event.target)) return;
  const file = (event.dataTransfer ?? event.target).files?.[0];
  document.querySelector("#refused")?.remove();
  if (!file || file.size <= MAX_UPLOAD) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const sentence = document.createElement("p");
  sentence.id = "refused";
  sentence.className = "error";
  sentence.setAttribute("role", "alert");
  const megabytes = (bytes) => `${Math.ceil(bytes / 1e6)} MB`;
  sentence.textContent = `${file.name}: expected at most ${megabytes(MAX_UPLOAD)}, found ${megabytes(file.size)}`;
  upload.after(sentence);
}
document.addEventListener("change", refuseLargeFile, true);
document.addEventListener("drop", refuseLargeFile, true);

// Names for screen readers where Gradio gives none, or one that differs from the text that is seen.
const NAMES = {
  "#overview button": "Whole picture: a click moves the crop; column and row can also be typed below",
  "#comparison img:first-of-type": "The crop before it is restored",
  "#comparison img.fixed": "The crop, restored",
};
const AUTOS = ["width", "second_width", "angle", "noise_level"];

function nameElements() {
  for (const button of document.querySelectorAll("#upload button, #candidates .thumbnail-item")) {
    button.removeAttribute("aria-label");
  }
  for (const name of AUTOS) {
    const label = `auto ${name.replace("_", " ")}`;
    document.querySelector(`#auto-${name} input`)?.setAttribute("aria-label", label);
  }
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const element of document.querySelectorAll(selector)) {
      if (element.tagName === "IMG") element.alt = name;
      else element.setAttribute("aria-label", name);
    }
  }
  nameDivider(document.querySelector("#comparison [data-testid=slider]"));
}

// The divider between the two pictures can be moved by the arrow keys.
const KEY_STEPS = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 };

function nameDivider(divider) {
  if (!divider || divider.tabIndex === 0) return;
  divider.tabIndex = 0;
  divider.setAttribute("role", "slider");
  divider.setAttribute("aria-label", "Divider between before and restored");
  divider.setAttribute("aria-valuemin", "0");
  divider.setAttribute("aria-valuemax", "100");
  const update = () => divider.setAttribute("aria-valuenow", Math.round(100 * dividerPosition(divider)));
  new MutationObserver(update).observe(divider, { attributes: true, attributeFilter: ["style"] });
  update();
  divider.addEventListener("keydown", (event) => {
    const step = KEY_STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const area = divider.parentElement.getBoundingClientRect();
    const to = area.left + area.width * Math.min(Math.max(dividerPosition(divider) + step, 0), 1);
    drag(divider, to);
  });
}

function dividerPosition(divider) {
  const area = divider.parentElement.getBoundingClientRect();
  const box = divider.getBoundingClientRect();
  return Math.min(Math.max((box.left + box.width / 2 - area.left) / area.width, 0), 1);
}

function drag(divider, to) {
  const box = divider.getBoundingClientRect();
  const from = box.left + box.width / 2;
  const send = (target, type, x) =>
    target.dispatchEvent(new MouseEvent(type, { bubbles: true, view: window, clientX: x, clientY: box.top + 5 }));
  send(divider, "mousedown", from);
  send(window, "mousemove", to);
  send(window, "mouseup", to);
}

// The candidates may appear outside of what is seen.
let awaitsCandidates = false;
document.addEventListener("click", (event) => {
  if (event.target.closest?.("#show-candidates")) awaitsCandidates = true;
});

function showCandidates() {
  const gallery = document.querySelector("#candidates");
  if (!awaitsCandidates || !gallery?.querySelector(".thumbnail-item")) return;
  awaitsCandidates = false;
  const isNarrow = matchMedia("(max-width: 600px)").matches; // there the gallery is higher than the window
  gallery.scrollIntoView({ block: isNarrow ? "start" : "nearest" });
}

new MutationObserver(showCandidates).observe(document, { childList: true, subtree: true });
new MutationObserver(nameElements).observe(document, { childList: true, subtree: true });
new MutationObserver(letTheCropStay).observe(document, { childList: true, subtree: true });
