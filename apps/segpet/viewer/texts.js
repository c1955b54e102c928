// Every text of the mode, in English and Chinese: key: [English, Chinese].

const TEXTS = {
  panel: ['Annotation', '标注'],
  SegPET: ['SegPET', 'SegPET'],
  opening: ['Opening the study …', '正在打开检查……'],
  absent: [
    'This study is not served for annotation: it holds no PET series that the server knows.',
    '此检查不可标注：服务器中没有其 PET 序列。',
  ],
  readOnly: ['Read only: labels can be looked at here, and not changed.', '只读：此处只能查看标注，不能修改。'],
  noLabel: ['There is no saved label yet.', '尚无已保存的标注。'],
  openBy: ['Also open by', '同时打开者'],
  offline: [
    'The server does not answer; nothing is lost, try again when it is back.',
    '服务器没有响应；数据未丢失，恢复后请重试。',
  ],
  fault: ['The viewer failed here; reload the page, nothing that was answered is lost.', '查看器出错；请刷新页面，已完成的操作不会丢失。'],
  movedOn: [
    'This session went on elsewhere (another tab?); here is where it is now. Try again.',
    '该会话已在别处继续（另一个标签页？）；现已显示最新状态，请重试。',
  ],
  firstPositive: ['An object begins with a positive click.', '新目标须以阳性点击开始。'],

  clicking: ['Segmenting …', '正在分割……'],
  painting: ['Sending the strokes …', '正在提交涂抹……'],
  undoing: ['Undoing …', '正在撤销……'],
  redoing: ['Redoing …', '正在重做……'],
  editing: ['Changing …', '正在修改……'],
  proposing: ['Looking for lesions …', '正在寻找病灶……'],
  saving: ['Saving …', '正在保存……'],
  next: ['Choosing the next study …', '正在选择下一检查……'],
  comparing: ['Comparing …', '正在比较……'],
  ready: ['Ready', '就绪'],

  label: ['Label', '标签'],
  tool: ['Tool', '工具'],
  method: ['Answers', '方法'],
  click: ['Click', '点击'],
  brush: ['Brush', '画笔'],
  eraser: ['Eraser', '橡皮'],
  window: ['Window', '窗宽窗位'],
  positive: ['Positive', '阳性'],
  negative: ['Negative', '阴性'],
  flipHint: ['What a click means: part of the object, or not', '点击的含义：属于或不属于目标'],
  newObject: ['New object', '新目标'],
  newNext: ['The next click begins a new object', '下一次点击将开始新目标'],
  correcting: ['Clicks correct', '点击将修正'],
  undo: ['Undo', '撤销'],
  redo: ['Redo', '重做'],
  propose: ['First pass', '自动初筛'],
  proposeHint: ['Propose lesions where no object is', '在无目标处自动提出病灶'],
  compare: ['Compare with suv_region', '与 suv_region 比较'],
  comparison: ['suv_region, same clicks', 'suv_region（相同点击）'],
  dice: ['Dice', 'Dice'],
  model: ['Model', '模型'],
  percent: ['% of max', '最大值百分比'],
  fixed: ['SUV ≥', 'SUV ≥'],
  gradient: ['Edge', '梯度边界'],
  loading: ['loading', '载入中'],
  weights: ['Weights', '权重'],
  noWeights: ['no weights', '无权重'],
  noMethod: ['No method can answer clicks now; labels can be reviewed, painted and saved.', '当前没有可用的分割方法；仍可查看、涂抹和保存标注。'],

  objects: ['Lesions and organs', '病灶与器官'],
  none: ['No object yet. Click on a lesion, or let the first pass propose some.', '尚无目标。请点击病灶，或使用自动初筛。'],
  number: ['No.', '序号'],
  name: ['Name', '名称'],
  site: ['Site', '部位'],
  proposed: ['proposed', '待确认'],
  draft: ['draft', '草稿'],
  accepted: ['accepted', '已接受'],
  accept: ['Accept', '接受'],
  unaccept: ['Back to draft', '退回草稿'],
  acceptAll: ['Accept all', '全部接受'],
  merge: ['Merge', '合并'],
  mergeHint: ['Mark two or more objects in the table, then merge them into the first', '在表中标记两个以上目标，合并到第一个'],
  rename: ['Rename', '重命名'],
  remove: ['Delete', '删除'],
  removeAll: ['Delete all', '全部删除'],
  removeAllSure: ['Delete all objects?', '删除全部目标？'],
  brushed: ['painted', '含涂抹'],
  mark: ['Mark for merging', '标记以合并'],
  lesions: ['Lesions', '病灶数'],
  tmtv: ['TMTV', 'TMTV'],
  tlg: ['TLG', 'TLG'],
  dmax: ['Dmax', 'Dmax'],
  volume: ['Volume', '体积'],

  save: ['Save', '保存'],
  saveDraft: ['Save draft', '保存草稿'],
  submit: ['Submit', '提交'],
  final: ['Final', '定稿'],
  nextStudy: ['Next study', '下一检查'],
  nothingLeft: ['No study without a final label is left.', '所有检查均已定稿。'],
  savedAs: ['Saved: {status}, version {version}.', '已保存：{status}，第 {version} 版。'],
  unsaved: ['not saved as a label yet; every step is kept', '尚未保存为标注；每一步均已记录'],
  changedSince: ['changed since', '之后有改动'],
  restore: ['Back to it', '恢复为该版'],
  conflict: ['Somebody else has saved this study since you opened it.', '自您打开后，他人已保存此检查。'],
  replace: ['Save mine as the newer version', '将我的保存为新版本'],
  cancel: ['Cancel', '取消'],
  'status.none': ['no label', '无标注'],
  'status.draft': ['draft', '草稿'],
  'status.submitted': ['submitted', '已提交'],
  'status.reviewed': ['reviewed', '已审核'],
  'status.final': ['final', '定稿'],
  you: ['You annotate as', '标注者'],
  youHint: ['Labels carry this name; letters, digits, . _ -', '标注将以此名保存；限字母、数字、. _ -'],
  close: ['Close', '关闭'],

  shortcuts: ['Shortcuts', '快捷键'],
  'key.label': ['label of the next object', '下一目标的标签'],
  'key.flip': ['turn clicks: positive, negative (or hold Shift)', '切换点击阳性/阴性（或按住 Shift）'],
  'key.new': ['new object', '新目标'],
  'key.accept': ['accept the object', '接受目标'],
  'key.undo': ['undo', '撤销'],
  'key.redo': ['redo', '重做'],
  'key.step': ['previous, next object', '上一个、下一个目标'],
  'key.remove': ['delete the object', '删除目标'],
  'key.rename': ['rename the object', '重命名目标'],
  'key.mark': ['mark the object for merging', '标记目标以合并'],
  'key.merge': ['merge the marked objects', '合并已标记目标'],
  'key.tools': ['click, brush, eraser, window', '点击、画笔、橡皮、窗宽窗位'],
  'key.size': ['size of the brush', '画笔大小'],
  'key.method': ['next method: model, region growing', '切换方法：模型、区域生长'],
  'key.compare': ['compare with suv_region', '与 suv_region 比较'],
  'key.propose': ['automatic first pass', '自动初筛'],
  'key.hide': ['hide or show masks', '隐藏或显示标注'],
  'key.fusion': ['PET alone, or fused with CT', '仅 PET 或与 CT 融合'],
  'key.save': ['save a draft; with Shift: submit', '保存草稿；加 Shift：提交'],
  'key.next': ['next study', '下一检查'],
  'key.slices': ['slices of the active plane', '翻看当前平面的层面'],
  'key.help': ['this list', '本列表'],
};

/** "zh" where OHIF's language or, without one, the browser's is Chinese; else "en". */
export const language = (() => {
  const chosen = localStorage.getItem('i18nextLng') ?? navigator.language ?? 'en';
  return chosen.toLowerCase().startsWith('zh') ? 'zh' : 'en';
})();

/** The text of a key; {name} in it stands for a value. */
export function text(key, values = {}) {
  const entry = TEXTS[key];
  const found = entry ? entry[language === 'zh' ? 1 : 0] : key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A name of the team or of SegPET in words: "kidney_left" as "kidney left". */
export const spoken = name => name.replaceAll('_', ' ');

export const keys = Object.keys(TEXTS);
export const table = TEXTS;
