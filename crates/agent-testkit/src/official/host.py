"""Participants of LiveKit's Python SDK, driven by JSON lines on stdin, telling by JSON lines on stdout.

One process holds many clients. A request is {"id": n, "op": ..., "client": k, ...} and gets exactly one answer,
{"re": n, "ok": {...}} or {"re": n, "error": text}. Events are {"client": k, "event": ..., ...}. Bytes are base64.
The process ends when stdin closes. The hosts of the JavaScript SDKs speak the same lines.
"""

import array
import asyncio
import base64
import functools
import json
import math
import operator
import os
import random
import struct
import sys
import tempfile
import threading
import wave

from livekit import rtc

RATE = 48000
HEARD_RATE = 16000  # of what a client listens to
SEEN = 10  # frames of what a client watches that are told of at a time
SILENT = 33  # a block of 10 ms with a level below -60 dBFS is silent

# The lines go to a copy of stdout: whatever a library prints ends up on stderr.
OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def tell(message):
    OUT.write(json.dumps(message) + "\n")
    OUT.flush()


def kind_of(track):
    return "audio" if track.kind == rtc.TrackKind.KIND_AUDIO else "video"


def reason_of(reason):
    return rtc.DisconnectReason.Name(reason) if reason is not None else ""


def identity_of(p):
    return p.identity if p else ""


def participant(p):
    return {
        "identity": p.identity,
        "sid": p.sid,
        "name": p.name,
        "metadata": p.metadata,
        "attributes": dict(p.attributes),
        "agent": p.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT,
        "tracks": [track(t) for t in p.track_publications.values()],
    }


def track(publication):
    return {
        "sid": publication.sid,
        "name": publication.name,
        "kind": kind_of(publication),
        "muted": publication.muted,
    }


