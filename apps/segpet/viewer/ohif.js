// OHIF's managers and cornerstone, as the extension's registration hands them over; all other modules reach them here.

/** What OHIF gave us: servicesManager, commandsManager, extensionManager. */
export const ohif = {};

/** Keep OHIF's managers; called once, before anything else of this extension runs. */
export function remember(managers) {
  Object.assign(ohif, managers);
}

/** OHIF's services by name. */
export const services = () => ohif.servicesManager.services;

/** The namespaces {cornerstone, cornerstoneTools} that OHIF itself uses. */
export function libraries() {
  const entry = ohif.extensionManager.getModuleEntry('@ohif/extension-cornerstone.utilityModule.common');
  return entry.exports.getCornerstoneLibraries();
}

/** The viewport of an id as cornerstone has it, or undefined where it is not on the screen. */
export const viewportOf = id => services().cornerstoneViewportService.getCornerstoneViewport(id) ?? undefined;
