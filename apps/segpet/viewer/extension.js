// The extension that OHIF loads at run time: panel, hanging protocol, and the managers that all our modules use.

import { protocol } from './layout.js';
import { remember } from './ohif.js';
import { Root } from './panel/mount.js';
import { text } from './texts.js';

export default {
  id: '@segpet/extension',
  preRegistration: managers => remember(managers),
  getPanelModule: () => [
    { name: 'segpet', iconName: 'tab-segmentation', iconLabel: 'SegPET', label: text('panel'), component: Root },
  ],
  getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
};
