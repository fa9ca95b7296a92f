// The page of browser.mjs: participants of LiveKit's JavaScript SDK. What client.js defines comes before this.

const rtc = LivekitClient;
rtc.setLogLevel('warn');

const sdk = {
  Room: rtc.Room,
  RpcError: rtc.RpcError,
  async encryptedRoom(passphrase) {
    const keyProvider = new rtc.ExternalE2EEKeyProvider();
    await keyProvider.setKey(passphrase);
    const room = new rtc.Room({ encryption: { keyProvider, worker: new Worker('e2ee.js') } });
    await room.setE2EEEnabled(true);
    return room;
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
