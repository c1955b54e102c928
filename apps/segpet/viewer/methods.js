// What can answer clicks: the model, and region growing with one of its thresholds.

import { objectOf, state } from './state.js';

const answers = ({ state: how }) => how === 'ready' || how === 'loading';

/** All choices of the study: {method, threshold, value, usable, why}. */
export const choices = () =>
  (state.study?.methods ?? []).flatMap(one => {
    const { name, why, thresholds } = one;
    const usable = answers(one);
    // A fixed value is known where the unit is SUV only.
    const known = (thresholds ?? [{ name: null, value: null }]).filter(
      ({ name, value }) => name !== 'fixed' || value !== null,
    );
    return known.map(threshold => ({ method: name, threshold: threshold.name, value: threshold.value, usable, why }));
  });

/** Whether it is what answers the next click: an object keeps the method that it has. */
export function isChosen(choice) {
  const { method, threshold } = objectOf(state.selected) ?? state.method ?? {};
  return choice.method === method && (choice.threshold ?? null) === (threshold ?? null);
}

/** Whether clicks in an object can be answered; not those in one of the model's where that has no weights. */
export const canAnswer = ({ method }) => state.study.methods.some(one => one.name === method && answers(one));
