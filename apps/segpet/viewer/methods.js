// What can answer clicks: the model, and region growing with one of its thresholds.

import { chooseMethod } from './actions.js';
import { state } from './state.js';

/** All choices of the study: {method, threshold, value, usable, why}. */
export const choices = () =>
  (state.study?.methods ?? []).flatMap(({ name, state: how, why, thresholds }) => {
    const usable = how === 'ready' || how === 'loading';
    // A fixed value is known where the unit is SUV only.
    const known = (thresholds ?? [{ name: null, value: null }]).filter(
      ({ name, value }) => name !== 'fixed' || value !== null,
    );
    return known.map(threshold => ({ method: name, threshold: threshold.name, value: threshold.value, usable, why }));
  });

export const isChosen = choice =>
  choice.method === state.method?.method && (choice.threshold ?? null) === (state.method?.threshold ?? null);

/** Go on to the next choice that can answer. */
export function nextMethod() {
  const usable = choices().filter(choice => choice.usable);
  const at = usable.findIndex(isChosen);
  const next = usable[(at + 1) % usable.length];
  if (next) {
    const { method, threshold, value } = next;
    chooseMethod({ method, threshold, value });
  }
}
