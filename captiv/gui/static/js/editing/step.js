// One step of the editor's state: values are replaced, never changed; effects are noted in order.

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Paper} Paper
 * @typedef {import("./state.js").Effect} Effect
 * @typedef {{state: State, effects: Effect[]}} Step
 */

/** @param {Step} step @param {Partial<State>} changes */
export function change(step, changes) {
  step.state = { ...step.state, ...changes };
}

/** Writes on an image's paper. @param {Step} step @param {string} id @param {Partial<Paper>} changes */
export function write(step, id, changes) {
  const { papers } = step.state;
  change(step, { papers: { ...papers, [id]: { ...papers[id], ...changes } } });
}

/** @param {Step} step @param {Effect} effect */
export function act(step, effect) {
  step.effects.push(effect);
}

/** A number that no answer carried yet. @param {Step} step */
export function nextTicket(step) {
  change(step, { tickets: step.state.tickets + 1 });
  return step.state.tickets;
}
