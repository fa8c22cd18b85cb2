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
