"""Scope: what ears are tried on: people's speech from two Debian packages, and sounds in which nobody says a word.

`pocketsphinx-testdata`: LibriVox's Sense and Sensibility and playing cards, with their texts.
`asterisk-core-sounds-en-g722`: prompts of a telephone exchange, whose texts stand here as they are heard. Numbers are
written in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec_stream.g722 import G722Decoder
from codec_stream.media_file import read_media
from codec_stream.rate import SAMPLE_RATE
from realtime.config import ConfigError

SPHINX = Path("/usr/share/pocketsphinx/test/data")
ASTERISK = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_LONGEST_S = 120.0

_PROMPTS = """
agent-alreadyon: that agent is already logged on please enter your agent number followed by the pound key
agent-incorrect: login incorrect please enter your agent number followed by the pound key
agent-newlocation: please enter a new extension followed by pound
agent-pass: please enter your password followed by the pound key
all-circuits-busy-now: all circuits are busy now
at-tone-time-exactly: at the sound of the tone the time will be exactly
auth-incorrect: password incorrect please enter your password followed by the pound key
cannot-complete-as-dialed: your call cannot be completed as dialed
check-number-dial-again: please check the number and dial again
conf-enteringno: you are entering conference number
conf-extended: the conference has been extended
conf-getconfno: please enter your conference number followed by the pound key
conf-invalid: that is not a valid conference number please try again
conf-kicked: you have been kicked from this conference
conf-leaderhasleft: the leader has left the conference
conf-noempty: no empty conferences currently exist
conf-now-recording: the conference is now being recorded
conf-onlyone: there is currently one other participant in the conference
conf-onlyperson: you are currently the only person in this conference
conf-waitforleader: the conference will begin when the leader arrives
confbridge-begin-glorious-a: the conference will begin when our glorious leader arrives
confbridge-dec-list-vol-in: to decrease the audio volume from other participants
confbridge-inc-talk-vol-in: to increase your speaking volume to other participants
confbridge-invalid: you have entered an invalid option
confbridge-lock-extended: to lock or unlock the conference when a conference is locked only conference
  administrators can join
confbridge-pin-bad: you have entered too many invalid personal identification numbers
confbridge-remove-last-in: to remove the participant who most recently joined the conference
confbridge-rest-list-vol-in: to reset the audio volume of the conference to the default level
demo-echodone: the echo test has been completed
demo-nomatch: i am sorry there are no matches for those keywords
dir-instr: if this is the person you are looking for press one now otherwise please press star now
dir-nomatch: no directory entries match your search
dir-nomore: there are no more compatible entries in the directory
enter-num-blacklist: please enter the number to be blacklisted
feature-not-avail-line: that feature is not available on this line
info-about-last-call: information about your last call
invalid: i am sorry that is not a valid extension please try again
pbx-invalidpark: i am sorry but there is no call parked on that extension please try again
please-try-call-later: please try your call again later
pls-hold-while-try: please hold while we try to connect you
priv-callpending: i have a caller waiting who introduces themselves as
priv-introsaved: thank you please hold while i attempt to connect you with your party
priv-recordintro: at the tone please say your name
privacy-prompt: please enter your phone number starting with the area code
queue-callswaiting: waiting to speak with a representative
queue-holdtime: the estimated hold time is currently
queue-periodic-announce: all of our representatives are currently busy please stay on the line and your call will be
  answered by the next available representative
queue-thereare: you are currently caller number
queue-youarenext: your call is now first in line and will be answered by the next available representative
something-terribly-wrong: something is terribly wrong
ss-noservice: the number you have dialed is not in service please check the number and try again
transfer: please hold while i try that extension
tt-allbusy: all representatives of the household are currently assisting other telemarketers please hold and your
  call will be answered in the order it was received
tt-monkeysintro: they have been carried away by monkeys
tt-weasels: weasels have eaten our phone system
vm-advopts: press three for advanced options
vm-dialout: please wait while i connect your call
vm-forward: press one to enter an extension press two to use the directory
vm-instructions: to look into your messages press one now you may quit voicemail at any time by pressing the pound
  key
vm-invalid-password: that password does not meet the minimum requirements for this mailbox please try again
vm-mailboxfull: sorry but the users mailbox cannot accept more messages
vm-mismatch: the password you entered and re entered did not match please try again
vm-msgforwarded: your message has been successfully forwarded
vm-next: press six to play the next message
vm-nobodyavail: nobody is available to take your call at the moment
vm-nobox: you cannot reply to this message because the sender does not have a mailbox
vm-nonumber: i am afraid i do not know who sent this message
vm-opts: press two to change folders press three for advanced options press zero for mailbox options
vm-rec-name: after the tone say your name and then press the pound key
vm-rec-unv: after the tone say your unavailable message and then press the pound key
vm-review: press one to accept this recording press two to listen to it press three to re record your message
vm-savefolder: which folder should i save this message to
vm-sorry: i am sorry i did not understand your response
vm-starmain: press star to return to the main menu
vm-tempgreetactive: your temporary greeting is currently active
vm-tmpexists: there is a temporary greeting which overrides your standard greetings
vm-tocallback: press two to call the person who sent this message
vm-toreply: press one to send a reply
vm-whichbox: to leave a message please enter a mailbox number
"""

_SAME = {
    "mr": "mister", "im": "i am", "dont": "do not", "cant": "can not", "cannot": "can not", "thats": "that is",
    "youre": "you are", "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six",
    "7": "seven", "8": "eight", "9": "nine", "10": "ten", "reenter": "re enter", "rerecord": "re record",
    "reentered": "re entered",
}  # fmt: skip
_TRANSCRIPT = re.compile(r"<s> (.*?) *</s> \((.*)\)")


@dataclass(frozen=True)
class Recording:
    """Speech as 24 kHz 16-bit mono PCM, and the words in it. `group` says whose it is."""

    name: str
    group: str
    pcm: bytes
    words: tuple[str, ...]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, however they are written."""
    plain = re.sub(r"[^\w\s]", " ", text.lower().replace("'", "").replace("’", "")).split()
    return tuple(" ".join(_SAME.get(word, word) for word in plain).split())


