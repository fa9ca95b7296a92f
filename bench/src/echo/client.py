"""Two participants of LiveKit's Python SDK in a room with an agent that repeats sound.

ada plays a burst of a tone some every second. bob hears it directly, and ada hears it come back from the agent. Both
are in one process, with one clock and one event loop, so that the two trips differ only by the agent.

Settings are one line of JSON on stdin: url, ada, bob (tokens), bursts, warm_up, seconds (the most for all). Lines of
JSON on stdout: {"event": "measuring"} after the warm-up, then {"event": "burst", "direct": ms, "echo": ms} for each
burst, from when it was handed to the SDK to when it was heard; null if it was not. It ends when stdin closes.
"""

import array
import asyncio
import json
import math
import os
import sys
import threading
import time

from livekit import rtc

RATE = 48000
FRAME = RATE // 100
BURST = RATE * 15 // 100
PEAK = 12000
LOUD = PEAK // 3
QUIET = RATE * 3 // 10  # as much silence before a burst
PATIENCE = 0.9  # seconds: a burst that is not heard by then counts as lost

OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def tell(event, **fields):
    OUT.write(json.dumps({"event": event, **fields}) + "\n")
    OUT.flush()


class Ear:
    """The times at which bursts begin in a track."""

    def __init__(self):
        self.heard = []
        self.quiet = 0
        self.changed = asyncio.Event()

    async def listen(self, track):
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            now = time.monotonic()
            samples = array.array("h", bytes(event.frame.data))
            if max(samples) < LOUD:
                self.quiet += len(samples)
                continue
            at = next(at for at, sample in enumerate(samples) if sample >= LOUD)
            if self.quiet + at >= QUIET:
                self.heard.append(now + at / RATE)
                self.changed.set()
            self.quiet = 0

    async def first_after(self, since):
        """Milliseconds from this time to the next burst; None if it does not come."""
        until = since + PATIENCE
        while True:
            found = [at for at in self.heard if since < at < until]
            if found:
                return (found[0] - since) * 1000
            left = until - time.monotonic()
            if left <= 0:
                return None
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except asyncio.TimeoutError:
                pass


class Mouth:
    """Bursts with silence between them, at the pace of the clock. They begin anywhere within a packet."""

    def __init__(self, source):
        self.source = source
        self.played = asyncio.Queue()

    async def play(self):
        begin, at, number, burst = time.monotonic(), 0, 0, RATE // 2
        while True:
            samples = array.array("h", bytes(2 * FRAME))
            for n in range(FRAME):
                since = at + n - burst
                if 0 <= since < BURST:
                    samples[n] = round(PEAK * math.sin(2 * math.pi * 1000 * since / RATE))
            await asyncio.sleep(begin + at / RATE - time.monotonic())
            await self.source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, FRAME))
            at += FRAME
            if at >= burst + BURST:
                self.played.put_nowait(begin + burst / RATE)
                number += 1
                # Another place within a packet of 20 ms each time.
                burst += RATE + number * 37 % 20 * RATE // 1000 + number * 11 % 48


async def subscribed(room, wanted):
    """The audio track of the participant of this kind."""
    found = asyncio.get_running_loop().create_future()

    def take(track, _publication, participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO and wanted(participant) and not found.done():
            found.set_result(track)

    room.on("track_subscribed", take)
    return await found


def is_agent(participant):
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


async def measure(settings):
    ada, bob = rtc.Room(), rtc.Room()
    echoed = asyncio.ensure_future(subscribed(ada, is_agent))
    direct = asyncio.ensure_future(subscribed(bob, lambda participant: participant.identity == "ada"))
    await ada.connect(settings["url"], settings["ada"])
    await bob.connect(settings["url"], settings["bob"])
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    microphone = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await ada.local_participant.publish_track(track, microphone)
    mouth, at_ada, at_bob = Mouth(source), Ear(), Ear()
    running = [asyncio.ensure_future(mouth.play())]
    for ear, future in [(at_bob, direct), (at_ada, echoed)]:
        running.append(asyncio.ensure_future(ear.listen(await future)))
    both = 0
    while both < settings["warm_up"]:
        begin = await mouth.played.get()
        trips = [await ear.first_after(begin) for ear in (at_bob, at_ada)]
        both += None not in trips
    tell("measuring")
    for _ in range(settings["bursts"]):
        begin = await mouth.played.get()
        tell("burst", direct=await at_bob.first_after(begin), echo=await at_ada.first_after(begin))
    for task in running:
        task.cancel()
    await ada.disconnect()
    await bob.disconnect()


def end_with_stdin():
    sys.stdin.read()
    os._exit(1)


async def main():
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_stdin, daemon=True).start()
    try:
        await asyncio.wait_for(measure(settings), settings["seconds"])
    except asyncio.TimeoutError:
        print("no sound came back in time", file=sys.stderr)
        os._exit(1)
    OUT.flush()
    # The SDK's threads would hold up a plain exit.
    os._exit(0)


asyncio.run(main())
