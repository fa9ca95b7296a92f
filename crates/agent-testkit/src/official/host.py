"""Participants of LiveKit's Python SDK, driven by JSON lines on stdin, telling by JSON lines on stdout.

One process holds many clients. A request is {"id": n, "op": ..., "client": k, ...} and gets exactly one answer,
{"re": n, "ok": {...}} or {"re": n, "error": text}. Events are {"client": k, "event": ..., ...}. Bytes are base64.
The process ends when stdin closes.
"""

import asyncio
import base64
import json
import math
import os
import struct
import sys
import threading

from livekit import rtc

RATE = 48000
FRAME = RATE // 100  # 10 ms

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

    def event(self, event, /, **fields):
        tell({"client": self.number, "event": event, **fields})

    def listen(self):
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

    async def join(self, request):
        self.listen()
        await self.room.connect(request["url"], request["token"], rtc.RoomOptions(auto_subscribe=True))
        return await self.state(request)

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
        await self.room.local_participant.send_text(request["text"], topic=request["topic"])

    async def perform_rpc(self, request):
        names = ("destination_identity", "method", "payload")
        try:
            payload = await self.room.local_participant.perform_rpc(**{name: request[name] for name in names})
        except rtc.RpcError as error:
            # Its text has no code.
            return {"code": error.code, "message": error.message}
        return {"payload": payload}

    async def set_attributes(self, request):
        await self.room.local_participant.set_attributes(request["attributes"])

    async def set_metadata(self, request):
        await self.room.local_participant.set_metadata(request["metadata"])

    async def set_name(self, request):
        await self.room.local_participant.set_name(request["name"])

    async def publish_audio(self, request):
        source = rtc.AudioSource(RATE, 1)
        local = rtc.LocalAudioTrack.create_audio_track(request["name"], source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(local, options)
        feeding = asyncio.ensure_future(feed(source, request["hertz"]))
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

    async def leave(self, _request):
        for _, feeding in self.published.values():
            feeding.cancel()
        self.published.clear()
        clients.pop(self.number, None)
        await self.room.disconnect()


async def feed(source, hertz):
    """Feeds a tone, or silence at 0 Hz; the source itself keeps the pace."""
    at = 0
    while True:
        if hertz:
            wave = (int(12000 * math.sin(2 * math.pi * hertz * (at + i) / RATE)) for i in range(FRAME))
            data = struct.pack(f"<{FRAME}h", *wave)
        else:
            data = bytes(2 * FRAME)
        at += FRAME
        await source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))


clients = {}
OPERATIONS = {
    name: getattr(Client, name)
    for name in (
        "join send send_text perform_rpc set_attributes set_metadata set_name publish_audio mute unpublish leave state".split()
    )
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
    running = set()
    while True:
        task = asyncio.ensure_future(handle(json.loads(await lines.get())))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
