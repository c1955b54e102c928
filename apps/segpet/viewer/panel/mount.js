// Our panel inside OHIF's React, which is not to be had from outside: one constant element, in which Preact draws.

import { html, render } from '../vendor/preact-htm.js';
import { Panel } from './panel.js';

const link = document.createElement('link');
link.rel = 'stylesheet';
link.href = new URL('../panel.css', import.meta.url).href;
document.head.append(link);

let root = null;

/** React calls it with the element when the panel appears and with null when it goes. */
function mount(element) {
  if (root) {
    render(null, root);
  }
  root = element;
  if (element) {
    render(html`<${Panel} />`, element);
  }
}

// The element type of React 18, which the pinned viewer has; it never changes, so React never draws it anew.
const element = {
  $$typeof: Symbol.for('react.element'),
  type: 'div',
  key: null,
  ref: mount,
  props: { className: 'segpet' },
  _owner: null,
};

export const Root = () => element;
