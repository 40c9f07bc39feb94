// What this session may do, as captiv said when it made the page. captiv refuses the rest; what a session
// may not do is not shown either: elements with `data-needs`.

const ORDER = ["look", "edit", "own"];
const held = ORDER.indexOf(document.documentElement.dataset.may ?? "look");

/** @param {string} [right] */
export const may = (right = "look") => held >= ORDER.indexOf(right);
