"""LiveKit's own Python worker. Its handler tells the job on stdout, as one JSON line, and ends, or repeats sound.

Server, credentials and agent name are in the environment (LIVEKIT_*); the one argument is the executor, thread or process.
"""

import asyncio
import json
import logging
import os
import sys

from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobExecutorType


async def entrypoint(ctx: JobContext):
    job = ctx.job
    line = json.dumps({"event": "job", "job_id": job.id, "room": job.room.name, "metadata": job.metadata})
    # In one write: jobs are processes that share the pipe.
    os.write(1, f"{line}\n".encode())
    if os.environ.get("AGENT_TEST_ECHO") == "1":
        await echo(ctx)
    ctx.shutdown()


async def echo(ctx: JobContext):
    """Repeats the microphone of the participant that the metadata name; of the first one without any."""
    await ctx.connect()
    participant = await ctx.wait_for_participant(identity=ctx.job.metadata or None)
    microphone = rtc.TrackSource.SOURCE_MICROPHONE
    stream = rtc.AudioStream.from_participant(participant=participant, track_source=microphone)
    source = rtc.AudioSource(48000, 1)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    await ctx.room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=microphone))
    async for event in stream:
        await source.capture_frame(event.frame)


def load():
    # The real one would take a busy test machine out of the server's choice.
    return 0.0


async def main():
    server = AgentServer(
        job_executor_type=JobExecutorType(sys.argv[1]),
        load_fnc=load,
        load_threshold=float("inf"),
        num_idle_processes=2,
        initialize_process_timeout=60.0,  # seconds, for a busy test machine
        host="127.0.0.1",
        port=0,
    )
    server.rtc_session(entrypoint, agent_name=os.environ["LIVEKIT_AGENT_NAME"])
    await server.run()


# Processes for jobs import this file too.
if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main())
