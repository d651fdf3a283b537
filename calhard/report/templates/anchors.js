// A frame without an origin of its own follows no "#part": scroll to the part instead.
addEventListener("click", function (event) {
  var link = event.target.closest("a[href^='#']");
  var part = link && document.getElementById(link.getAttribute("href").slice(1));
  if (!part || parent === window) return;
  event.preventDefault();
  part.scrollIntoView();
  part.focus({ preventScroll: true });
});
