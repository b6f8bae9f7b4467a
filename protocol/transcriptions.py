"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: the fields of the request, and the answers in each of
their formats. Fields and names follow the OpenAI API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
TRANSCRIPT_FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)
Granularity = Literal["word", "segment"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

MAX_FILE_BYTES = 25 * 1024 * 1024
MAX_PROMPT_CHARS = 4096

LANGUAGES = dict(
    entry.split(" ", 1)
    for entry in (
        "af afrikaans,am amharic,ar arabic,as assamese,az azerbaijani,ba bashkir,be belarusian,bg bulgarian,bn bengali,"
        "bo tibetan,br breton,bs bosnian,ca catalan,cs czech,cy welsh,da danish,de german,el greek,en english,"
        "es spanish,et estonian,eu basque,fa persian,fi finnish,fo faroese,fr french,gl galician,gu gujarati,ha hausa,"
        "haw hawaiian,he hebrew,hi hindi,hr croatian,ht haitian creole,hu hungarian,hy armenian,id indonesian,"
        "is icelandic,it italian,ja japanese,jw javanese,ka georgian,kk kazakh,km khmer,kn kannada,ko korean,la latin,"
        "lb luxembourgish,ln lingala,lo lao,lt lithuanian,lv latvian,mg malagasy,mi maori,mk macedonian,ml malayalam,"
        "mn mongolian,mr marathi,ms malay,mt maltese,my myanmar,ne nepali,nl dutch,nn nynorsk,no norwegian,oc occitan,"
        "pa punjabi,pl polish,ps pashto,pt portuguese,ro romanian,ru russian,sa sanskrit,sd sindhi,si sinhala,"
        "sk slovak,sl slovenian,sn shona,so somali,sq albanian,sr serbian,su sundanese,sv swedish,sw swahili,ta tamil,"
        "te telugu,tg tajik,th thai,tk turkmen,tl tagalog,tr turkish,tt tatar,uk ukrainian,ur urdu,uz uzbek,"
        "vi vietnamese,yi yiddish,yo yoruba,yue cantonese,zh chinese"
    ).split(",")
)
"""What an answer calls a language, by its ISO 639-1 code."""


class DurationUsage(Struct, frozen=True, tag="duration", tag_field="type"):
    """What was listened to, in seconds."""

    seconds: float


class Transcription(Struct, frozen=True):
    """The answer in the format `json`. The text of audio without words is empty."""

    text: str
    usage: DurationUsage


class TranscriptSegment(Struct, frozen=True):
    """A piece of the text and its times in seconds. `tokens` is empty, `seek` 0: nothing can be done with them."""

    id: int
    start: float
    end: float
    text: str
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    seek: int = 0
    tokens: tuple[int, ...] = ()


class TranscriptWord(Struct, frozen=True):
    """A word and its times in seconds."""

    word: str
    start: float
    end: float


class VerboseTranscription(Struct, frozen=True):
    """The answer in the format `verbose_json`; `segments` and `words` as far as they were asked for."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    usage: DurationUsage
    segments: list[TranscriptSegment] | UnsetType = UNSET
    words: list[TranscriptWord] | UnsetType = UNSET


class TranscriptTextDelta(Struct, frozen=True, tag="transcript.text.delta", tag_field="type"):
    """More of the text. Joined in order, the deltas are the text."""

    delta: str


class TranscriptTextDone(Struct, frozen=True, tag="transcript.text.done", tag_field="type"):
    """The text is whole."""

    text: str


def transcript_event(event: TranscriptTextDelta | TranscriptTextDone) -> bytes:
    """An event as a server-sent event, whole."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def srt(segments: Iterable[TranscriptSegment]) -> str:
    """The segments as SubRip has them."""
    return "".join(
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{each.text}\n\n"
        for number, each in enumerate(segments, 1)
    )


def vtt(segments: Iterable[TranscriptSegment]) -> str:
    """The segments as WebVTT has them."""
    cues = (f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{_escaped(each.text)}\n\n" for each in segments)
    return "WEBVTT\n\n" + "".join(cues)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
