"""LiveKit's own Python worker. Its handler tells the job on stdout, as one JSON line, and ends.

Server, credentials and agent name are in the environment (LIVEKIT_*); the one argument is the executor, thread or process.
"""

import asyncio
import json
import logging
import os
import sys

from livekit.agents import AgentServer, JobContext, JobExecutorType


async def entrypoint(ctx: JobContext):
    job = ctx.job
    line = json.dumps({"event": "job", "job_id": job.id, "room": job.room.name, "metadata": job.metadata})
    # In one write: jobs are processes that share the pipe.
    os.write(1, f"{line}\n".encode())
    ctx.shutdown()


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
