"""Orders to the writer among findings: what they say is no finding, and supports nothing."""

import re

from lib.report.text import sentences

#: English orders begin a sentence or a clause; some words are orders only with what follows.
_ORDER = re.compile(
    r"(?:^|[,:;]\s*|\b(?:and|then|please|now|instead)\s+)"
    r"(?:(?:ignore|disregard|forget|override|pretend|write|print|output)\b(?!-)"
    r"|(?:say|state|report|mention|add|include|conclude|claim|answer|reply|respond|repeat|insert)\s*"
    r"(?:[:\"'“‘]|\b(?:that|with|only|exactly|instead|the following)\b))"
    r"|\byou (?:are|must|should|shall|will|have to|need to|may)\b"
    r"|\b(?:previous|prior|above|following|system) (?:instructions?|prompts?|rules)\b"
    r"|忽略(?!不计)|无视|忘记|请?(?:你|务必|直接|改为)?(?:写(?:上|成|出|明|道|：|:)|(?<!心)输出)"
    r"|请(?:写|回答|回复|声明|报告)|你(?:是|必须|应该?|要|现在|可以)|(?:指令|提示词)",
    re.I,
)
#: Words of a chat's template.
_MARKUP = re.compile(r"<\|")
_QUOTES = re.compile(r"[:：\"“‘「『]|(?<!\w)'")
_PARAGRAPH = re.compile(r"\n\s*\n")


def without_orders(findings: str) -> str:
    """Return findings with blanks in the place of orders to the writer; all else stays where it is.

    An order goes to the end of its sentence; one that quotes, or has a colon, to the end of its paragraph.
    What follows a chat template's words is none of the findings.
    """
    markup = _MARKUP.search(findings)
    kept = findings[: markup.start()] if markup else findings
    end = 0
    for start, last in sentences(kept):
        if start < end or not (order := _ORDER.search(kept[start:last])):
            continue
        end = last
        if _QUOTES.search(kept, start + order.start(), last):
            paragraph = _PARAGRAPH.search(kept, start)
            end = paragraph.start() if paragraph else len(kept)
        kept = kept[:start] + " " * (end - start) + kept[end:]
    return kept.ljust(len(findings))
