// Participants of LiveKit's Node.js SDK, driven by JSON lines: those of host.py. The process ends when stdin closes.
// What client.js defines comes before this.

import * as rtc from '@livekit/rtc-node';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const RATE = 48000;
const FRAME = RATE / 100; // 10 ms

const sdk = {
  Room: rtc.Room,
  RpcError: rtc.RpcError,
  DisconnectReason: rtc.DisconnectReason,
  RELIABLE: rtc.DataPacketKind.KIND_RELIABLE,
  DTMF: 'dtmfReceived',
  REPLIES: false,
  dtmf: (args) => args,
  toBase64: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
  fromBase64: (text) => new Uint8Array(Buffer.from(text, 'base64')),
  isAgent: (participant) => participant.kind === rtc.ParticipantKind.AGENT,
  trackSid: (publication) => publication.sid ?? '',
  trackName: (publication) => publication.name ?? '',
  trackKind: (publication) => (publication.kind === rtc.TrackKind.KIND_AUDIO ? 'audio' : 'video'),
  trackMuted: (publication) => publication.muted ?? false,
  publishData: (me, bytes, reliable, topic, destinations) =>
    me.publishData(bytes, { reliable, topic, destination_identities: destinations }),
  setMetadata: (me, metadata) => me.updateMetadata(metadata),
  setName: (me, name) => me.updateName(name),
  registerRpc: (room, method, handler) => room.localParticipant.registerRpcMethod(method, handler),

  // It has no call that sends bytes at once.
  async sendBytes(me, bytes, options) {
    const writer = await me.streamBytes({ ...options, totalSize: bytes.length });
    if (bytes.length) await writer.write(bytes);
    await writer.close();
    return writer.info.streamId;
  },

  async sendFile(me, bytes, options) {
    const folder = await mkdtemp(join(tmpdir(), 'file-'));
    try {
      const path = join(folder, randomUUID());
      await writeFile(path, bytes);
      await me.sendFile(path, options);
    } finally {
      await rm(folder, { recursive: true });
    }
  },

  async publishAudio(me, name, hertz) {
    const source = new rtc.AudioSource(RATE, 1);
    const track = rtc.LocalAudioTrack.createAudioTrack(name, source);
    const options = new rtc.TrackPublishOptions({ source: rtc.TrackSource.SOURCE_MICROPHONE });
    const publication = await me.publishTrack(track, options);
    let fed = true;
    feed(source, hertz, () => fed).catch((error) => console.error(error));
    return { publication, stop: () => (fed = false) };
  },

  async mute() {
    throw new Error('the Node.js SDK does not mute its tracks');
  },

  unpublish: (me, publication) => me.unpublishTrack(publication.sid),
};

// Feeds a tone, or silence at 0 Hz; the source itself keeps the pace.
async function feed(source, hertz, fed) {
  for (let at = 0; fed(); at += FRAME) {
    const wave = (_, i) => 12000 * Math.sin((2 * Math.PI * hertz * (at + i)) / RATE);
    await source.captureFrame(new rtc.AudioFrame(Int16Array.from({ length: FRAME }, wave), RATE, 1, FRAME));
  }
}

// Whatever a library prints ends up on stderr.
const out = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const tell = (message) => out(`${JSON.stringify(message)}\n`);

// One failed promise of a library must not end all clients.
process.on('unhandledRejection', (error) => console.error(error));

const handle = host(sdk, tell);
createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', handle)
  // No farewell to the server: whoever wants one leaves first.
  .on('close', () => process.exit(0));
tell({ event: 'ready' });
