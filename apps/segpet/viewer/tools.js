// The tool groups of the mode: our click tool and the stock brush, window, pan and zoom, each under one name.

import { clickTool, CLICK } from './click-tool.js';
import { MIP_TOOLS, PLANE_TOOLS, PLANES, MIP } from './layout.js';
import { libraries, ohif, services } from './ohif.js';

/** Tool of the panel -> cornerstone's name; `click` is ours. */
const NAMES = { click: CLICK, brush: 'CircularBrush', eraser: 'CircularEraser', window: 'WindowLevel' };

/** Make the tool groups; called on entering the mode, in place of the stock modes' own. */
export function initToolGroups({ extensionManager, toolGroupService }) {
  const { cornerstoneTools } = libraries();
  const { toolNames, Enums } = extensionManager.getModuleEntry(
    '@ohif/extension-cornerstone.utilityModule.tools',
  ).exports;
  const { Primary, Secondary, Auxiliary, Wheel } = Enums.MouseBindings;
  const bound = (toolName, ...mouseButtons) => ({
    toolName,
    bindings: mouseButtons.map(mouseButton => ({ mouseButton })),
  });

  cornerstoneTools.addTool(clickTool());
  const moves = [bound(toolNames.Pan, Auxiliary), bound(toolNames.Zoom, Secondary)];
  const brush = (toolName, activeStrategy) => ({
    toolName,
    parentTool: 'Brush',
    configuration: { activeStrategy, brushSize: 8, minRadius: 1, maxRadius: 60 }, // mm
  });
  const crosshairs = {
    toolName: toolNames.Crosshairs,
    configuration: { viewportIndicators: false, disableOnPassive: true, autoPan: { enabled: false, panSize: 10 } },
  };
  const planes = {
    active: [bound(toolNames.WindowLevel, Primary), ...moves, bound(toolNames.StackScroll, Wheel)],
    passive: [
      { toolName: CLICK },
      brush('CircularBrush', 'FILL_INSIDE_CIRCLE'),
      brush('CircularEraser', 'ERASE_INSIDE_CIRCLE'),
      ...[toolNames.Length, toolNames.EllipticalROI, toolNames.Probe, toolNames.Magnify].map(toolName => ({
        toolName,
      })),
    ],
    disabled: [crosshairs, { toolName: toolNames.ReferenceLines }],
  };
  const jump = { ...bound(toolNames.MipJumpToClick, Primary), configuration: { toolGroupId: PLANE_TOOLS } };
  const turn = { ...bound(toolNames.VolumeRotate, Wheel), configuration: { rotateIncrementDegrees: 6 } };
  const mip = { active: [jump, turn, ...moves], passive: [{ toolName: CLICK }] };

  toolGroupService.createToolGroupAndAddTools(PLANE_TOOLS, planes);
  toolGroupService.createToolGroupAndAddTools(MIP_TOOLS, mip);
  // What is dragged into a viewport by hand gets this one.
  toolGroupService.createToolGroupAndAddTools('default', planes);
}

/** Make a tool of the panel ("click", "brush", "eraser", "window") the one of the left mouse button. */
export function activate(tool) {
  if (services().toolGroupService.getToolGroup(PLANE_TOOLS)) {
    ohif.commandsManager.run('setToolActiveToolbar', { toolName: NAMES[tool], toolGroupIds: [PLANE_TOOLS] });
  }
}

/** Which tool of the panel has the left mouse button; null where it is another of OHIF's. */
export function activeTool() {
  const name = services().toolGroupService.getToolGroup(PLANE_TOOLS)?.getActivePrimaryMouseButtonTool();
  return Object.keys(NAMES).find(tool => NAMES[tool] === name) ?? null;
}

/** Draw the marks of clicks anew. */
export function redrawMarks() {
  const { cornerstoneTools } = libraries();
  cornerstoneTools.utilities.triggerAnnotationRenderForViewportIds([...PLANES, MIP]);
}
