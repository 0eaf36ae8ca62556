// The box above a long table: rows that have all words of it stay.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("input.filter");
  if (!box) return;
  const rows = [...document.querySelectorAll(".md-typeset table tbody tr")];
  const count = document.querySelector(".filter-count");
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = rows.filter((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      return !row.hidden;
    });
    count.textContent = `${shown.length} of ${rows.length}`;
  };
  box.addEventListener("input", show);
  show();
});