class Client:
    def __init__(self, number):
        self.number = number
        self.room = rtc.Room()
        self.published = {}  # track sid -> (publication, task that feeds it)
        self.data_tracks = {}  # sid -> data track of its own
        self.remote_data_tracks = {}  # sid -> data track of another participant
        self.listening = []  # audio streams that are being read
        self.watching = []  # video streams that are being read

    def event(self, event, /, **fields):
        tell({"client": self.number, "event": event, **fields})

    def watch(self):
        room, event = self.room, self.event
        room.on("participant_connected", lambda p: event("participant_connected", participant=participant(p)))
        room.on(
            "participant_disconnected",
            lambda p: event(
                "participant_disconnected", identity=p.identity, reason=reason_of(p.disconnect_reason)
            ),
        )
        room.on(
            "participant_attributes_changed",
            lambda changed, p: event(
                "attributes_changed", identity=p.identity, changed=dict(changed), attributes=dict(p.attributes)
            ),
        )
        room.on(
            "participant_metadata_changed",
            lambda p, _old, new: event("metadata_changed", identity=p.identity, metadata=new),
        )
        room.on("participant_name_changed", lambda p, _old, new: event("name_changed", identity=p.identity, name=new))
        room.on("room_metadata_changed", lambda _old, new: event("room_metadata_changed", metadata=new))
        room.on("track_published", lambda t, p: event("track_published", identity=p.identity, track=track(t)))
        room.on("track_unpublished", lambda t, p: event("track_unpublished", identity=p.identity, track=track(t)))
        room.on("track_subscribed", lambda _t, t, p: event("track_subscribed", identity=p.identity, track=track(t)))
        room.on("track_unsubscribed", lambda _t, t, p: event("track_unsubscribed", identity=p.identity, track=track(t)))
        room.on("track_muted", lambda p, t: event("track_muted", identity=p.identity, track=track(t)))
        room.on("track_unmuted", lambda p, t: event("track_unmuted", identity=p.identity, track=track(t)))
        room.on("active_speakers_changed", lambda ps: event("active_speakers", identities=[p.identity for p in ps]))
        room.on("reconnecting", lambda: event("reconnecting"))
        room.on("reconnected", lambda: event("reconnected"))
        room.on("disconnected", lambda reason=None: event("disconnected", reason=reason_of(reason)))
        room.on(
            "data_received",
            lambda packet: event(
                "data",
                identity=packet.participant.identity if packet.participant else None,
                topic=packet.topic or None,
                reliable=packet.kind == rtc.DataPacketKind.KIND_RELIABLE,
                payload=base64.b64encode(packet.data).decode(),
            ),
        )
        room.on(
            "sip_dtmf_received",
            lambda dtmf: event("dtmf", identity=identity_of(dtmf.participant), code=dtmf.code, digit=dtmf.digit),
        )
        room.on(
            "transcription_received",
            lambda segments, p, t: event(
                "transcription_received",
                identity=identity_of(p),
                track_sid=t.sid if t else "",
                segments=[{"id": s.id, "text": s.text, "final": s.final, "language": s.language} for s in segments],
            ),
        )

        room.on("data_track_published", self.data_track_published)
        room.on("data_track_unpublished", lambda sid: event("data_track_unpublished", sid=sid))

    def data_track_published(self, remote):
        self.remote_data_tracks[remote.info.sid] = remote
        names = {"sid": remote.info.sid, "name": remote.info.name, "identity": remote.publisher_identity}
        self.event("data_track_published", **names)

    async def join(self, request):
        self.watch()
        options = rtc.RoomOptions(auto_subscribe=True)
        if passphrase := request.get("passphrase"):
            keys = rtc.KeyProviderOptions(shared_key=passphrase.encode())
            options.encryption = rtc.E2EEOptions(key_provider_options=keys)
        elif request.get("participant_keys") is not None:
            options.encryption = rtc.E2EEOptions()
        await self.room.connect(request["url"], request["token"], options)
        for identity, passphrase in (request.get("participant_keys") or {}).items():
            self.room.e2ee_manager.key_provider.set_key(identity, passphrase.encode(), 0)
        return await self.state(request)

    async def set_shared_key(self, request):
        manager = self.room.e2ee_manager
        manager.key_provider.set_shared_key(request["passphrase"].encode(), request["index"])
        for cryptor in manager.frame_cryptors():
            cryptor.set_key_index(request["index"])

    async def ratchet_shared_key(self, request):
        self.room.e2ee_manager.key_provider.ratchet_shared_key(request["index"])

    async def state(self, _request):
        room = self.room
        return {
            "room": room.name,
            "metadata": room.metadata,
            "me": participant(room.local_participant),
            "others": [participant(p) for p in room.remote_participants.values()],
        }

    async def send(self, request):
        await self.room.local_participant.publish_data(
            base64.b64decode(request["payload"]),
            reliable=request["reliable"],
            destination_identities=request["destinations"],
            topic=request["topic"] or "",
        )

    async def send_text(self, request):
        info = await self.room.local_participant.send_text(
            request["text"], reply_to_id=request["reply_to"], **stream_options(request)
        )
        return {"id": info.stream_id}

    async def stream_text(self, request):
        writer = await self.room.local_participant.stream_text(
            reply_to_id=request["reply_to"], **stream_options(request)
        )
        for part in request["parts"]:
            await writer.write(part)
        await writer.aclose()
        return {"id": writer.info.stream_id}

    async def send_bytes(self, request):
        info = await self.room.local_participant.send_bytes(
            base64.b64decode(request["payload"]), **named_options(request)
        )
        return {"id": info.stream_id}

    async def stream_bytes(self, request):
        writer = await self.room.local_participant.stream_bytes(**named_options(request))
        for part in request["parts"]:
            await writer.write(base64.b64decode(part))
        await writer.aclose()
        return {"id": writer.info.stream_id}

    async def send_file(self, request):
        # The SDK takes the name from the path, and the type from the name.
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, os.path.basename(request["name"] or "unknown"))
            with open(path, "wb") as file:
                file.write(base64.b64decode(request["payload"]))
            await self.room.local_participant.send_file(path, **stream_options(request))

    async def register_text_streams(self, request):
        def handle(reader, identity):
            spawn(self.receive("text_stream", reader, identity, self.read_text))

        self.room.register_text_stream_handler(request["topic"], handle)

    async def register_byte_streams(self, request):
        def handle(reader, identity):
            spawn(self.receive("byte_stream", reader, identity, self.read_bytes))

        self.room.register_byte_stream_handler(request["topic"], handle)

    async def read_text(self, reader):
        return {"text": await reader.read_all()}

    async def read_bytes(self, reader):
        parts = [part async for part in reader]
        info = reader.info
        return {"name": info.name, "mime_type": info.mime_type, "payload": base64.b64encode(b"".join(parts)).decode()}

    async def receive(self, event, reader, identity, read):
        stream = {"identity": identity, "topic": reader.info.topic, "id": reader.info.stream_id}
        try:
            content = await read(reader)
        except Exception as error:  # whatever it is, the other side waits for an event
            self.event("stream_failed", **stream, error=f"{type(error).__name__}: {error}")
        else:
            # Now, as the end of a stream may add attributes.
            self.event(event, **stream, attributes=dict(reader.info.attributes or {}), **content)

    async def perform_rpc(self, request):
        names = ("destination_identity", "method", "payload", "response_timeout")
        try:
            payload = await self.room.local_participant.perform_rpc(**{name: request[name] for name in names})
        except rtc.RpcError as error:
            # Its text has no code.
            return {"code": error.code, "message": error.message, "data": error.data}
        return {"payload": payload}

    async def register_rpc(self, request):
        behaviour = request["behaviour"]

        async def handle(call):
            length = len(call.payload.encode())
            self.event("rpc_called", method=request["method"], caller=call.caller_identity, payload_len=length)
            match behaviour["kind"]:
                case "echo":
                    return call.payload
                case "answer":
                    return "x" * behaviour["len"]
                case "fail":
                    raise rtc.RpcError(behaviour["code"], behaviour["message"], behaviour["data"])
                case "throw":
                    raise ValueError("thrown by the method")
                case "silent":
                    await asyncio.Event().wait()

        self.room.local_participant.register_rpc_method(request["method"], handle)

    async def publish_data_track(self, request):
        local = await self.room.local_participant.publish_data_track(name=request["name"])
        self.data_tracks[local.info.sid] = local
        return {"sid": local.info.sid}

    async def push_data_frame(self, request):
        frame = rtc.DataTrackFrame(base64.b64decode(request["payload"]), request["user_timestamp"])
        self.data_tracks[request["sid"]].try_push(frame)

    async def unpublish_data_track(self, request):
        await self.data_tracks.pop(request["sid"]).unpublish()

    async def subscribe_data_track(self, request):
        sid = request["sid"]
        stream = self.remote_data_tracks[sid].subscribe()

        async def read():
            async for frame in stream:
                payload = base64.b64encode(frame.payload).decode()
                self.event("data_frame", sid=sid, payload=payload, user_timestamp=frame.user_timestamp)

        spawn(read())

    async def publish_dtmf(self, request):
        await self.room.local_participant.publish_dtmf(code=request["code"], digit=request["digit"])

    async def publish_transcription(self, request):
        segment = rtc.TranscriptionSegment(
            id=request["segment_id"], text=request["text"], start_time=0, end_time=0, language="", final=True
        )
        await self.room.local_participant.publish_transcription(
            rtc.Transcription(request["speaker"], request["track_sid"], [segment])
        )

    async def send_chat_message(self, _request):
        raise NotImplementedError("the Python SDK has no chat messages")

    async def set_attributes(self, request):
        await self.room.local_participant.set_attributes(request["attributes"])

    async def set_metadata(self, request):
        await self.room.local_participant.set_metadata(request["metadata"])

    async def set_name(self, request):
        await self.room.local_participant.set_name(request["name"])

    async def publish_audio(self, request):
        return await self.publish(request["name"], Tone(RATE, [request["hertz"]], -8.7), "microphone", {})

    async def publish_sound(self, request):
        if request["wav"] is not None:
            sound = Recording(request["wav"])
        else:
            sound = Tone(request["sample_rate"], request["hertz"], request["dbfs"])
        # What is not set gets the SDK's default.
        options = {name: request[name] for name in ("dtx", "red") if request[name] is not None}
        return await self.publish(request["name"], sound, request["source"], options)

    async def publish_video(self, request):
        width, height = request["width"], request["height"]
        source = rtc.VideoSource(width, height)
        local = rtc.LocalVideoTrack.create_video_track(request["name"], source)
        # What is not set gets the SDK's default.
        options = {name: request[name] for name in ("simulcast",) if request[name] is not None}
        if request["codec"] is not None:
            options["video_codec"] = rtc.VideoCodec.Value(request["codec"])
        publication = await self.room.local_participant.publish_track(
            local, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, **options)
        )
        feeding = asyncio.ensure_future(feed_pictures(source, width, height, request["fps"]))
        self.published[publication.sid] = (publication, feeding)
        return {"sid": publication.sid}

    async def publish_flashes(self, request):
        width, height = request["width"], request["height"]
        # Without a queue: what is captured is sent at once, as pictures are.
        pictures, sound = rtc.VideoSource(width, height), rtc.AudioSource(RATE, 1, queue_size_ms=0)
        camera = rtc.LocalVideoTrack.create_video_track("camera", pictures)
        microphone = rtc.LocalAudioTrack.create_audio_track("microphone", sound)
        codec = rtc.VideoCodec.Value(request["codec"])
        publish = self.room.local_participant.publish_track
        shown = await publish(
            camera,
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA, video_codec=codec, simulcast=request["simulcast"]
            ),
        )
        # Silence is sent, too, so that the sound has an end.
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        played = await publish(microphone, options)
        feeding = asyncio.ensure_future(feed_flashes(pictures, sound, width, height, request["fps"]))
        for publication in (shown, played):
            self.published[publication.sid] = (publication, feeding)
        return {"video": shown.sid, "audio": played.sid}

    async def watch_track(self, request):
        sid = request["sid"]
        for participant in self.room.remote_participants.values():
            publication = participant.track_publications.get(sid)
            if publication and publication.track:
                stream = rtc.VideoStream(publication.track)
                self.watching.append(stream)
                spawn(self.see(stream, participant.identity, sid))
                return
        raise ValueError(f"no track {sid} is subscribed")

    async def see(self, stream, identity, sid):
        """Tells of every few pictures, decoded, how large and how bright the last one is."""
        frames = 0
        async for event in stream:
            frames += 1
            if frames % SEEN == 0:
                frame = event.frame.convert(rtc.VideoBufferType.I420)
                size = frame.width * frame.height
                quarter = -(-frame.width // 2) * -(-frame.height // 2)
                data = bytes(frame.data)
                planes = data[:size], data[size : size + quarter], data[size + quarter : size + 2 * quarter]
                luma, blue, red = (sum(plane) / len(plane) for plane in planes)
                self.event(
                    "seen",
                    identity=identity,
                    sid=sid,
                    frames=frames,
                    width=frame.width,
                    height=frame.height,
                    luma=luma,
                    blue=blue,
                    red=red,
                )

    async def publish(self, name, sound, source_name, options):
        source = rtc.AudioSource(sound.rate, sound.channels)
        local = rtc.LocalAudioTrack.create_audio_track(name, source)
        kind = rtc.TrackSource.Value("SOURCE_" + source_name.upper())
        publication = await self.room.local_participant.publish_track(
            local, rtc.TrackPublishOptions(source=kind, **options)
        )
        ended = functools.partial(self.event, "sound_ended", sid=publication.sid)
        feeding = asyncio.ensure_future(feed(source, sound, ended))
        self.published[publication.sid] = (publication, feeding)
        return {"sid": publication.sid}

    async def mute(self, request):
        publication, _ = self.published[request["sid"]]
        if request["muted"]:
            publication.track.mute()
        else:
            publication.track.unmute()

    async def unpublish(self, request):
        _, feeding = self.published.pop(request["sid"])
        feeding.cancel()
        await self.room.local_participant.unpublish_track(request["sid"])

    async def listen(self, request):
        sid = request["sid"]
        for participant in self.room.remote_participants.values():
            publication = participant.track_publications.get(sid)
            if publication and publication.track:
                stream = rtc.AudioStream(publication.track, sample_rate=HEARD_RATE, num_channels=1)
                self.listening.append(stream)
                spawn(self.hear(stream, participant.identity, sid))
                return
        raise ValueError(f"no track {sid} is subscribed")

    async def hear(self, stream, identity, sid):
        """Tells of each second what it sounds like."""
        heard = []
        async for event in stream:
            heard.append(array.array("h", bytes(event.frame.data)))
            if len(heard) == 100:
                energies = [sum(map(operator.mul, block, block)) / len(block) for block in heard]
                level = 10 * math.log10(max(sum(energies) / len(energies), 1e-3) / 32768**2)
                self.event(
                    "heard",
                    identity=identity,
                    sid=sid,
                    hertz=frequency([sample for block in heard for sample in block]),
                    dbfs=level,
                    blocks=len(heard),
                    silent_blocks=sum(energy < SILENT**2 for energy in energies),
                )
                heard.clear()

    async def leave(self, _request):
        for _, feeding in self.published.values():
            feeding.cancel()
        self.published.clear()
        for stream in self.listening:
            await stream.aclose()
        self.listening.clear()
        for stream in self.watching:
            await stream.aclose()
        self.watching.clear()
        clients.pop(self.number, None)
        await self.room.disconnect()


def stream_options(request):
    return {
        "topic": request["topic"],
        "destination_identities": request["destinations"],
        "attributes": request["attributes"],
    }


def named_options(request):
    # What is not set gets the SDK's default.
    named = {name: request[name] for name in ("name", "mime_type") if request[name] is not None}
    return {"name": "unknown", **named, **stream_options(request)}


class Tone:
    """A sine in each channel, with its peak at this level; silence at 0 Hz. It has no end."""

    def __init__(self, rate, hertz, dbfs):
        if rate <= 0 or rate % 100:
            raise ValueError(f"{rate} Hz is no multiple of 100 Hz")
        self.rate, self.channels = rate, len(hertz)
        peak = 32767 * 10 ** (dbfs / 20)
        # After so many samples all sines begin again.
        self.length = rate // math.gcd(rate, *hertz)
        samples = (
            round(peak * math.sin(2 * math.pi * tone * i / rate)) for i in range(self.length) for tone in hertz
        )
        period = struct.pack(f"<{self.length * self.channels}h", *samples)
        # Any frame is one piece of it.
        self.samples = period * (1 + math.ceil(rate / 100 / self.length))

    def frame(self, at, count):
        begin, size = at % self.length * 2 * self.channels, count * 2 * self.channels
        return self.samples[begin : begin + size]


class Recording:
    """A WAV file of 16 bits, once."""

    def __init__(self, path):
        with wave.open(path, "rb") as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{path} has samples of {8 * file.getsampwidth()} bits, not of 16")
            self.rate, self.channels = file.getframerate(), file.getnchannels()
            self.samples = file.readframes(file.getnframes())

    def frame(self, at, count):
        size = 2 * self.channels
        data = self.samples[at * size : (at + count) * size]
        return data.ljust(count * size, b"\0") if data else None


async def feed(source, sound, ended):
    """Feeds frames of 10 ms, and silence after the end of the sound; the source itself keeps the pace."""
    count = sound.rate // 100
    silence = bytes(2 * count * sound.channels)
    at = 0
    while True:
        data = sound.frame(at, count) if sound else None
        if data is None and sound:
            await source.wait_for_playout()
            ended()
            sound = None
        at += count
        frame = rtc.AudioFrame(data or silence, source.sample_rate, source.num_channels, count)
        await source.capture_frame(frame)


async def feed_pictures(source, width, height, fps):
    """Feeds pictures of noise that moves, each a bit brighter than the one before, up to a limit."""
    loop = asyncio.get_running_loop()
    noise = random.Random(1).randbytes(width * height + 4096)
    # Amplitudes of 16 steps, at 16 levels of brightness.
    shades = [bytes(40 + 8 * level + value // 16 for value in range(256)) for level in range(16)]
    chroma = bytes([128]) * (width * height // 2)
    begin, at = loop.time(), 0
    while True:
        start = at * 7 % 4096
        luma = noise[start : start + width * height].translate(shades[at // 10 % 16])
        frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, luma + chroma)
        source.capture_frame(frame)
        at += 1
        await asyncio.sleep(max(0, begin + at / fps - loop.time()))


async def feed_flashes(pictures, sound, width, height, fps):
    """Black and silence; the first tenth of each second is white, and a tone of 1 kHz."""
    loop = asyncio.get_running_loop()
    size, chroma = width * height, bytes([128]) * (width * height // 2)
    black, white = bytes([16]) * size + chroma, bytes([235]) * size + chroma
    count = RATE // 100
    tone, silence = Tone(RATE, [1000], -8.7).frame(0, count), bytes(2 * count)
    begin, shown, played = loop.time(), 0, 0
    while True:
        next_picture, next_sound = shown / fps, played / 100
        await asyncio.sleep(max(0, begin + min(next_picture, next_sound) - loop.time()))
        if next_picture <= next_sound:
            data = white if next_picture % 1 < 0.0999 else black
            pictures.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data))
            shown += 1
        else:
            data = tone if played % 100 < 10 else silence
            await sound.capture_frame(rtc.AudioFrame(data, RATE, 1, count))
            played += 1


def frequency(samples):
    """The frequency of a tone, from the times at which it rises through zero; 0 without any."""
    high = max(max(samples) // 2, 1)
    rises, low = [], False
    for at, sample in enumerate(samples):
        if sample <= -high:
            low = True
        elif low and sample >= high:
            low = False
            rises.append(at)
    if len(rises) < 2:
        return 0.0
    return (len(rises) - 1) * HEARD_RATE / (rises[-1] - rises[0])


clients = {}
OPERATIONS = {
    name: getattr(Client, name)
    for name in (
        "join state send send_text stream_text send_bytes stream_bytes send_file register_text_streams"
        " register_byte_streams perform_rpc register_rpc publish_dtmf publish_transcription send_chat_message"
        " set_attributes set_metadata set_name publish_audio publish_sound publish_video publish_flashes mute unpublish listen"
        " watch_track set_shared_key ratchet_shared_key leave"
        " publish_data_track push_data_frame unpublish_data_track subscribe_data_track"
    ).split()
}


async def create_dispatches(request):
    # Here, as it takes long and only few want it.
    from livekit import api

    async with api.LiveKitAPI(request["url"], request["api_key"], request["api_secret"]) as client:
        create = client.agent_dispatch.create_dispatch
        answers = await asyncio.gather(*(create(api.CreateAgentDispatchRequest(**r)) for r in request["requests"]))
    names = ("id", "agent_name", "room", "metadata")
    return {"dispatches": [{name: getattr(a, name) for name in names} for a in answers]}


async def handle(request):
    try:
        number = request["client"]
        if request["op"] == "create_dispatches":
            return tell({"re": request["id"], "ok": await create_dispatches(request)})
        if request["op"] == "join":
            clients[number] = Client(number)
        answer = await OPERATIONS[request["op"]](clients[number], request)
        tell({"re": request["id"], "ok": answer or {}})
    except Exception as error:  # whatever it is, the other side waits for an answer
        tell({"re": request["id"], "error": f"{type(error).__name__}: {error}"})


RUNNING = set()


def spawn(work):
    # The loop itself keeps no task alive.
    task = asyncio.ensure_future(work)
    RUNNING.add(task)
    task.add_done_callback(RUNNING.discard)


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        # No farewell to the server: whoever wants one leaves first. The SDK's threads would hold up a plain exit.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    tell({"event": "ready"})
    while True:
        spawn(handle(json.loads(await lines.get())))


asyncio.run(main())
