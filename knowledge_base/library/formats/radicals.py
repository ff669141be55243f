"""Radicals that stand for characters: some fonts make a PDF say ⼈ (a radical) for 人.

Unicode's EquivalentUnifiedIdeograph for U+2E80-2EF3; the Kangxi radicals (U+2F00-2FD5) have
compatibility mappings of their own.
"""

from __future__ import annotations

import re
import unicodedata

_SUPPLEMENT = (
    "⺁⺄⺅⺆⺇⺈⺉⺊⺋⺌⺍⺎⺏⺐⺑⺒⺓⺔⺕⺖⺗⺘⺙⺛⺜⺝⺞⺟⺠⺡⺢⺣⺤⺥⺦⺨⺩⺪⺫⺬"
    "⺭⺮⺯⺰⺱⺲⺳⺴⺵⺶⺷⺸⺹⺺⺻⺼⺽⺾⺿⻀⻁⻂⻃⻄⻅⻆⻇⻈⻉⻊⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔"
    "⻕⻖⻗⻘⻙⻚⻛⻜⻝⻞⻟⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲⻳"
)
_CHARACTERS = (
    "厂乙亻冂几刀刂卜㔾小小兀尣尢尣巳幺彑彐忄心扌攵旡日月歺母民氵氺灬爫爫丬犭王疋目示"
    "礻竹糸纟网罒网网网羊羊羊老肀聿月臼艹艹艹虎衤西西见角角讠贝足车辶辶辶阝钅長镸长门"
    "阝阝雨青韦页风飞食食飠饣首马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
)
_TABLE = str.maketrans(_SUPPLEMENT, _CHARACTERS)
_KANGXI = re.compile("[\u2f00-\u2fd5]+")


def without_radicals(text: str) -> str:
    """The text with the characters that its radicals stand for."""
    if text.isascii():
        return text
    return _KANGXI.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text).translate(_TABLE)
