// A participant of one of LiveKit's JavaScript SDKs, for the hosts of Node.js and of the browser: `sdk` is what
// differs between the two. The lines are those of host.py.

class Client {
  constructor(number, sdk, tell) {
    this.sdk = sdk;
    this.number = number;
    this.tell = tell;
    this.room = new sdk.Room();
    this.published = new Map(); // track sid -> what stops its sound
  }

  event(event, fields) {
    this.tell({ client: this.number, event, ...fields });
  }

  get me() {
    return this.room.localParticipant;
  }

  listen() {
    const { room, sdk } = this;
    const on = (name, event, fields) => room.on(name, (...args) => this.event(event, fields(...args)));
    const identity = (participant) => participant?.identity ?? '';
    const track = (publication, participant) => ({
      identity: identity(participant),
      track: this.track(publication),
    });
    on('participantConnected', 'participant_connected', (p) => ({ participant: this.participant(p) }));
    on('participantDisconnected', 'participant_disconnected', (p) => ({
      identity: p.identity,
      reason: this.reason(p.disconnectReason),
    }));
    on('participantAttributesChanged', 'attributes_changed', (changed, p) => ({
      identity: p.identity,
      changed,
      attributes: p.attributes,
    }));
    on('participantMetadataChanged', 'metadata_changed', (_old, p) => ({
      identity: p.identity,
      metadata: p.metadata ?? '',
    }));
    on('participantNameChanged', 'name_changed', (name, p) => ({ identity: p.identity, name }));
    on('roomMetadataChanged', 'room_metadata_changed', (metadata) => ({ metadata }));
    on('trackPublished', 'track_published', track);
    on('trackUnpublished', 'track_unpublished', track);
    on('trackSubscribed', 'track_subscribed', (_track, publication, p) => track(publication, p));
    on('trackUnsubscribed', 'track_unsubscribed', (_track, publication, p) => track(publication, p));
    on('trackMuted', 'track_muted', track);
    on('trackUnmuted', 'track_unmuted', track);
    on('activeSpeakersChanged', 'active_speakers', (ps) => ({ identities: ps.map(identity) }));
    on('reconnecting', 'reconnecting', () => ({}));
    on('reconnected', 'reconnected', () => ({}));
    on('disconnected', 'disconnected', (reason) => ({ reason: this.reason(reason) }));
    on('dataReceived', 'data', (payload, p, kind, topic) => ({
      identity: p?.identity ?? null,
      topic: topic || null,
      reliable: kind === sdk.RELIABLE,
      payload: sdk.toBase64(payload),
    }));
    on('chatMessage', 'chat_message', ({ id, message }, p) => ({ identity: identity(p), id, message }));
    room.on(sdk.DTMF, (...args) => {
      const [code, digit, p] = sdk.dtmf(args);
      this.event('dtmf', { identity: identity(p), code, digit });
    });
    // Only the browser's SDK has it.
    on('transcriptionReceived', 'transcription_received', (segments, p, publication) => ({
      identity: identity(p),
      track_sid: publication?.trackSid ?? '',
      segments: segments.map(({ id, text, final, language }) => ({ id, text, final, language })),
    }));
  }

  reason(reason) {
    return this.sdk.DisconnectReason[reason] ?? '';
  }

  participant(p) {
    return {
      identity: p.identity,
      sid: p.sid,
      name: p.name ?? '',
      metadata: p.metadata ?? '',
      attributes: p.attributes,
      agent: this.sdk.isAgent(p),
      tracks: [...p.trackPublications.values()].map((publication) => this.track(publication)),
    };
  }

  track(publication) {
    return {
      sid: this.sdk.trackSid(publication),
      name: this.sdk.trackName(publication),
      kind: this.sdk.trackKind(publication),
      muted: this.sdk.trackMuted(publication),
    };
  }

