// Where the images hang: three planes of PET (fused with CT where there is one) and the projection of the maxima.

export const PLANES = ['segpet-axial', 'segpet-coronal', 'segpet-sagittal'];
export const MIP = 'segpet-mip';
export const PLANE_TOOLS = 'segpet-planes';
export const MIP_TOOLS = 'segpet-mip';

// The planes' own corner each: the body is tall in the coronal plane and in the projection, and square in the axial one.
const CORNERS = [
  { x: 0, y: 0, width: 0.4, height: 0.5 },
  { x: 0.4, y: 0, width: 0.3, height: 1 },
  { x: 0, y: 0.5, width: 0.4, height: 0.5 },
  { x: 0.7, y: 0, width: 0.3, height: 1 },
];

// Computed as the images hang (looks.js): grey and inverted, or over CT where the study has some.
const pet = extra => ({ id: 'pet', options: { voi: { custom: 'segpetWindow' }, ...extra } });

const plane = id => ({
  viewportOptions: {
    viewportId: id,
    viewportType: 'volume',
    orientation: id.replace('segpet-', ''),
    toolGroupId: PLANE_TOOLS,
    background: { custom: 'segpetBackground' },
    initialImageOptions: { preset: 'middle' },
  },
  displaySets: [
    { id: 'ct' },
    pet({ voiInverted: { custom: 'segpetInverted' }, colormap: { custom: 'segpetColormap' } }),
  ],
});

const projection = {
  viewportOptions: {
    viewportId: MIP,
    viewportType: 'volume',
    orientation: 'coronal',
    toolGroupId: MIP_TOOLS,
    background: [1, 1, 1],
    customViewportProps: { hideOverlays: true },
  },
  displaySets: [pet({ voiInverted: true, blendMode: 'MIP', slabThickness: 'fullVolume' })],
};

const is = (attribute, value, extra = {}) => ({
  attribute,
  constraint: { equals: { value } },
  required: true,
  ...extra,
});

export const protocol = {
  id: 'segpet',
  name: 'SegPET',
  locked: true,
  protocolMatchingRules: [{ attribute: 'ModalitiesInStudy', constraint: { contains: ['PT'] } }],
  displaySetSelectors: {
    pet: {
      seriesMatchingRules: [
        is('Modality', 'PT'),
        is('isReconstructable', true),
        // The series that the server annotates, where it knows one of this study.
        is('segpetSeries', true),
      ],
    },
    ct: { seriesMatchingRules: [is('Modality', 'CT'), is('isReconstructable', true)] },
  },
  stages: [
    {
      id: 'planes',
      name: 'SegPET',
      viewportStructure: { layoutType: 'grid', properties: { rows: 2, columns: 3, layoutOptions: CORNERS } },
      viewports: [...PLANES.map(plane), projection],
    },
  ],
  numberOfPriorsReferenced: -1,
};
