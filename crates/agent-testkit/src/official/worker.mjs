// LiveKit's own Node.js worker. Its handler tells the job on stdout, as one JSON line, and ends.
//
// Server, credentials and agent name are in the environment (LIVEKIT_*). The worker's log is on stdout too.

import { AgentServer, ServerOptions, defineAgent, initializeLogger } from '@livekit/agents';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export default defineAgent({
  entry: async (ctx) => {
    const { id, room, metadata } = ctx.job;
    // In one write: jobs are processes that share the pipe.
    writeSync(1, `${JSON.stringify({ event: 'job', job_id: id, room: room?.name ?? '', metadata })}\n`);
    ctx.shutdown();
  },
});

// Processes for jobs import this file too; they have a channel to their parent.
if (process.send === undefined) {
  initializeLogger({ pretty: false, level: 'info' });
  const options = new ServerOptions({
    agent: fileURLToPath(import.meta.url),
    agentName: process.env.LIVEKIT_AGENT_NAME,
    wsURL: process.env.LIVEKIT_URL,
    // The real one would take a busy test machine out of the server's choice.
    loadFunc: async () => 0,
    loadThreshold: Infinity,
    numIdleProcesses: 2,
    initializeProcessTimeout: 60_000, // for a busy test machine
    host: '127.0.0.1',
    production: true,
  });
  // The constructor takes 0 for no port, and gives its own.
  options.port = 0;
  await new AgentServer(options).run();
}
