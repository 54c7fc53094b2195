// Copies what a [data-copy] button names: the text or value of the element with that id.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const copied = await copy(source);
  const label = button.querySelector("[data-copy-label]") || button;
  label.dataset.before ??= label.textContent;
  label.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (label.textContent = label.dataset.before), 2000);
});

async function copy(source) {
  const text = source.value ?? source.textContent;
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the older way below needs no permission.
    }
  }
  // Without TLS browsers have no navigator.clipboard.
  const selection = window.getSelection();
  if (source.select) {
    source.select();
  } else {
    const range = document.createRange();
    range.selectNodeContents(source);
    selection.removeAllRanges();
    selection.addRange(range);
  }
  return document.execCommand("copy");
}
