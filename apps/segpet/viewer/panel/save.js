// Saving the label, and going on.

import { html } from '../vendor/preact-htm.js';
import * as actions from '../actions.js';
import { change } from '../state.js';
import { text } from '../texts.js';

export function Save({ state }) {
  const { saved, objects } = state.head;
  const said = saved
    ? `${text(`status.${saved.status}`)} · v${saved.version} · ${saved.author ?? ''} ${saved.unchanged ? '' : `· ${text('changedSince')}`}`
    : objects.length > 0 && text('unsaved');
  const { notice } = state;
  const done = notice && text(notice.key, { ...notice, status: notice.status && text(`status.${notice.status}`) });
  const strategies = state.strategies ?? [];
  return html`<footer class="segpet-save">
    <p class="segpet-quiet segpet-small" data-test="saved">${done && html`<b>${done}</b> `}${said}
      ${state.phase === 'ready' && saved && !saved.unchanged && html` <button class="segpet-link" data-test="restore"
        onClick=${actions.restore}>${text('restore')}</button>`}</p>
    <div class="segpet-line">
      ${state.phase === 'ready' && html`
        <button class="segpet-button" data-test="save-draft" title=${`${text('saveDraft')} (Ctrl S)`} onClick=${() => actions.save('draft')}>${text('save')}</button>
        <button class="segpet-button" data-test="save-submitted" title="Ctrl Shift S" onClick=${() => actions.save('submitted')}>${text('submit')}</button>
        <button class="segpet-button segpet-primary" data-test="save-final" onClick=${() => actions.save('final')}>${text('final')}</button>`}
      <span class="segpet-space"></span>
      ${strategies.length > 1 && html`<select value=${state.strategy ?? strategies[0]}
        onChange=${event => change({ strategy: event.target.value })}>
        ${strategies.map(name => html`<option value=${name}>${name}</option>`)}</select>`}
      <button class="segpet-button" data-test="next" title="G" onClick=${() => actions.nextStudy(state.strategy)}>${text('nextStudy')} →</button>
    </div>
  </footer>`;
}
