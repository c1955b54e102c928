// The panel: study, messages, tools, table, saving.

import { html } from '../vendor/preact-htm.js';
import { text } from '../texts.js';
import { Annotate } from './annotate.js';
import { Help } from './help.js';
import { Learn } from './learn.js';
import { Messages } from './messages.js';
import { Objects } from './objects.js';
import { Readings } from './readings.js';
import { Report } from './report.js';
import { Save } from './save.js';
import { Study } from './study.js';
import { useState } from './use.js';

/** What the mouse pressed must not keep the focus: Enter is the key that accepts an object. */
function letGo(event) {
  if (event.detail && event.target.closest('button, summary')) {
    document.activeElement?.blur();
  }
}

export function Panel() {
  const state = useState();
  if (!state.study || !state.head) {
    const said = state.phase === 'opening' ? text('opening') : text('absent');
    return html`<div class="segpet-panel" data-phase=${state.phase}>
      <p class="segpet-quiet segpet-alone">${state.error ?? said}</p>
    </div>`;
  }
  return html`<div class="segpet-panel" data-phase=${state.phase} data-running=${state.running ?? ''}
      data-revision=${state.head.revision ?? ''} onClick=${letGo}>
    <div class="segpet-body">
      <${Study} state=${state} />
      ${state.phase === 'ready' && html`<${Annotate} state=${state} />`}
      <${Objects} state=${state} />
      <${Readings} state=${state} />
      <${Report} state=${state} />
      <${Learn} state=${state} />
    </div>
    <${Messages} state=${state} />
    <${Save} state=${state} />
    ${state.help && html`<${Help} />`}
  </div>`;
}
