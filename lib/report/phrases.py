"""The words of findings in each language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.report.language import Language


@dataclass(frozen=True)
class Phrases:
    """Words and patterns; `{}` stands for what is filled in."""

    tracer: str
    uptake: str
    corrected: str
    not_corrected: str
    none: str
    one: str
    several: str
    lesion: str
    empty_lesion: str
    within: str
    beside: str
    aside: str
    no_site: str
    sides: Mapping[str, str]
    volume: str
    diameter: str
    deauville: str
    not_measurable: str
    normal_uptake: str
    patient: str
    total_tlg: str
    spread: str
    references: str
    liver: str
    blood_pool: str
    no_suv: str
    no_map: str
    comma: str
    stop: str

    def sentence(self, parts: Sequence[str]) -> str:
        """Return the parts as a sentence; "" of none."""
        return self.comma.join(parts) + self.stop if parts else ""

    def count(self, lesions: int) -> str:
        """Return how many lesions there are."""
        return {0: self.none, 1: self.one}.get(lesions, self.several.format(lesions))


PHRASES: dict[Language, Phrases] = {
    "en": Phrases(
        tracer="Tracer {}",
        uptake="uptake time {} min",
        corrected="attenuation corrected",
        not_corrected="not attenuation corrected",
        none="No lesion was marked.",
        one="1 lesion.",
        several="{} lesions.",
        lesion="Lesion {} {}: ",
        empty_lesion="Lesion {}: no voxel with a value.",
        within="in {}",
        beside="beside {}",
        aside=", {} side",
        no_site="at a site that is not named",
        sides={"left": "left", "right": "right"},
        volume="volume {} ml",
        diameter="largest diameter {} mm",
        deauville="Deauville {}",
        not_measurable="below PERCIST's limit",
        normal_uptake="in an organ with physiological uptake",
        patient="All lesions: ",
        total_tlg="total TLG {} g",
        spread="largest distance between lesions {} mm",
        references="References: ",
        liver="liver",
        blood_pool="blood pool",
        no_suv="The numbers are not SUV.",
        no_map="Sites are not named: there is no organ map.",
        comma=", ",
        stop=".",
    ),
    "zh": Phrases(
        tracer="示踪剂 {}",
        uptake="摄取时间 {} 分钟",
        corrected="已行衰减校正",
        not_corrected="未行衰减校正",
        none="未标记病灶。",
        one="病灶 1 个。",
        several="病灶 {} 个。",
        lesion="病灶{}，位于{}：",
        empty_lesion="病灶{}：无有效体素。",
        within="{}",
        beside="{}旁",
        aside="（{}侧）",
        no_site="未命名部位",
        sides={"left": "左", "right": "右"},
        volume="体积 {} ml",
        diameter="最大径 {} mm",
        deauville="Deauville 评分 {} 分",
        not_measurable="低于 PERCIST 可测量界值",
        normal_uptake="位于生理性摄取器官",
        patient="全部病灶：",
        total_tlg="总 TLG {} g",
        spread="病灶间最大距离 {} mm",
        references="参考：",
        liver="肝脏",
        blood_pool="血池",
        no_suv="数值不是 SUV。",
        no_map="无器官图，未命名部位。",
        comma="，",
        stop="。",
    ),
}
