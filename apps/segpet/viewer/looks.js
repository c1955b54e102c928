// How PET looks in the planes: inverted greys in the tracer's window, or in colours over CT.

import { PLANES } from './layout.js';
import { libraries, ohif, services, viewportOf } from './ohif.js';
import { state, change } from './state.js';

const GREY = { name: 'Grayscale', opacity: 1 };
// Flat opacity: CT stays visible below PET everywhere, as readers have it from their workstations.
const HOT = { name: 'hot_iron', opacity: 0.5 };

const petOf = displaySets => displaySets.find(one => one?.Modality === 'PT');
const fused = displaySets => displaySets.some(one => one?.Modality === 'CT');

/** Tell OHIF what its layout asks for when the images hang. */
export function register() {
  const { hangingProtocolService } = services();
  const looks = {
    segpetWindow: displaySets => windowOf(petOf(displaySets)),
    segpetInverted: displaySets => !fused(displaySets),
    // Naming a grey map would undo the inversion.
    segpetColormap: displaySets => (fused(displaySets) ? HOT : undefined),
    segpetBackground: displaySets => (fused(displaySets) ? [0, 0, 0] : [1, 1, 1]),
    // The series that the server annotates; any PET where it knows none of this study.
    segpetSeries: displaySet => !state.study || displaySet.SeriesInstanceUID === state.study.id,
  };
  for (const [name, look] of Object.entries(looks)) {
    hangingProtocolService.addCustomAttribute(name, name, look);
  }
  // The newest context's command is the one that key and tool bar run.
  ohif.commandsManager.createContext('SEGPET');
  ohif.commandsManager.registerCommand('SEGPET', 'resetViewport', reset);
}

/** Reset the active viewport, PET to the tracer's window; OHIF would take that of the file. */
function reset() {
  const viewport = viewportOf(services().viewportGridService.getActiveViewportId());
  const { pet, overCt } = volumesIn(viewport);
  if (!pet) {
    return ohif.commandsManager.runCommand('resetViewport', {}, 'CORNERSTONE');
  }
  if (overCt) {
    viewport.resetProperties(); // of the CT, which is the first
  }
  viewport.resetCamera();
  const displaySet = services().displaySetService.getDisplaySetByUID(state.displaySet);
  const { windowWidth, windowCenter } = windowOf(displaySet);
  const voiRange = windowLevel().toLowHighRange(windowWidth, windowCenter);
  viewport.setProperties({ ...(overCt ? blended() : { invert: true }), voiRange }, pet);
  viewport.render();
}

/** The PET in a viewport, and whether it lies over CT. */
function volumesIn(viewport) {
  const volumes = viewport?.getAllVolumeIds?.() ?? [];
  const pet = state.displaySet && volumes.find(id => id.includes(state.displaySet));
  return { pet, overCt: volumes.filter(id => !id.includes('segpet')).length > 1 };
}

/** PET over CT, or alone. */
const blended = () => ({ colormap: state.grey ? GREY : HOT, invert: state.grey });

/** The server's window, in the unit in which OHIF happens to hold the voxels. */
function windowOf(displaySet) {
  if (!state.study || !displaySet) {
    return undefined;
  }
  const [lower, upper] = state.study.window.map(bound => bound / scaleOf(displaySet));
  // OHIF makes a range of them again, as of whole numbers: 0 to 6 has a width of 7 (PS3.3 C.11.2.1.2.1).
  return windowLevel().toWindowLevel(lower, upper);
}

const windowLevel = () => libraries().cornerstone.utilities.windowLevel;

/** From the values that OHIF holds to the server's unit. */
function scaleOf(displaySet) {
  const image = displaySet.images?.[0]?.imageId ?? displaySet.imageIds?.[0];
  // OHIF shows SUV where its own computation succeeds, else the rescaled values: Bq/ml, or what the series holds.
  const computed = libraries().cornerstone.metaData.get('scalingModule', image)?.suvbw;
  return computed && state.study.unit === 'SUVbw' ? 1 : (state.study.scale ?? 1);
}

/** What a viewport's corner says of its window: PET as its readers have it, from SUV to SUV, CT by width and level. */
export const windowOverlay = {
  id: 'segpetWindow',
  contentF({ viewportId }) {
    const viewport = viewportOf(viewportId);
    const { pet } = volumesIn(viewport);
    return (viewport?.getAllVolumeIds?.() ?? [])
      .filter(id => !id.includes('segpet'))
      .map(id => windowText(viewport.getProperties(id)?.voiRange, id === pet))
      .join(' · ');
  },
};

function windowText(range, isPet) {
  if (!range) {
    return '';
  }
  if (!isPet || !state.study) {
    const { windowWidth, windowCenter } = windowLevel().toWindowLevel(range.lower, range.upper);
    return `W ${windowWidth.toFixed(0)} L ${windowCenter.toFixed(0)}`;
  }
  const scale = scaleOf(services().displaySetService.getDisplaySetByUID(state.displaySet));
  const [lower, upper] = [range.lower, range.upper].map(bound => Number((bound * scale).toFixed(1)));
  return `${state.study.unit === 'SUVbw' ? 'SUV ' : ''}${lower} – ${upper}`;
}

/** Show PET alone in planes that have CT, or fused again. */
export function toggleFusion() {
  change({ grey: !state.grey });
  for (const viewport of PLANES.map(viewportOf)) {
    const { pet, overCt } = volumesIn(viewport);
    if (pet && overCt) {
      viewport.setProperties(blended(), pet);
      viewport.render();
    }
  }
}
