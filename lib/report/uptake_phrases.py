"""Phrases of uptake in Chinese, which are put together too freely for a list: FDG代谢未见明显增高."""

import re
from collections.abc import Iterator

_TRACER = (
    r"(?:\[?(?:18|68|64|89|99m?)[\s-]?(?:F|Ga|Cu|Zr|Tc)\]?[\s-]?)?(?:FDG|PSMA(?:-?(?:1007|11|"
    r"617))?|FAPI(?:-?\d+)?|DOTA-?(?:TATE|TOC|NOC)|SSTR2?|DCFPyL|FES|FET|MET|FLT|NaF)"
)
_WHAT = rf"(?:{_TRACER}|葡萄糖|糖|放射性|显像剂|示踪剂|核素|生长抑素受体|骨盐|氨基酸)"
_ACT = r"(?:代谢活性|代谢水平|代谢|摄取|分布|浓聚|表达|浓集|聚集)"
_HOW = (
    r"(?:明显|显著|轻度|中度|重度|轻微|轻中度|中高度|略微|略|稍|稍微|异常|弥漫性|弥漫|局灶性|局限性|不均匀性|不均匀|不对称性|对称性|环形|环状|条状|结节状|"
    r"结节样|片状|团块状|点状|呈|高度|不同程度|程度|进一步|较|均|可见|有|增强性|相对|未见明显|未见|无明显|未见异常|无|未|不|伴)"
)
_LESS = r"(?:减低|降低|减退|稀疏|缺损|缺失|低下|减少|下降)"
_MORE = r"(?:增高|升高|增加|增强|活跃|浓聚|浓集|异常|阳性)"
_PHRASE = re.compile(
    rf"(?=[\[0-9FPDSMNfpdsmn异轻中高低强阳弥局葡糖放显示核生骨氨代摄分浓表聚])(?:(?:异常|轻度|中度|高度|弥漫性|"
    rf"局灶性)?{_WHAT}{{0,3}}(?:异常|轻度|中度|明显|高|低|强|阳性)?{_ACT}(?:(?!较前|"
    rf"较治疗前){_HOW}){{0,4}}(?:(?P<more>{_MORE})|(?P<less>{_LESS})|(?P<high>高)|"
    rf"(?P<low>低))(?:灶|区)?"
    rf"|(?:异常)?{_WHAT}{{0,3}}(?P<more2>高|强|异常|阳性){_ACT}(?:灶(?!性))?"
    rf"|(?:异常)?{_WHAT}{{0,3}}(?P<less2>低){_ACT}(?:灶(?!性)|区)?"
    rf"|{_WHAT}{{0,3}}{_ACT}{{1,2}}(?!灶))",
    re.I,
)  # fmt: skip
_NEGATED = re.compile(r"未见|无|未|不(?!均|对|同)")
_BY_TRACER = {
    "psma": "psma_uptake",
    "fapi": "fapi_uptake",
    "sstr": "sstr_uptake",
    "dota": "sstr_uptake",
    "生长抑素受体": "sstr_uptake",
}


def uptake_phrases(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Yield first and end character, the concept's id, and whether the phrase negates itself."""
    for match in _PHRASE.finditer(text):
        phrase = match.group()
        groups = match.groupdict()
        negated = bool(_NEGATED.search(phrase))
        lower = phrase.lower()
        if groups["less"] or groups["low"] or groups["less2"]:
            id = "absent_uptake" if "缺" in phrase else "decreased_uptake"
        elif groups["more"] or groups["high"] or groups["more2"]:
            id = next((id for name, id in _BY_TRACER.items() if name in lower), None) or (
                "intense_uptake"
                if re.search("明显|显著|高度|重度", phrase) and not negated
                else "moderate_uptake"
                if "中度" in phrase
                else "mild_uptake"
                if re.search("轻|略|稍", phrase)
                else "increased_uptake"
            )
        else:
            id = next((id for name, id in _BY_TRACER.items() if name in lower), "uptake")
        yield match.start(), match.end(), id, negated
