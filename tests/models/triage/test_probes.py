"""The ways in which people and models are known to fail at reading a patient's words.

Each probe is asked through the triage task, in Chinese and in English: what the rules get
to see is what counts, not a single mention. Crises have a file of their own.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from models.repository import ModelRepository
from models.tasks.triage import Judged, TriageTask
from models.triage.request import TriageRequest


@lru_cache(maxsize=1)
def task() -> TriageTask:
    return TriageTask(ModelRepository().get("department"))


@lru_cache(maxsize=2048)
def judged(text: str) -> Judged:
    return task().read(TriageRequest(text=text))


def status(text: str, code: str) -> str | None:
    """What the rules know of a finding; None where it was never mentioned."""
    observation = judged(text).case.facts.observations.get(code)
    return None if observation is None else observation.status


DENIED = [
    ("我不发烧，也不咳嗽", "fever cough"),
    ("肚子不疼，大便不稀", "abdominal_pain"),
    ("没胸痛，没气短，就是乏力", "chest_pain dyspnoea"),
    ("从来没有抽搐过", "seizure"),
    ("近期无发热，无寒战", "fever rigors"),
    ("未出现呕吐，未见皮疹", "vomiting rash"),
    ("患者否认咯血", "haemoptysis"),
    ("头晕，心梗除外", "myocardial_infarction"),
    ("已排除肺炎，还是咳嗽", "pneumonia"),
    ("呕吐倒没有，就是恶心", "vomiting"),
    ("黑便：无", "melaena"),
    ("no fever, no cough", "fever cough"),
    ("I am not vomiting", "vomiting"),
    ("he denies coughing up blood", "haemoptysis"),
    ("sore throat without a rash", "rash"),
    ("never had a seizure", "seizure"),
    ("I don't have a headache", "headache"),
    ("she isn't short of breath", "dyspnoea"),
    ("fever: none", "fever"),
    ("pneumonia was ruled out, still coughing", "pneumonia"),
    ("free of chest pain today", "chest_pain"),
    ("all fine except for a cough", None),
]

LISTS = [
    ("没有发烧、咳嗽、胸痛、气短", "fever cough chest_pain dyspnoea"),
    ("否认胸闷、心慌、晕厥及抽搐", "chest_tightness palpitations syncope seizure"),
    ("无头痛、呕吐、视物模糊或肢体无力", "headache vomiting blurred_vision limb_weakness"),
    ("没有恶心和呕吐", "nausea vomiting"),
    ("不发烧不咳嗽不流鼻涕", "fever cough runny_nose"),
    ("no fever, chills, or night sweats", "fever chills night_sweats"),
    ("denies chest pain, palpitations, syncope", "chest_pain palpitations syncope"),
    ("without nausea, vomiting or diarrhoea", "nausea vomiting diarrhoea"),
    ("no cough or wheezing", "cough wheezing"),
    ("neither vomiting nor diarrhoea", "vomiting diarrhoea"),
    ("I have not had any fever, rash or headache", "fever rash headache"),
]


@pytest.mark.parametrize(("text", "codes"), [*DENIED, *LISTS])
def test_what_is_denied_is_absent_for_the_rules(text: str, codes: str | None) -> None:
    for code in (codes or "").split():
        assert status(text, code) == "absent", code


AFFIRMED = [
    ("没有发烧、咳嗽，但是胸痛", "chest_pain"),
    ("不发烧，咳嗽得厉害", "cough"),
    ("无明显诱因出现腹痛", "abdominal_pain"),
    ("除了头痛没有别的不舒服", "headache"),
    ("除头晕外无其他不适", "dizziness"),
    ("吃了药胸痛没有减轻", "chest_pain"),
    ("不小心摔了一跤，头痛", "headache"),
    ("不知道为什么一直吐", "vomiting"),
    ("咳嗽不停，睡不好", "cough"),
    ("no fever or cough, but my chest hurts", "chest_pain"),
    ("nothing except chest pain", "chest_pain"),
    ("all fine except for a cough", "cough"),
    ("no symptoms apart from a severe headache", "headache"),
    ("I can't stop vomiting", "vomiting"),
    ("chest pain with no relief from rest", "chest_pain"),
    ("for no reason I started vomiting", "vomiting"),
    ("not only a headache but also vomiting", "vomiting"),
    ("without my inhaler I am wheezing", "wheezing"),
]

DOUBLE = [
    ("胸口不是不痛，是忍着", "chest_pain"),
    ("不是没有发烧，昨晚还38度5", "fever"),
    ("并不是不咳嗽，只是吃药压着", "cough"),
    ("头不是不疼，就是不想吃药", "headache"),
    ("不能说没有胸闷", "chest_tightness"),
    ("我不否认有胸痛", "chest_pain"),
    ("it's not that my chest doesn't hurt, I'm used to it", "chest_pain"),
    ("it's not that I don't have a headache", "headache"),
    ("I can't say I have no chest pain", "chest_pain"),
    ("I don't deny having chest pain", "chest_pain"),
    ("he is not without a fever", "fever"),
]


@pytest.mark.parametrize(("text", "code"), [*AFFIRMED, *DOUBLE])
def test_what_is_not_denied_stays_present(text: str, code: str) -> None:
    assert status(text, code) == "present"


NOT_HERS_NOW = [
    ("以前有过胸痛，现在来问皮肤痒", "chest_pain"),
    ("小时候得过癫痫抽搐，这次是脚气", "seizure"),
    ("去年吐过血，已经治好了，今天想开点胃药", "haematemesis"),
    ("三年前晕厥过一次，现在想体检", "syncope"),
    ("我爸得过脑梗，我想问问血脂高怎么办", "stroke_history"),
    ("家里人有心脏病，我只是想体检", "heart_disease"),
    ("有胃癌家族史，我最近打嗝", "cancer"),
    ("I used to have chest pain years ago, today it is my itchy feet", "chest_pain"),
    ("history of seizures as a child, now a mole check", "seizure"),
    ("my father had a heart attack, I would like a check-up", "myocardial_infarction"),
    ("heart disease runs in my family, I have hay fever", "heart_disease"),
    ("family history of stroke, here for dandruff", "stroke_history"),
]


@pytest.mark.parametrize(("text", "code"), NOT_HERS_NOW)
def test_the_past_and_the_family_are_no_emergency_of_today(text: str, code: str) -> None:
    assert status(text, code) != "present"
    assert judged(text).level >= 3


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("以前得过脑梗，今天早上又说不清话", "slurred_speech"),
        ("我爸以前有心脏病，现在他胸痛", "chest_pain"),
        ("used to have asthma, and now I am wheezing again", "wheezing"),
        ("my mother had a stroke last year and today her speech is slurred", "slurred_speech"),
    ],
)
def test_what_came_back_is_of_today(text: str, code: str) -> None:
    assert status(text, code) == "present"


VALUES = [
    ("发烧三十九度五", "temperature_c", 39.5),
    ("烧到三十八度二了", "temperature_c", 38.2),
    ("高压一百八，低压一百一", "systolic_bp", 180),
    ("血压一百八，头晕", "systolic_bp", 180),
    ("血氧九十一", "spo2", 91),
    ("心跳一百三十次一分钟", "heart_rate", 130),
    ("体温３９．５度", "temperature_c", 39.5),
    ("血压１８０／１１０", "systolic_bp", 180),
    ("my temperature is thirty-nine point five", "temperature_c", 39.5),
    ("blood pressure one eighty over ninety", "systolic_bp", 180),
    ("a fever of a hundred and three", "temperature_c", 39.44),
    ("pulse of one thirty", "heart_rate", 130),
    ("oxygen is ninety one percent", "spo2", 91),
]


@pytest.mark.parametrize(("text", "name", "value"), VALUES)
def test_numbers_in_words_are_measurements(text: str, name: str, value: float) -> None:
    assert judged(text).case.facts.values.get(name) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(
    ("text", "code", "hours"),
    [
        ("咳嗽半个月", "cough", 360),
        ("头痛两天半", "headache", 60),
        ("胸痛半小时", "chest_pain", 0.5),
        ("肚子疼一个半小时", "abdominal_pain", 1.5),
        ("a cough for a fortnight", "cough", 336),
        ("headache for half a day", "headache", 12),
        ("chest pain for half an hour", "chest_pain", 0.5),
        ("coughing for a couple of weeks", "cough", 336),
    ],
)
def test_times_in_words_are_durations(text: str, code: str, hours: float) -> None:
    assert judged(text).case.facts.observations[code].duration_hours == pytest.approx(hours)


WRITTEN = [
    ("ｃｈｅｓｔ　ｐａｉｎ", "chest_pain"),
    ("胸　痛", "chest_pain"),
    ("胸 口 痛", "chest_pain"),
    ("胸悶氣短，頭暈", "chest_tightness dyspnoea dizziness"),
    ("嘔吐、腹瀉兩天，發燒", "vomiting diarrhoea fever"),
    ("呼吸困難", "dyspnoea"),
    ("CHEST PAIN AND SWEATING", "chest_pain diaphoresis"),
    ("我chest pain两天了", "chest_pain"),
    ("头痛还有vomiting，light也怕", "headache vomiting"),
    ("bp很高，feel dizzy", "dizziness"),
    ("宝宝fever了", "fever"),
    ("I have 胸闷 since yesterday", "chest_tightness"),
    ("my 肚子疼 and I keep 吐", "abdominal_pain"),
]

MISSPELT = [
    ("胸口闷气端", "dyspnoea"),
    ("一直拉肚孑", "diarrhoea"),
    ("呼吸困准", "dyspnoea"),
    ("孩子发骚三十九度", "fever"),
    ("恶心想土，呕土了三次", "vomiting"),
    ("说话不清处，嘴歪", "slurred_speech"),
    ("I have diarhea", "diarrhoea"),
    ("vomitting since last night", "vomiting"),
    ("chest pian", "chest_pain"),
    ("a terrible headahce", "headache"),
    ("my chest feels tihgt", "chest_tightness"),
    ("dizzyness and nausia", "dizziness nausea"),
    ("dificulty breathing", "dyspnoea"),
]


@pytest.mark.parametrize(("text", "codes"), [*WRITTEN, *MISSPELT])
def test_writing_hides_nothing(text: str, codes: str) -> None:
    for code in codes.split():
        assert status(text, code) == "present", code


MINIMISED = [
    ("他就是有点胸口闷，没事的，老毛病", "chest_tightness", 3),
    ("我妈老毛病了，就是胸口痛出点汗，不用去医院吧", "chest_pain", 2),
    ("老公说不要紧，只是右边手脚没劲，睡一觉就好", "unilateral_weakness", 1),
    ("她爱夸张，说头痛得像要炸了，从来没这么痛过", "headache", 2),
    ("孩子就是懒，叫不醒，平时也爱睡", "unconsciousness", 2),
    ("奶奶年纪大了糊涂正常，今天突然说话不清楚", "slurred_speech", 1),
    ("she always exaggerates, but she says her chest is crushing and she is sweating", None, 2),
    ("my dad is just being dramatic, his face is drooping a bit", "facial_droop", 1),
    ("it's only his usual bad chest, he can't finish a sentence, don't worry", None, 2),
    ("mum says it's nothing, she only vomited some blood", "haematemesis", 2),
    ("probably just wind, my husband's chest pain goes down his left arm", "chest_pain", 2),
    ("he's a drama queen, says it's the worst headache of his life", None, 2),
]


@pytest.mark.parametrize(("text", "code", "most"), MINIMISED)
def test_a_relative_who_plays_it_down_does_not_lower_it(
    text: str, code: str | None, most: int
) -> None:
    assert judged(text).level <= most
    if code is not None:
        assert status(text, code) == "present"


ELSEWHERE = [
    "电影里的男主角突然心梗倒地，我看完有点失眠",
    "新闻说有人在地铁上晕倒没呼吸了，我想学心肺复苏",
    "我家狗昨天抽搐了，我自己只是有点鼻塞",
    "邻居上个月脑梗住院，我想问体检项目",
    "小说里她大出血，我想问痛经怎么缓解",
    "in the film he has a heart attack; I only want something for hay fever",
    "I saw on the news that a man was stabbed. My question is about dandruff.",
    "our dog had a seizure yesterday, I just have a runny nose",
    "I want to learn CPR in case somebody has a cardiac arrest",
    "my neighbour's cat was hit by a car, I have a mild sore throat",
]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_films_news_and_animals_are_no_emergency(text: str) -> None:
    assert judged(text).level >= 3
