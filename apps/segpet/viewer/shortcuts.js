// Keys. They come before OHIF's own, and leave alone what is typed into a field.

import * as actions from './actions.js';
import { toggleFusion } from './looks.js';
import { change, state } from './state.js';

/** What is listed under "?": keys, key of the text. */
export const LIST = [
  ['X', 'key.flip'],
  ['1 – 9', 'key.label'],
  ['N', 'key.new'],
  ['Enter', 'key.accept'],
  ['Ctrl Z', 'key.undo'],
  ['Ctrl Shift Z', 'key.redo'],
  [', .', 'key.step'],
  ['Delete', 'key.remove'],
  ['R', 'key.rename'],
  ['M', 'key.mark'],
  ['Shift M', 'key.merge'],
  ['C B E W', 'key.tools'],
  ['[ ]', 'key.size'],
  ['V', 'key.method'],
  ['S', 'key.compare'],
  ['P', 'key.propose'],
  ['H', 'key.hide'],
  ['F', 'key.fusion'],
  ['Space', 'key.reset'],
  ['Ctrl S', 'key.save'],
  ['G', 'key.next'],
  ['↑ ↓', 'key.slices'],
  ['?', 'key.help'],
];

const KEYS = {
  x: actions.flip,
  n: actions.newObject,
  enter: () => actions.accept(),
  'ctrl+z': actions.undoStep,
  'ctrl+shift+z': actions.redoStep,
  'ctrl+y': actions.redoStep,
  ',': () => actions.step(-1),
  '.': () => actions.step(1),
  delete: () => actions.remove(state.selected),
  backspace: () => actions.remove(state.selected),
  r: () => state.selected && change({ renaming: state.selected }),
  m: () => state.selected && actions.mark(state.selected),
  'shift+m': actions.merge,
  c: () => actions.chooseTool('click'),
  b: () => actions.chooseTool('brush'),
  e: () => actions.chooseTool('eraser'),
  w: () => actions.chooseTool('window'),
  v: actions.nextMethod,
  s: actions.toggleComparison,
  p: actions.propose,
  h: actions.toggleHidden,
  f: toggleFusion,
  'ctrl+s': () => actions.save('draft'),
  'ctrl+shift+s': () => actions.save('submitted'),
  g: () => actions.nextStudy(),
  '?': () => change({ help: !state.help }),
  'shift+?': () => change({ help: !state.help }),
};

// What takes Enter and Space itself where it is focused.
const CONTROLS = 'button, a, summary';

// Of what is left without a session: looking, and going on.
const ALWAYS = new Set([',', '.', 'h', 'f', 'g', 'w', '?', 'shift+?']);

/** Whether a key belongs to an input method that composes a character; 229 is how Safari tells of the last one. */
export const composes = ({ isComposing, keyCode }) => isComposing || keyCode === 229;

/** Listen until the returned function is called. */
export function listenToKeys() {
  document.addEventListener('keydown', press, true);
  return () => document.removeEventListener('keydown', press, true);
}

function press(event) {
  const within = selector => event.target.closest?.(selector);
  if (composes(event) || within('input, textarea, select, [contenteditable=true], [role=dialog], [role=menu]')) {
    return;
  }
  const held = [(event.ctrlKey || event.metaKey) && 'ctrl', event.shiftKey && 'shift'].filter(Boolean);
  const name = [...held, event.key.toLowerCase()].join('+');
  if (event.key === 'Escape' && state.help) {
    change({ help: false });
    return;
  }
  if (name === ' ' && within('.segpet-panel') && within(CONTROLS)) {
    event.stopImmediatePropagation(); // to OHIF it is the reset of the plane
    return;
  }
  const label = /^[1-9]$/.test(name) ? state.study?.labels[Number(name) - 1] : null;
  const action = label ? () => actions.chooseLabel(label.name) : KEYS[name];
  if (!action || event.altKey || (state.phase !== 'ready' && !ALWAYS.has(name))) {
    return;
  }
  if (name === 'enter' && within(CONTROLS)) {
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  if (!event.repeat || name.startsWith('ctrl+')) {
    action();
  }
}
