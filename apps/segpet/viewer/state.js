// What the panel shows: one object, changed in one place, and who wants to hear of it.

export const state = {
  phase: 'opening', // "opening", "ready", "review" (read only) or "absent" (no study of this server)
  study: null, // as GET /segpet/studies/ID gives it
  head: null, // of the session's last frame, or of the saved label's in review
  // The object that clicks go to; without a number the next click, or one not answered yet, begins it.
  // What the user chooses is always another aim: an answer sees by that whether its own is still chosen.
  aim: { number: null },
  label: null, // of the next new object
  positive: true, // what a click means
  tool: null, // "click", "brush", "eraser", "window" or null
  method: null, // of the next new object: {method, threshold, value}
  waiting: [], // points (LPS mm) of clicks that are not answered yet
  unsent: [], // clicks that the server could not take: {point, positive, aim, label, method}
  running: null, // key of the text that says what the server is doing
  error: null, // a sentence
  warnings: [], // sentences
  notice: null, // what was done: {key of its text, values}
  learning: null, // as GET /segpet/training gives it; null until somebody looks
  stopping: false, // a training was told to stop, and has not ended yet
  readings: null, // of the study whose readings were opened, as GET .../agreement gives them
  report: null, // of the study whose findings were opened, see impressions.js
  strategies: [], // names of the server's ways to choose the next study
  strategy: null, // the one that was chosen; null: the first
  order: { key: 'number' }, // of the table: {key, rising}
  renaming: null, // number of the object whose name is being typed
  conflict: null, // status that was to be saved when somebody else had saved since
  unseen: null, // status that was to be saved while there were proposals that nobody took up
  marked: [], // numbers of objects chosen for merging
  comparison: null, // head of suv_region's answer beside the model's mask
  hidden: false, // masks and marks
  grey: false, // PET alone in planes that have CT
  displaySet: null, // OHIF's name of the PET series
  help: false,
  client: null,
  user: '', // who is signed in, '' where the server knows no users
  role: 'admin', // annotator, reviewer or admin
  /** Number of the object that clicks correct; null: the next click begins a new one. */
  get selected() {
    return this.aim.number;
  },
};

const hearers = new Set();

/** Change the state and tell everybody. */
export function change(patch) {
  Object.assign(state, patch);
  hearers.forEach(hear => hear(patch));
}

/** Hear of changes until the returned function is called. */
export function hear(hearer) {
  hearers.add(hearer);
  return () => hearers.delete(hearer);
}

/** The object of a number, or undefined. */
export const objectOf = number => state.head?.objects.find(object => object.number === number);

/** The objects as the table shows them: by number, or by a value, the highest first, then the lowest; those without one last. */
export function inOrder() {
  const objects = state.head?.objects ?? [];
  const { key, rising } = state.order;
  if (key === 'number') {
    return objects;
  }
  const sign = rising ? 1 : -1;
  const known = objects.filter(object => typeof object[key] === 'number').sort((one, other) => sign * (one[key] - other[key]));
  return [...known, ...objects.filter(object => typeof object[key] !== 'number')];
}
