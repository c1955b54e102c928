// The shortcuts, over the panel.

import { html } from '../vendor/preact-htm.js';
import { LIST } from '../shortcuts.js';
import { change, state } from '../state.js';
import { text } from '../texts.js';

/** Another name is another client, with sessions of its own. */
function rename({ target }) {
  if (target.value && target.checkValidity()) {
    localStorage.setItem('segpet.client', target.value);
    window.location.reload();
  }
}

async function signOut() {
  sessionStorage.clear();
  await fetch('/sign-out', { method: 'POST' });
  window.location.assign('/');
}

export function Help() {
  return html`<aside class="segpet-help" data-test="help">
    <div class="segpet-line"><h3>${text('shortcuts')}</h3>
      <button class="segpet-icon" title=${text('close')} onClick=${() => change({ help: false })}>×</button></div>
    <dl>${LIST.map(([keys, what]) => html`<dt>${keys.split(' ').map(key => (key === '–' ? '–' : html`<kbd>${key}</kbd>`))}</dt><dd>${text(what)}</dd>`)}</dl>
    <label class="segpet-line segpet-quiet segpet-small">${text('you')}
      ${
        state.user
          ? html`<b>${state.user}</b>, ${text(`role.${state.role}`)}`
          : html`<input class="segpet-input" defaultValue=${state.client} title=${text('youHint')} pattern="[A-Za-z0-9._@-]{1,64}" onChange=${rename} />`
      }</label>
    ${
      state.user &&
      html`<button class="segpet-link" data-test="sign-out" onClick=${signOut}>${text('signOut')}</button>`
    }
  </aside>`;
}
