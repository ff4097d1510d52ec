"use strict";
// Column headings become buttons only where scripts run: without them nothing looks clickable.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const announcement = table.parentElement.querySelector(".visually-hidden");
  headings.forEach((heading, column) => {
    if (heading.dataset.order === "none") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const first = heading.dataset.first ?? (heading.dataset.order === "text" ? "ascending" : "descending");
      const second = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
      const sign = order === "ascending" ? 1 : -1;
      const compare = heading.dataset.order === "text"
        ? (a, b) => sign * key(a).localeCompare(key(b), undefined, { numeric: true })
        : (a, b) => sign * (Number(key(a)) - Number(key(b)));
      body.append(...[...body.rows].sort(compare));
      announcement.textContent = `Sorted by ${button.textContent}, ${order}.`;
    });
  });
}