def recordings() -> Iterator[Recording]:
    """People's speech. Raises ConfigError where a package of it is not installed."""
    for folder, package in ((SPHINX, "pocketsphinx-testdata"), (ASTERISK, "asterisk-core-sounds-en-g722")):
        if not folder.is_dir():
            raise ConfigError(f"There are no recordings in {folder}: apt-get install {package}.")
    for group, file in (("LibriVox", "librivox/transcription"), ("cards", "cards/cards.transcription")):
        path = SPHINX / file
        for text, name in _TRANSCRIPT.findall(path.read_text(encoding="utf-8")):
            pcm = read_media((path.parent / f"{name}.wav").read_bytes(), max_seconds=_LONGEST_S)
            yield Recording(name, group, pcm, words_of(text))
    for line in _PROMPTS.strip().replace("\n  ", " ").splitlines():
        name, _, text = line.partition(": ")
        yield Recording(name, "prompts", _g722(ASTERISK / f"{name}.g722"), words_of(text))


def _g722(path: Path) -> bytes:
    """A bare G.722 stream of 64 kbit/s."""
    return G722Decoder().decode(path.read_bytes())


def wordless(seed: int = 7) -> Iterator[tuple[str, bytes]]:
    """Sounds in which nobody says a word: silence, noises, hum, beeps, typing, chords, and monkeys."""
    chance = np.random.default_rng(seed)
    for seconds in (0.5, 2.0, 6.0):
        yield f"silence, {seconds:g} s", bytes(2 * round(seconds * SAMPLE_RATE))
    for kind in ("white", "pink", "brown"):
        for level_db in (-60, -45, -30, -20):
            for seconds in (1.0, 4.0):
                yield f"{kind} noise at {level_db} dB, {seconds:g} s", _pcm(_noise(chance, kind, seconds), level_db)
    time = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * harmonic * time) / harmonic for harmonic in range(1, 8))
    for level_db in (-45, -25):
        yield f"hum at {level_db} dB", _pcm(np.asarray(hum), level_db)
    yield "beeps", _pcm(np.sin(2 * np.pi * 1000 * time) * (time % 0.5 < 0.2), -20)
    yield "dial tone", _pcm(np.sin(2 * np.pi * 350 * time) + np.sin(2 * np.pi * 440 * time), -20)
    yield "siren", _pcm(np.sin(2 * np.pi * np.cumsum(700 + 300 * np.sin(2 * np.pi * time)) / SAMPLE_RATE), -20)
    for every_s in (0.12, 0.4, 1.1):
        yield f"knocks every {every_s:g} s", _pcm(_knocks(chance, time, every_s), -30)
    for base_hz in (110.0, 196.0, 262.0):
        yield f"chords from {base_hz:g} Hz", _pcm(_chords(time, base_hz), -20)
    yield "breath", _pcm(_noise(chance, "pink", 4.0) * np.maximum(0, np.sin(2 * np.pi * 0.4 * time)), -35)
    if (monkeys := ASTERISK / "tt-monkeys.g722").is_file():
        whole = _g722(monkeys)
        for at in range(3):
            yield f"monkeys, part {at + 1}", whole[at * 8 * SAMPLE_RATE : (at + 1) * 8 * SAMPLE_RATE]


def _noise(chance: np.random.Generator, kind: str, seconds: float) -> NDArray[np.float64]:
    white = chance.standard_normal(round(seconds * SAMPLE_RATE))
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    spectrum = np.fft.rfft(white)
    return np.fft.irfft(spectrum / np.maximum(1, np.arange(len(spectrum))) ** slope, len(white))


def _knocks(chance: np.random.Generator, time: NDArray[np.float64], every_s: float) -> NDArray[np.float64]:
    return np.asarray(chance.standard_normal(len(time)) * np.exp(-(time % every_s) / 0.008))


def _chords(time: NDArray[np.float64], base_hz: float) -> NDArray[np.float64]:
    roots = base_hz * np.array([1.0, 4 / 3, 3 / 2, 1.0])[(time // 1.0).astype(int) % 4]
    phase = 2 * np.pi * np.cumsum(roots) / SAMPLE_RATE
    tones = [np.sin(ratio * harmonic * phase) / harmonic for ratio in (1, 1.25, 1.5) for harmonic in (1, 2, 3, 4)]
    return np.asarray(sum(tones) * np.exp(-2 * (time % 0.5)))


def _pcm(sound: NDArray[np.float64], level_db: float) -> bytes:
    scaled = sound / np.sqrt(np.mean(np.square(sound))) * 10 ** (level_db / 20)
    pcm: bytes = np.clip(np.rint(scaled * 32767), -32768, 32767).astype("<i2").tobytes()
    return pcm
