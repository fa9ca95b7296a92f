// The page of browser.mjs: participants of LiveKit's JavaScript SDK. What client.js defines comes before this.

const rtc = LivekitClient;
rtc.setLogLevel('warn');

// How many pictures are seen until the next report of them.
const SEEN = 10;

class SharedKeys extends rtc.ExternalE2EEKeyProvider {
  // Of the key that is set next.
  index = 0;

  onSetEncryptionKey(key) {
    super.onSetEncryptionKey(key, undefined, this.index);
  }

  async set(passphrase, index) {
    this.index = index;
    await this.setKey(passphrase);
  }
}

const sdk = {
  Room: rtc.Room,
  RpcError: rtc.RpcError,
  async encryptedRoom(passphrase) {
    const keyProvider = new SharedKeys();
    await keyProvider.set(passphrase, 0);
    const room = new rtc.Room({ encryption: { keyProvider, worker: new Worker('e2ee.js') } });
    await room.setE2EEEnabled(true);
    return { room, keys: keyProvider };
  },
  DisconnectReason: rtc.DisconnectReason,
  RELIABLE: rtc.DataPacket_Kind.RELIABLE,
  DTMF: 'sipDTMFReceived',
  REPLIES: true,
  dtmf: ([{ code, digit }, participant]) => [code, digit, participant],
  toBase64: (bytes) => bytes.toBase64(),
  fromBase64: (text) => Uint8Array.fromBase64(text),
  isAgent: (participant) => participant.isAgent,
  trackSid: (publication) => publication.trackSid,
  trackName: (publication) => publication.trackName,
  trackKind: (publication) => publication.kind,
  trackMuted: (publication) => publication.isMuted,
  publishData: (me, bytes, reliable, topic, destinationIdentities) =>
    me.publishData(bytes, { reliable, topic, destinationIdentities }),
  setMetadata: (me, metadata) => me.setMetadata(metadata),
  setName: (me, name) => me.setName(name),
  registerRpc: (room, method, handler) => room.registerRpcMethod(method, handler),
  sendBytes: async (me, bytes, options) => (await me.sendBytes(bytes, options)).id,
  sendFile: (me, bytes, { name = 'unknown', mimeType, ...options }) =>
    me.sendFile(new File([bytes], name, { type: mimeType }), { mimeType, ...options }),

  async publishAudio(me, name, hertz) {
    const context = new AudioContext();
    const sound = new OscillatorNode(context, { frequency: hertz || 440 });
    const volume = new GainNode(context, { gain: hertz ? 0.4 : 0 });
    const out = new MediaStreamAudioDestinationNode(context);
    sound.connect(volume).connect(out);
    sound.start();
    const [track] = out.stream.getAudioTracks();
    const publication = await me.publishTrack(track, { name, source: rtc.Track.Source.Microphone });
    return { publication, stop: () => context.close() };
  },

  // Orange, with a black square that moves, as a picture that does not change is sent rarely.
  async publishVideo(me, { name, codec, width, height, fps, simulcast }) {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width, height });
    const context = canvas.getContext('2d');
    let number = 0;
    const draw = () => {
      context.fillStyle = '#ffa500';
      context.fillRect(0, 0, width, height);
      context.fillStyle = '#000';
      context.fillRect((8 * number++) % width, 0, 8, 8);
    };
    draw();
    const drawing = setInterval(draw, 1000 / fps);
    const [track] = canvas.captureStream(fps).getVideoTracks();
    const source = rtc.Track.Source.Camera;
    const publication = await me.publishTrack(track, { name, source, simulcast, videoCodec: codec.toLowerCase() });
    return { publication, stop: () => clearInterval(drawing) };
  },

  // The size of every few pictures, decoded, and their mean color (BT.601).
  watch(track, tell) {
    const video = track.attach();
    document.body.append(video);
    const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    let frames = 0;
    const see = () => {
      frames += 1;
      if (frames % SEEN === 0) {
        context.drawImage(video, 0, 0, 1, 1);
        const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
        tell({
          frames,
          width: video.videoWidth,
          height: video.videoHeight,
          luma: 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255,
          blue: 128 + (-37.797 * r - 74.203 * g + 112 * b) / 255,
          red: 128 + (112 * r - 93.786 * g - 18.214 * b) / 255,
        });
      }
      video.requestVideoFrameCallback(see);
    };
    video.requestVideoFrameCallback(see);
  },

  async audioEnergy(track) {
    // Nothing is decoded that nobody plays.
    if (track.attachedElements.length === 0) track.attach();
    const report = await track.getRTCStatsReport();
    const inbound = [...(report?.values() ?? [])].find(({ type }) => type === 'inbound-rtp');
    return inbound?.totalAudioEnergy ?? 0;
  },

  mute: (publication, muted) => (muted ? publication.mute() : publication.unmute()),
  unpublish: (me, publication) => me.unpublishTrack(publication.track),
};

const tell = (message) => tellHost(JSON.stringify(message));
const handle = host(sdk, tell);
tell({ event: 'ready' });
