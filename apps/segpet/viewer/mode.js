// The mode "SegPET" of the work list, for studies with PET: the stock basic mode with our layout, tools and panel.

import { windowOverlay } from './looks.js';
import { initToolGroups } from './tools.js';
import { enter, leave, prepare, start } from './session.js';
import { remember } from './ohif.js';
import { text } from './texts.js';

// Keys of the stock viewer that ours do not take; the rest would do two things at once, or nothing: its keys
// for zoom know stacks only.
const STOCK_KEYS = [
  ['invertViewport', 'Invert', 'i'],
  ['nextImage', 'Next Image', 'down'],
  ['previousImage', 'Previous Image', 'up'],
  ['firstImage', 'First Image', 'home'],
  ['lastImage', 'Last Image', 'end'],
  ['incrementActiveViewport', 'Next Image Viewport', 'right'],
  ['decrementActiveViewport', 'Previous Image Viewport', 'left'],
  ['resetViewport', 'Reset', 'space'],
  ['increaseBrushSize', 'Increase Brush Size', ']'],
  ['decreaseBrushSize', 'Decrease Brush Size', '['],
].map(([commandName, label, key]) => ({ commandName, label, keys: [key], isEditable: true }));

const PANEL = '@segpet/extension.panelModule.segpet';

async function modeFactory({ loadModules }) {
  const [basic] = await loadModules(['@ohif/mode-basic']);
  const stock = basic.modeInstance;
  const route = stock.routes[0];
  return {
    ...stock,
    id: '@segpet/mode',
    routeName: 'segpet',
    displayName: 'SegPET',
    hide: false,
    modeModalities: ['PT'],
    hangingProtocol: 'segpet',
    extensions: { ...stock.extensions, '/segpet/viewer/extension.js': '^1.0.0' },
    initToolGroups,
    modeCustomizations: {
      'ohif.hotkeyBindings': { $set: STOCK_KEYS },
      // The numbers are the server's; the viewer's own would be computed for every segment after every reply.
      'panelSegmentation.disableUpdateSegmentationStats': { $set: true },
      'viewportOverlay.bottomLeft': { $set: [windowOverlay] },
    },
    onModeEnter(managers) {
      stock.onModeEnter.call(this, managers);
      remember(managers);
      enter();
    },
    onSetupRouteComplete: () => start(),
    onModeExit(managers) {
      leave();
      stock.onModeExit.call(this, managers);
    },
    routes: [
      {
        ...route,
        path: 'segpet',
        // Awaited before the images hang: the window is the server's.
        init: ({ studyInstanceUIDs }) => prepare(studyInstanceUIDs),
        layoutInstance: {
          ...route.layoutInstance,
          props: {
            ...route.layoutInstance.props,
            leftPanelClosed: true,
            rightPanels: [PANEL],
            rightPanelClosed: false,
            rightPanelInitialExpandedWidth: 392,
            rightPanelMinimumExpandedWidth: 360,
          },
        },
      },
    ],
  };
}

export default { id: '@segpet/mode', displayName: text('SegPET'), modeFactory };
