// Saving the label, and going on.

import { html } from '../vendor/preact-htm.js';
import * as actions from '../actions.js';
import { change } from '../state.js';
import { text } from '../texts.js';

export function Save({ state }) {
  const ready = state.phase === 'ready';
  return html`<footer class="segpet-save">
    <p class="segpet-quiet segpet-small" data-test="saved">
      <${Notice} notice=${state.notice} counts=${state.head.saved} />${labelOf(state.head)} ${ready && html`<${Restore} saved=${state.head.saved} />`}
    </p>
    <div class="segpet-line">
      ${ready && html`<${Statuses} role=${state.role} />`}
      <span class="segpet-space"></span>
      <${Strategies} state=${state} />
      <button class="segpet-button" data-test="next" title="G" onClick=${actions.nextStudy}>
        ${text('nextStudy')} →</button>
    </div>
  </footer>`;
}

/** The label that counts, in words. */
function labelOf({ saved, objects }) {
  if (!saved) {
    return objects.length > 0 && text('unsaved');
  }
  const parts = [text(`status.${saved.status}`), `v${saved.version}`, saved.author];
  return [...parts, !saved.unchanged && text('changedSince')].filter(Boolean).join(' · ');
}

function Notice({ notice, counts }) {
  if (notice?.key === 'savedAs' && notice.version === counts.version) {
    return html`<b>${text('saved')}</b> `; // which one stands behind it
  }
  const status = notice?.status && text(`status.${notice.status}`);
  return notice && html`<b>${text(notice.key, { ...notice, status })}</b> `;
}

function Restore({ saved }) {
  const differs = saved && !saved.unchanged;
  return (
    differs &&
    html`<button class="segpet-link" data-test="restore" onClick=${() => actions.restore()}>${text('restore')}</button>`
  );
}

const Statuses = ({ role }) => html`
  <button class="segpet-button" data-test="save-draft" title=${`${text('saveDraft')} (Ctrl S)`}
    onClick=${() => actions.save('draft')}>${text('save')}</button>
  <button class="segpet-button" data-test="save-submitted" title="Ctrl Shift S"
    onClick=${() => actions.save('submitted')}>${text('submit')}</button>
  <button class="segpet-button segpet-primary" data-test="save-final" disabled=${role === 'annotator'}
    title=${role === 'annotator' ? text('finalHint') : ''}
    onClick=${() => actions.save('final')}>${text('final')}</button>`;

function Strategies({ state: { strategies, strategy } }) {
  const choose = ({ target }) => {
    target.blur(); // else it takes the keys that follow
    localStorage.setItem('segpet.strategy', target.value);
    change({ strategy: target.value });
  };
  return (
    strategies.length > 1 &&
    html`<select value=${strategy ?? strategies[0]} title=${text('strategyHint')} data-test="strategy" onChange=${choose}>
      ${strategies.map(name => html`<option value=${name}>${text(`strategy.${name}`)}</option>`)}</select>`
  );
}
