// Findings and impression side by side, with marks on what nothing supports.

import { html, useEffect } from '../vendor/preact-htm.js';
import * as report from '../impressions.js';
import { text } from '../texts.js';

export function Report({ state }) {
  const shown = state.report?.study === state.study.id ? state.report : report.blank(state.study.id);
  const toggled = ({ target }) => {
    if (target.open) {
      target.scrollIntoView({ block: 'start' });
      state.report?.study !== state.study.id && report.open();
    }
  };
  const stale = report.isStale(shown, state.head.saved);
  useEffect(() => {
    shown === state.report && report.checkSoon();
  }, [stale]);
  return html`<details class="segpet-report" data-test="report" onToggle=${toggled}>
    <summary>${text('report')}</summary>
    ${!state.head.saved && html`<p class="segpet-quiet" data-test="report-unsaved">${text('noLabel')}</p>`}
    ${stale && html`<p class="segpet-note" role="alert" data-test="report-stale">${text('staleReport')}</p>`}
    <${Findings} report=${shown} /><${Impression} report=${shown} stale=${stale} readOnly=${state.study.read_only} />
  </details>`;
}

/** Which number of the table a lesion of the findings has, where any has another one. */
const Numbers = ({ numbers }) =>
  numbers.some((number, at) => number !== at + 1) &&
  html`<p class="segpet-quiet segpet-small" data-test="report-numbers">
    ${text('reportNumbers', { pairs: numbers.map((number, at) => `${at + 1} = ${number}`).join(', ') })}</p>`;

const Findings = ({ report: { findings, language, busy, numbers } }) => html`
  <div class="segpet-line"><h3>${text('findings')}</h3>
    <select value=${language} disabled=${busy} data-test="report-language" title=${text('reportLanguage')}
      onChange=${({ target }) => {
        target.blur(); // else it takes the keys that follow
        report.speak(target.value);
      }}><option value="en">English</option><option value="zh">中文</option></select>
    <button class="segpet-link" data-test="report-refresh" title=${text('fromLabelHint')} onClick=${() => report.refresh()}>
      ${text('fromLabel')}</button></div>
  <textarea class="segpet-text" rows="5" data-test="findings" value=${findings} aria-label=${text('findings')}
    onInput=${({ target }) => report.typed({ findings: target.value })}></textarea>
  <${Numbers} numbers=${numbers} />`;

function Impression({ report: one, readOnly, stale }) {
  const { findings, impression, model, busy, waiting } = one;
  return html`
    <div class="segpet-line"><h3>${text('impression')}</h3>
      ${waiting !== null && html`<span class="segpet-note" data-test="waiting">${text('inLine', { before: waiting })}</span>`}
      ${
        busy
          ? html`<button class="segpet-button" data-test="report-stop" onClick=${report.stop}>${text('stop')}</button>`
          : html`<button class="segpet-button" data-test="report-write" disabled=${!model || stale || !findings.trim()}
            title=${model ? text('writtenBy', { model }) : text('noLanguageModel')} onClick=${report.write}>${text('write')}</button>`
      }</div>
    <div class="segpet-marked" data-busy=${`${busy}`}>
      <div class="segpet-text" aria-hidden="true"><${Marked} report=${one} /></div>
      <textarea class="segpet-text" rows="5" data-test="impression" value=${impression} readonly=${busy}
        aria-label=${text('impression')} onInput=${({ target }) => report.typed({ impression: target.value })}></textarea>
    </div>
    <${Reasons} report=${one} />
    <div class="segpet-line">
      <button class="segpet-button" data-test="report-copy" disabled=${stale || !impression} onClick=${report.copy}>
        ${text(one.copied ? 'copied' : 'copy')}</button>
      <span class="segpet-space"></span>
      ${one.accepted && html`<span class="segpet-quiet segpet-small" data-test="report-accepted">${text('acceptedAt')}</span>`}
      <button class="segpet-button segpet-primary" data-test="report-accept" title=${text('acceptHint')}
        disabled=${busy || readOnly || stale || !impression.trim()} onClick=${report.accept}>${text('acceptReport')}</button>
    </div>`;
}

/** Part of a text; the server counts characters as Unicode does, not as JavaScript. */
const part = (whole, start, end) => [...whole].slice(start, end).join('');

/** The impression once more, behind what is typed: only its marks are seen. */
function Marked({ report: { impression, marks } }) {
  const parts = [];
  let at = 0;
  for (const { start, end, kind } of marks) {
    parts.push(part(impression, at, start), html`<mark data-test="mark" data-kind=${kind}>${part(impression, start, end)}</mark>`);
    at = end;
  }
  return [...parts, part(impression, at), '\n'];
}

function Reasons({ report: { impression, marks, missing } }) {
  return (
    marks.length + missing.length > 0 &&
    html`<ul class="segpet-reasons segpet-small" data-test="reasons">
      ${marks.map(({ start, end, reason }) => html`<li><mark>${part(impression, start, end)}</mark> ${reason}</li>`)}
      ${missing.map(({ reason }) => html`<li data-test="missing">${reason}</li>`)}</ul>`
  );
}
