// How PET looks in the planes: inverted greys in the tracer's window, or in colours over CT.

import { PLANES } from './layout.js';
import { libraries, services, viewportOf } from './ohif.js';
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
}

/** The server's window, in the unit in which OHIF happens to hold the voxels. */
function windowOf(displaySet) {
  if (!state.study || !displaySet) {
    return undefined;
  }
  const [lower, upper] = state.study.window;
  const image = displaySet.images?.[0]?.imageId ?? displaySet.imageIds?.[0];
  // OHIF shows SUV where its own computation succeeds, else the rescaled values: Bq/ml, or what the series holds.
  const computed = libraries().cornerstone.metaData.get('scalingModule', image)?.suvbw;
  const scale = computed && state.study.unit === 'SUVbw' ? 1 : (state.study.scale ?? 1);
  return { windowWidth: (upper - lower) / scale, windowCenter: (upper + lower) / 2 / scale };
}

/** Show PET alone in planes that have CT, or fused again. */
export function toggleFusion() {
  const grey = !state.grey;
  for (const viewport of PLANES.map(viewportOf)) {
    const volumes = viewport?.getAllVolumeIds?.() ?? [];
    const pet = volumes.find(id => id.includes(state.displaySet));
    if (pet && volumes.filter(id => !id.includes('segpet')).length > 1) {
      viewport.setProperties({ colormap: grey ? GREY : HOT, invert: grey }, pet);
      viewport.render();
    }
  }
  change({ grey });
}
