// A headless Chromium with participants of LiveKit's JavaScript SDK, driven by JSON lines: those of host.py, passed on
// to the page and back. Chromium and this process end when stdin closes, or the other one ends.
//
// Arguments: Chromium's program, the SDK's file, and the page's script.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const [chromium, bundle, script] = process.argv.slice(1);

// A page on loopback, as a page of any other origin needs permissions to connect there.
const files = {
  '/': ['text/html', '<!doctype html><meta charset="utf-8"><script src="sdk.js"></script><script src="page.js"></script>'],
  '/sdk.js': ['text/javascript', readFileSync(bundle)],
  '/page.js': ['text/javascript', script],
  // What encrypts and decrypts frames, in a thread of its own.
  '/e2ee.js': ['text/javascript', readFileSync(join(dirname(bundle), 'livekit-client.e2ee.worker.js'))],
};
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? ['text/plain', ''];
  response.setHeader('content-type', `${type}; charset=utf-8`);
  response.end(body);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

// With a pipe, no port is open to others, and Chromium ends when it is closed, which the system does however we end.
const browser = spawn(
  chromium,
  [
    '--headless',
    '--remote-debugging-pipe',
    // It has no rights as root; it loads only our page.
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--no-proxy-server',
    '--disable-background-networking',
    '--disable-component-update',
    '--autoplay-policy=no-user-gesture-required',
    // The server is on loopback, and its candidates are compared with ours by address.
    '--allow-loopback-in-peer-connection',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
    'about:blank',
  ],
  { stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'pipe'] },
);
browser.on('error', (error) => {
  console.error(`${chromium} cannot be started: ${error.message}`);
  process.exit(1);
});
browser.on('exit', (code, signal) => {
  console.error(`Chromium ended: ${signal ?? code}`);
  process.exit(1);
});

// The DevTools protocol: JSON, with a zero byte after each message.
const [commands, messages] = [browser.stdio[3], browser.stdio[4]];
const pending = new Map();
let next = 1;
function call(method, params = {}, sessionId = undefined) {
  const id = next++;
  commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  return new Promise((resolve, reject) => pending.set(id, { resolve, reject, method }));
}

let parts = [];
messages.on('data', (data) => {
  let from = 0;
  for (let end = data.indexOf(0); end >= 0; end = data.indexOf(0, from)) {
    parts.push(data.subarray(from, end));
    take(JSON.parse(Buffer.concat(parts).toString()));
    parts = [];
    from = end + 1;
  }
  parts.push(data.subarray(from));
});

function take({ id, result, error, method, params }) {
  if (id !== undefined) {
    const { resolve, reject, method } = pending.get(id);
    pending.delete(id);
    if (error) reject(new Error(`${method}: ${error.message}`));
    else resolve(result);
  } else if (method === 'Runtime.bindingCalled') {
    process.stdout.write(`${params.payload}\n`);
  } else if (method === 'Runtime.consoleAPICalled') {
    console.error(...params.args.map((arg) => arg.value ?? arg.description));
  } else if (method === 'Runtime.exceptionThrown') {
    const { text, exception } = params.exceptionDetails;
    console.error(text, exception?.description);
  } else if (method === 'Inspector.targetCrashed') {
    console.error('the page crashed');
    process.exit(1);
  }
}

const { targetInfos } = await call('Target.getTargets');
const { targetId } = targetInfos.find(({ type }) => type === 'page');
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
await call('Inspector.enable', {}, sessionId);
await call('Runtime.enable', {}, sessionId);
await call('Runtime.addBinding', { name: 'tellHost' }, sessionId);
// The page itself reports that it is ready.
await call('Page.navigate', { url: `http://127.0.0.1:${server.address().port}/` }, sessionId);

createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', (line) => {
    const expression = `handle(${JSON.stringify(line)})`;
    call('Runtime.evaluate', { expression }, sessionId).catch((error) => console.error(error.message));
  })
  // No farewell to the server: whoever wants one leaves first.
  .on('close', () => process.exit(0));
