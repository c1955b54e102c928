// What an annotator can do; keys and buttons call these.

import { ask, path, Refusal } from './api.js';
import { Labelmap } from './labelmap.js';
import { PLANES } from './layout.js';
import { canAnswer, choices, isChosen } from './methods.js';
import { jumpTo } from './planes.js';
import { aimAt, flush, inTurn, links, select, send } from './requests.js';
import { change, inOrder, objectOf, state } from './state.js';
import { text } from './texts.js';
import { activate } from './tools.js';

const can = () => state.phase === 'ready';

/** A click at a point (LPS mm); `other` turns its sign. It means what is chosen now, whenever it is sent. */
export function click(point, other, viewportId) {
  if (!can()) {
    return;
  }
  reveal();
  jumpTo(point, viewportId);
  const { aim, label, method } = state;
  submit({ point, positive: state.positive !== other, aim, label, method });
}

/** Send a click; one that the server cannot take now stays in the planes, and is offered to be sent again. */
function submit(one) {
  const { point, positive, aim } = one;
  change({ waiting: [...state.waiting, point] });
  inTurn('clicking', async () => {
    let kept = false;
    try {
      const { changed } = await send('POST', 'clicks', { ...target(one), point, positive });
      aim.number ??= changed[0] ?? null;
      if (state.aim === aim) {
        aimAt(aim);
      }
    } catch (error) {
      if ((kept = error instanceof Refusal && error.passes)) {
        change({ unsent: [...state.unsent, one] });
      }
      throw error;
    } finally {
      if (!kept) {
        change({ waiting: state.waiting.filter(one => one !== point) });
      }
    }
  }).then(well => well && compareAgain());
}

/** What a click corrects, or begins. */
function target({ positive, aim, label, method }) {
  const object = objectOf(aim.number);
  if (object) {
    if (!canAnswer(object)) {
      throw new Refusal(422, text('cannotAnswer'));
    }
    return { object: object.number };
  }
  if (!positive) {
    throw new Refusal(422, text('firstPositive'));
  }
  aim.number = null; // its object is gone
  return { object: null, label, ...method };
}

/** Send the clicks again that the server could not take, as they came. */
export const sendAgain = () => takeUnsent().forEach(submit);

/** Forget the clicks that the server could not take; returns them. */
export function takeUnsent() {
  const { unsent, waiting } = state;
  const points = unsent.map(({ point }) => point);
  change({ unsent: [], error: null, waiting: waiting.filter(point => !points.includes(point)) });
  return unsent;
}

/** Turn what a click means. */
export const flip = () => change({ positive: !state.positive });

/** The next click begins a new object. */
export function newObject() {
  select(null);
  change({ positive: true });
}

/** Label of the next object. */
export function chooseLabel(name) {
  const another = objectOf(state.selected)?.label !== name;
  change({ label: name });
  if (another) {
    newObject();
  }
}

/** What answers the clicks: of the chosen object at once, and of those that follow. */
export function chooseMethod(method) {
  change({ method });
  if (objectOf(state.selected)) {
    edit(state.selected, method);
  }
}

/** Go on to the next choice that can answer. */
export function nextMethod() {
  const usable = choices().filter(choice => choice.usable);
  const next = usable[(usable.findIndex(isChosen) + 1) % usable.length];
  if (next) {
    const { method, threshold, value } = next;
    chooseMethod({ method, threshold, value });
  }
}

/** The tool of the left mouse button. */
export function chooseTool(tool) {
  if (can() || tool === 'window') {
    activate(tool);
    change({ tool });
    if (tool === 'brush' || tool === 'eraser') {
      reveal();
      links.labelmap.front(PLANES);
      select(state.selected);
    }
  }
}

async function changing(running, method, route, body) {
  const well = await inTurn(running, () => send(method, route, body));
  await compareAgain();
  return well;
}

export const undoStep = () => can() && changing('undoing', 'POST', 'undo').then(selectChanged);
export const redoStep = () => can() && changing('redoing', 'POST', 'redo').then(selectChanged);
/** Go on with the object that came back, where none is chosen. */
function selectChanged() {
  const [first, ...more] = state.head.changed?.filter(objectOf) ?? [];
  if (!state.selected && !state.waiting.length && first && !more.length) {
    select(first);
  }
}

export const edit = (number, fields) => can() && changing('editing', 'PATCH', `objects/${number}`, fields);
export const remove = number => can() && objectOf(number) && changing('editing', 'DELETE', `objects/${number}`);
export const acceptAll = () => can() && changing('editing', 'POST', 'accept');
/** Put the saved label, or a version of it, in the place of all objects; like everything, to be undone. */
export const restore = (version = null) => can() && changing('editing', 'POST', 'restore', { version });
export const clear = () => can() && changing('editing', 'POST', 'clear');
export const propose = () => can() && changing('proposing', 'POST', 'proposals', { label: state.label });