  async join({ url, token, passphrase }) {
    if (passphrase) {
      if (!this.sdk.encryptedRoom) throw new Error('this host does not encrypt');
      ({ room: this.room, keys: this.keys } = await this.sdk.encryptedRoom(passphrase));
    }
    this.listen();
    await this.room.connect(url, token, { autoSubscribe: true });
    return this.state();
  }

  async set_shared_key({ passphrase, index }) {
    await this.keys.set(passphrase, index);
  }

  async ratchet_shared_key({ index }) {
    this.keys.ratchetKey(undefined, index);
  }

  async state() {
    const { room } = this;
    return {
      room: room.name,
      metadata: room.metadata ?? '',
      me: this.participant(this.me),
      others: [...room.remoteParticipants.values()].map((p) => this.participant(p)),
    };
  }

  async send({ payload, topic, reliable, destinations }) {
    await this.sdk.publishData(this.me, this.sdk.fromBase64(payload), reliable, topic ?? '', destinations);
  }

  async send_text(request) {
    if (request.reply_to) throw new Error('this SDK sends replies only as streams that are written in parts');
    const { id, streamId } = await this.me.sendText(request.text, options(request));
    return { id: id ?? streamId };
  }

  async stream_text(request) {
    if (request.reply_to && !this.sdk.REPLIES) throw new Error('this SDK sends no replies');
    const writer = await this.me.streamText({ ...options(request), replyToStreamId: request.reply_to ?? undefined });
    return this.write(writer, request.parts);
  }

  async send_bytes(request) {
    return { id: await this.sdk.sendBytes(this.me, this.sdk.fromBase64(request.payload), options(request)) };
  }

  async stream_bytes(request) {
    const writer = await this.me.streamBytes(options(request));
    return this.write(
      writer,
      request.parts.map((part) => this.sdk.fromBase64(part)),
    );
  }

  async write(writer, parts) {
    for (const part of parts) await writer.write(part);
    await writer.close();
    return { id: writer.info.id ?? writer.info.streamId };
  }

  async send_file(request) {
    await this.sdk.sendFile(this.me, this.sdk.fromBase64(request.payload), options(request));
  }

  async register_text_streams({ topic }) {
    this.room.registerTextStreamHandler(topic, (reader, { identity }) =>
      this.receive('text_stream', reader, identity, async () => ({ text: await reader.readAll() })),
    );
  }

  async register_byte_streams({ topic }) {
    this.room.registerByteStreamHandler(topic, (reader, { identity }) =>
      this.receive('byte_stream', reader, identity, async () => ({
        payload: this.sdk.toBase64(joined(await reader.readAll())),
        name: reader.info.name,
        mime_type: reader.info.mimeType,
      })),
    );
  }

  async receive(event, reader, identity, read) {
    const stream = { identity, topic: reader.info.topic, id: reader.info.id ?? reader.info.streamId };
    try {
      const content = await read();
      // After the content, as the end of a stream may add attributes.
      this.event(event, { ...stream, attributes: reader.info.attributes ?? {}, ...content });
    } catch (error) {
      this.event('stream_failed', { ...stream, error: String(error) });
    }
  }

  async perform_rpc({ destination_identity, method, payload, response_timeout }) {
    const call = { destinationIdentity: destination_identity, method, payload };
    if (response_timeout !== null) call.responseTimeout = response_timeout * 1000;
    try {
      return { payload: await this.me.performRpc(call) };
    } catch (error) {
      if (!(error instanceof this.sdk.RpcError)) throw error;
      return { code: error.code, message: error.message, data: error.data || null };
    }
  }

  async register_rpc({ method, behaviour }) {
    const { kind, len, code, message, data } = behaviour;
    this.sdk.registerRpc(this.room, method, async ({ callerIdentity, payload }) => {
      this.event('rpc_called', {
        method,
        caller: callerIdentity,
        payload_len: new TextEncoder().encode(payload).length,
      });
      switch (kind) {
        case 'echo':
          return payload;
        case 'answer':
          return 'x'.repeat(len);
        case 'fail':
          throw new this.sdk.RpcError(code, message, data ?? undefined);
        case 'silent':
          return new Promise(() => {});
        default:
          throw new Error('thrown by the method');
      }
    });
  }

