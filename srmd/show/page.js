"use strict";
for (const figure of document.querySelectorAll(".comparison")) {
  const frame = figure.querySelector(".frame");
  const slider = frame.querySelector("input");
  const left = figure.querySelector("select.left");
  const right = figure.querySelector("select.right");
  slider.addEventListener("input", () => frame.style.setProperty("--cut", `${slider.value}%`));
  const show = () => {
    for (const image of frame.querySelectorAll("img")) {
      image.classList.toggle("is-left", image.dataset.label === left.value);
      image.classList.toggle("is-right", image.dataset.label === right.value);
    }
  };
  left.addEventListener("change", show);
  right.addEventListener("change", show);
}