/** Accept the chosen object, or the one that a click has just begun; the next click then begins a new one. */
export function accept() {
  const { aim, waiting } = state;
  const object = objectOf(aim.number);
  if (!can() || !(object || waiting.length)) {
    return;
  }
  // Taken back where it is accepted, and no click on the way corrects it.
  const status = object?.status === 'accepted' && !waiting.length ? 'draft' : 'accepted';
  if (status === 'accepted') {
    newObject();
  }
  inTurn('editing', async () => {
    if (objectOf(aim.number)) {
      await send('PATCH', `objects/${aim.number}`, { status });
    }
  });
}

/** Choose an object or take the choice back for merging. */
export function mark(number) {
  const { marked } = state;
  change({ marked: marked.includes(number) ? marked.filter(one => one !== number) : [...marked, number] });
}

/** Merge the marked objects into the first marked one. */
export function merge() {
  const [into, ...objects] = state.marked;
  if (can() && objects.length) {
    select(into);
    changing('editing', 'POST', 'merge', { into, objects }).then(() => change({ marked: [] }));
  }
}

/** Show an object in the planes and choose it. */
export function goTo(number) {
  const object = objectOf(number);
  if (object) {
    select(number);
    const at = object.hottest ?? object.centroid ?? object.clicks[0]?.point;
    if (at) {
      jumpTo(at);
    }
  }
}

/** The next or the previous object of the table. */
export function step(by) {
  const numbers = inOrder().map(({ number }) => number);
  if (numbers.length) {
    const at = numbers.indexOf(state.selected);
    goTo(numbers[at < 0 ? (by > 0 ? 0 : numbers.length - 1) : (at + by + numbers.length) % numbers.length]);
  }
}

/** Save the label with a status; `replace` where somebody else has saved since. */
export function save(status, replace = false) {
  if (!can()) {
    return undefined;
  }
  change({ conflict: null, unseen: null });
  return inTurn('saving', async () => {
    await flush();
    const { revision, patient } = state.head;
    if (status !== 'draft' && patient.proposed) {
      change({ unseen: status });
      return;
    }
    try {
      const saved = await ask('POST', `${links.path}/label`, { revision, status, replace });
      const { archive, counts, version } = saved;
      const key = archive && !archive.stored ? 'savedNotSent' : 'savedAs';
      change({ head: { ...state.head, saved: counts }, notice: { key, status, version, message: archive?.message } });
    } catch (error) {
      if (error instanceof Refusal && error.status === 409 && !replace && (await savedByOthers(revision))) {
        change({ conflict: status });
        return;
      }
      throw error;
    }
  });
}

/** Reject what is only proposed, and save the rest. */
export async function saveWithout(status) {
  if (can() && (await changing('editing', 'POST', 'reject'))) {
    await save(status);
  }
}

/** Whether the label was refused because of another's version, not because this session has moved on. */
async function savedByOthers(revision) {
  const { head } = await ask('GET', links.path);
  return head.revision === revision;
}

/** Open the study that the server thinks is the most useful next. */
export function nextStudy() {
  const strategy = state.strategy ?? state.strategies?.[0];
  inTurn('next', async () => {
    if (can()) {
      await flush();
    }
    const { client, study: current } = state;
    const asked = { strategy, client, current: current?.id };
    const { study, open_elsewhere: elsewhere } = await ask('POST', 'next', asked);
    if (study) {
      // A whole page load: cornerstone keeps much of a study that one would have to take from it by hand.
      window.location.assign(`/segpet?StudyInstanceUIDs=${encodeURIComponent(study.study_uid)}`);
    } else {
      change({ notice: elsewhere ? { key: 'elsewhere', count: elsewhere } : { key: 'nothingLeft' } });
    }
  });
}

/** Show what suv_region makes of the chosen object's clicks beside its mask, or hide that again. */
export async function toggleComparison() {
  if (state.comparison) {
    hideComparison();
  } else if (can() && objectOf(state.selected)) {
    await inTurn('comparing', compare);
  }
}

function compareAgain() {
  if (!state.comparison) {
    return undefined;
  }
  if (!objectOf(state.comparison.number)?.clicks.length) {
    return hideComparison();
  }
  return inTurn('comparing', compare);
}

async function compare() {
  const number = state.selected ?? state.comparison?.number;
  const { head, masks } = await ask('GET', `${links.path}/${path('objects', number)}/comparison`);
  if (!links.comparison) {
    // Cornerstone draws it as inactive: the labelmap beside it is the one that is painted in.
    const style = { outlineWidthInactive: 1.5, outlineOpacityInactive: 1, renderFillInactive: false };
    const labelmap = new Labelmap(`${links.labelmap.id}-comparison`, style);
    await labelmap.create(links.displaySet, 'suv_region');
    await Promise.all(PLANES.map(id => labelmap.attach(id)));
    links.comparison = labelmap;
    links.labelmap.front(PLANES);
    labelmap.paint([[1, [34, 211, 238]]]);
  }
  links.comparison.apply(true, masks);
  links.comparison.setVisible(true);
  change({ comparison: head });
}

function hideComparison() {
  links.comparison?.setVisible(false);
  change({ comparison: null });
}

/** Show or hide masks and marks, to see what is below. */
export function toggleHidden() {
  change({ hidden: !state.hidden });
  links.labelmap?.setVisible(!state.hidden);
}

/** Show masks again before something is made that would not be seen. */
const reveal = () => state.hidden && toggleHidden();
