"""An engine for the transcriber: recognizes English in the WAV file on its standard input.

Its models are `digits`, which knows nothing but these words, and a general one."""

import os
import sys
import wave

from pocketsphinx import Decoder

GRAMMAR = """#JSGF V1.0;
grammar digits;
public <digits> = (one | two | three | four | five | six | seven | eight | nine)+;
"""

language, model = os.environ["SPEECH_LANGUAGE"], os.environ["SPEECH_MODEL"]
if not language.startswith("en"):
    sys.exit(f"there is no model for {language!r}")
secrets = [name for name in os.environ if name.startswith("LIVEKIT_")]
if secrets:
    sys.exit(f"the environment has {secrets}")

with wave.open(sys.stdin.buffer) as file:
    rate, samples = file.getframerate(), file.readframes(file.getnframes())
decoder = Decoder(samprate=rate, loglevel="FATAL")
if model == "digits":
    decoder.add_jsgf_string(model, GRAMMAR)
    decoder.activate_search(model)
decoder.start_utt()
decoder.process_raw(samples, full_utt=True)
decoder.end_utt()
best = decoder.hyp()
print(best.hypstr if best else "")