  async publish_dtmf({ code, digit }) {
    await this.me.publishDtmf(code, digit);
  }

  async publish_transcription({ speaker, track_sid, segment_id, text }) {
    if (!this.me.publishTranscription) throw new Error('this SDK sends no transcriptions');
    const segment = { id: segment_id, text, startTime: 0n, endTime: 0n, final: true, language: '' };
    await this.me.publishTranscription({ participantIdentity: speaker, trackSid: track_sid, segments: [segment] });
  }

  async send_chat_message({ text }) {
    const { id } = await this.me.sendChatMessage(text);
    return { id };
  }

  async set_attributes({ attributes }) {
    await this.me.setAttributes(attributes);
  }

  async set_metadata({ metadata }) {
    await this.sdk.setMetadata(this.me, metadata);
  }

  async set_name({ name }) {
    await this.sdk.setName(this.me, name);
  }

  async publish_audio({ name, hertz }) {
    const { publication, stop } = await this.sdk.publishAudio(this.me, name, hertz);
    const sid = this.sdk.trackSid(publication);
    this.published.set(sid, { publication, stop });
    return { sid };
  }

  async publish_video(request) {
    if (!this.sdk.publishVideo) throw new Error('this host shows nothing');
    const { publication, stop } = await this.sdk.publishVideo(this.me, request);
    const sid = this.sdk.trackSid(publication);
    this.published.set(sid, { publication, stop });
    return { sid };
  }

  async watch_track({ sid }) {
    if (!this.sdk.watch) throw new Error('this host sees nothing');
    const [publication, identity] = this.publication(sid);
    if (!publication?.track) throw new Error(`no track ${sid} is subscribed`);
    this.sdk.watch(publication.track, (seen) => this.event('seen', { identity, sid, ...seen }));
  }

  async audio_energy({ sid }) {
    const [publication] = this.publication(sid);
    return { energy: publication?.track ? await this.sdk.audioEnergy(publication.track) : 0 };
  }

  // A track of another participant, and whose it is.
  publication(sid) {
    for (const { identity, trackPublications } of this.room.remoteParticipants.values()) {
      for (const publication of trackPublications.values()) {
        if (this.sdk.trackSid(publication) === sid) return [publication, identity];
      }
    }
    return [];
  }

  async mute({ sid, muted }) {
    await this.sdk.mute(this.known(sid).publication, muted);
  }

  async unpublish({ sid }) {
    const { publication, stop } = this.known(sid);
    this.published.delete(sid);
    stop();
    await this.sdk.unpublish(this.me, publication);
  }

  known(sid) {
    const published = this.published.get(sid);
    if (!published) throw new Error(`no track ${sid}`);
    return published;
  }

  async leave() {
    for (const { stop } of this.published.values()) stop();
    this.published.clear();
    await this.room.disconnect();
  }
}

// What is not set gets the SDK's default.
function options({ topic, destinations, attributes, name, mime_type }) {
  const options = { topic, attributes };
  if (destinations.length) options.destinationIdentities = destinations;
  if (name) options.name = name;
  if (mime_type) options.mimeType = mime_type;
  return options;
}

function joined(chunks) {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

// Answers requests, each a line, with `tell`.
function host(sdk, tell) {
  const clients = new Map();
  return async (line) => {
    const { id, op, client: number, ...request } = JSON.parse(line);
    try {
      if (op === 'join') clients.set(number, new Client(number, sdk, tell));
      const client = clients.get(number);
      if (op === 'leave') clients.delete(number);
      tell({ re: id, ok: (await client[op](request)) ?? {} });
    } catch (error) {
      // Whatever it is, the other side waits for an answer.
      tell({ re: id, error: String(error) });
    }
  };
}
