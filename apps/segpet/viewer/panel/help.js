// The shortcuts, over the panel.

import { html } from '../vendor/preact-htm.js';
import { LIST } from '../shortcuts.js';
import { change, state } from '../state.js';
import { text } from '../texts.js';

export function Help() {
  return html`<aside class="segpet-help" data-test="help">
    <div class="segpet-line"><h3>${text('shortcuts')}</h3>
      <button class="segpet-icon" title=${text('close')} onClick=${() => change({ help: false })}>×</button></div>
    <dl>${LIST.map(([keys, what]) => html`<dt>${keys.split(' ').map(key => (key === '–' ? '–' : html`<kbd>${key}</kbd>`))}</dt><dd>${text(what)}</dd>`)}</dl>
    <p class="segpet-quiet segpet-small">${text('you')} ${state.client}</p>
  </aside>`;
}
