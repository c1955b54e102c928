// The state in Preact.

import { useEffect, useReducer } from '../vendor/preact-htm.js';
import { hear, state } from '../state.js';

/** The state; the component is drawn anew when it changes. */
export function useState() {
  const [, draw] = useReducer(count => count + 1, 0);
  useEffect(() => hear(draw), []);
  return state;
}
