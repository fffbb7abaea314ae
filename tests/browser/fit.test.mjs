// What a model takes, told before it is loaded: from downloads of which only the header is waited for, and from files.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { model, open, SMOLLM2, tiny } from './lib/setup.mjs';

let web;
before(async () => (web = await open()));
after(() => web?.close());

const FILE = `/models/${SMOLLM2}`;

/** What `fit` says, and what loading and a session then take. */
const both = async ({ url, options }) => {
  const { fit, Model } = await import('/package/index.js');
  const told = await fit(url, options);
  const model = await Model.load(url, options);
  const session = await model.session({ contextSize: options.contextSize });
  const taken = { weightBytes: model.info.weightBytes, bytes: session.info.bytes, device: model.info.device };
  await model.dispose();
  return { told, taken };
};

describe('SmolLM2', { skip: !model() }, () => {
  for (const device of ['cpu', 'webgpu']) {
    test(`takes on ${device} what was foretold`, { timeout: 120_000 }, async () => {
      const { told, taken } = await web.page.evaluate(both, { url: FILE, options: { device, contextSize: 300 } });
      assert.deepEqual([told.architecture, told.contextSize, told.trainedContext, told.kv], ['llama', 300, 8192, 'f16']);
      assert.equal(told.weightBytes, taken.weightBytes);
      assert.equal(told.cacheBytes + told.scratchBytes, taken.bytes);
      assert.deepEqual(told.device, taken.device);
      assert.ok(told.fits && told.problem === null && told.hasChatTemplate && told.parameters > 134e6);
      assert.equal(told.maxBuffer === null, device === 'cpu');
      if (device === 'cpu') assert.ok(told.memory > 2 ** 30 && told.memory < 2 ** 32);
    });
  }

  const told = async ({ url, kind, options }) => {
    const { fit } = await import('/package/index.js');
    const source = kind === 'Blob' ? await (await fetch(url)).blob() : url;
    const started = performance.now();
    const found = await fit(source, { device: 'cpu', memory: 2 ** 40, ...options });
    return { found, ms: performance.now() - started };
  };

  test('of a download only the header is waited for', { timeout: 120_000 }, async () => {
    const file = await web.page.evaluate(told, { url: FILE, kind: 'Blob' });
    for (const [how, worker] of [['slow', true], ['slow+whole', true], ['slow+unsized+whole', false]]) {
      web.requests.length = 0;
      const { found, ms } = await web.page.evaluate(told, { url: `/as/${how}${FILE}`, options: { worker } });
      assert.deepEqual(found, file.found);
      // half a MB a second: the whole file would take three minutes
      assert.ok(ms < 30_000, `${ms} ms`);
      assert.equal(web.requests.filter(({ path }) => path === FILE).length, 1);
    }
  });

  test('that does not fit says why, and what does', { timeout: 60_000 }, async () => {
    const ask = (options) => web.page.evaluate(told, { url: FILE, options }).then(({ found }) => found);
    const all = await ask({ contextSize: 1000, batchSize: 16 });
    const memory = all.weightBytes + all.cacheBytes + all.scratchBytes - 1;
    const less = await ask({ contextSize: 1000, batchSize: 16, memory });
    assert.ok(!less.fits && less.problem.includes('may be taken') && less.maxContextSize < 1000, less.problem);
    assert.ok((await ask({ contextSize: less.maxContextSize, batchSize: 16, memory })).fits);
    assert.ok(!(await ask({ contextSize: less.maxContextSize + 1, batchSize: 16, memory })).fits);
  });

  test('can be given up', { timeout: 60_000 }, async () => {
    const name = await web.page.evaluate(async (url) => {
      const { fit } = await import('/package/index.js');
      const ending = new AbortController();
      setTimeout(() => ending.abort(), 1000);
      return fit(url, { device: 'cpu', signal: ending.signal }).then(() => 'done', (error) => error.name);
    }, `/as/slow${FILE}`);
    assert.equal(name, 'AbortError');
  });
});

test('what cannot run is named', { skip: !tiny('llama.gguf'), timeout: 60_000 }, async () => {
  const errors = await web.page.evaluate(async () => {
    const { fit } = await import('/package/index.js');
    const thrown = (promise) => promise.then(() => null, ({ code, message }) => ({ code, message }));
    const bytes = new Uint8Array(await (await fetch('/shared/tiny/llama.gguf')).arrayBuffer());
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('').replaceAll('llama', 'runes');
    const other = Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
    return [
      await thrown(fit(other, { device: 'cpu' })),
      await thrown(fit(bytes.slice(0, 100).buffer, { device: 'cpu' })),
      await thrown(fit('/nowhere.gguf', { device: 'cpu' })),
      await thrown(fit(bytes.buffer, { device: 'cpu', memory: -1 })),
      await thrown(fit(bytes.buffer, { device: 'cpu', kv: 'f8' })),
      await thrown(fit(bytes.buffer, { device: 'cpu', gelu: 'relu' })),
    ];
  });
  const wrong = Array(3).fill('invalid_argument');
  assert.deepEqual(errors.map(({ code }) => code), ['unsupported', 'gguf', 'io', ...wrong]);
  assert.ok(errors[0].message.includes("architecture 'runes'"), errors[0].message);
  assert.ok(errors[5].message.includes("gelu 'relu'"), errors[5].message);
});
