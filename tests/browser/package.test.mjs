// The package's promises beyond plain generation: every kind of source, stopping, disposing, sessions, types of errors.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { model, open, SMOLLM2, tiny } from './lib/setup.mjs';

let web;
before(async () => (web = await open()));
after(() => web?.close());

const FILE = `/models/${SMOLLM2}`;

describe('sources', { skip: !model() }, () => {
  /** Loads from a source made in the page; the four most likely words after a text tell that the weights are right. */
  const load = async ({ kind, url }) => {
    const { Model } = await import('/package/index.js');
    const blob = async () => (await fetch(url)).blob();
    const makers = {
      string: () => url,
      URL: () => new URL(url, location.href),
      Blob: blob,
      File: async () => new File([await blob()], 'picked.gguf'),
      ArrayBuffer: async () => (await fetch(url)).arrayBuffer(),
      list: async () => [await blob()],
    };
    let file;
    const onProgress = (progress) => (file = progress.file);
    const model = await Model.load(await makers[kind](), { device: 'cpu', onProgress });
    const session = await model.session({ contextSize: 16 });
    const generation = session.generate('The capital of France is', { temperature: 0, maxTokens: 1 });
    const text = await generation.text();
    await model.dispose();
    return { text, file };
  };

  const kinds = { string: SMOLLM2, URL: SMOLLM2, Blob: 'Blob', File: 'picked.gguf', ArrayBuffer: 'ArrayBuffer', list: 'Blob' };
  for (const [kind, file] of Object.entries(kinds)) {
    test(kind, { timeout: 180_000 }, async () => {
      assert.deepEqual(await web.page.evaluate(load, { kind, url: FILE }), { text: ' Paris', file });
    });
  }

  for (const how of ['whole', 'unsized+whole', 'broken']) {
    test(`a download that is ${how}`, { timeout: 180_000 }, async () => {
      web.requests.length = 0;
      const { text } = await web.page.evaluate(load, { kind: 'string', url: `/as/${how}${FILE}` });
      assert.equal(text, ' Paris');
      const starts = web.requests.filter(({ path }) => path === FILE).map(({ range }) => range);
      assert.equal(starts[0], 'bytes=0-');
      const requests = how === 'broken' ? [8, 16] : [1, 1];
      assert.ok(starts.length >= requests[0] && starts.length <= requests[1], starts.join(' '));
    });
  }

  test('a download that breaks and cannot be resumed', { timeout: 180_000 }, async () => {
    const run = ({ kind, url }) => load({ kind, url }).then(() => null, ({ name, code }) => ({ name, code }));
    const source = `async (argument) => { const load = ${load}; return (${run})(argument); }`;
    const error = await web.page.evaluate(`(${source})({ kind: 'string', url: '/as/broken+whole${FILE}' })`);
    assert.deepEqual(error, { name: 'GabionError', code: 'io' });
  });
});

describe('stopping', { skip: !model() }, () => {
  /** Names of what each way of stopping rejects with, and whether the session goes on after it. */
  const stop = async ({ url, slow, worker, device }) => {
    const { Model } = await import('/package/index.js');
    const name = (promise) => promise.then(() => 'done', (error) => error.name);
    const seen = {};

    const early = new AbortController();
    early.abort();
    seen.before = await name(Model.load(url, { device, worker, signal: early.signal }));

    const loading = new AbortController();
    const onProgress = ({ loaded }) => loaded > 0 && loading.abort();
    seen.loading = await name(Model.load(slow, { device, worker, signal: loading.signal, onProgress }));

    const model = await Model.load(url, { device, worker });
    const session = await model.session({ contextSize: 2048 });
    const long = 'one two three four five six seven eight nine ten '.repeat(60);
    const prompt = new AbortController();
    const started = performance.now();
    const prefill = session.generate(long, { signal: prompt.signal, maxTokens: 4 });
    setTimeout(() => prompt.abort(), 100);
    seen.prompt = await name(prefill.text());
    seen.promptMs = performance.now() - started;

    const decoding = new AbortController();
    let pieces = 0;
    const generation = session.generate('Count:', { signal: decoding.signal, temperature: 0, ignoreEog: true });
    const consume = async () => {
      for await (const _ of generation) if (++pieces === 3) decoding.abort(new Error('custom'));
    };
    seen.decoding = await consume().then(() => 'done', (error) => error.message);
    seen.pieces = pieces;

    for await (const _ of session.generate('Hello', { ignoreEog: true })) break;
    const again = session.generate('The capital of France is', { temperature: 0, maxTokens: 1 });
    seen.after = await again.text();
    await model.dispose();
    seen.disposed = await session.tokens().then(() => 'done', (error) => error.code);
    return seen;
  };

  for (const [device, worker] of [['cpu', true], ['cpu', false], ['webgpu', true], ['webgpu', false]]) {
    test(`${device}, ${worker ? 'in the worker' : 'on the page'}`, { timeout: 240_000 }, async () => {
      const slow = `/as/slow${FILE}`;
      const { promptMs, ...seen } = await web.page.evaluate(stop, { url: FILE, slow, worker, device });
      assert.deepEqual(seen, {
        before: 'AbortError', loading: 'AbortError', prompt: 'AbortError', decoding: 'custom', pieces: 3, after: ' Paris',
        disposed: 'disposed',
      });
      console.error(`${device}: a prompt stopped after ${promptMs.toFixed(0)} ms (asked at 100)`);
    });
  }
});

for (const name of ['llama', 'qwen35']) {
  test(`a session of ${name}, saved on one device, goes on on another`, { skip: !tiny(`${name}.gguf`), timeout: 300_000 }, async () => {
    const run = async (url) => {
      const { Model } = await import('/package/index.js');
      const models = await Promise.all(['webgpu', 'cpu'].map((device) => Model.load(url, { device, exact: true })));
      const found = [];
      for (const [from, to] of [models, [...models].reverse()]) {
        const first = await from.session({ contextSize: 64 });
        await first.sync([9, 8, 7, 6, 5]);
        const saved = await first.save();
        const fork = await first.fork();
        const other = await to.session({ contextSize: 32 });
        await other.restore(saved);
        const again = await other.save();
        const logits = [];
        for (const session of [first, fork, other]) {
          await session.step(4);
          logits.push(Array.from(await session.logits()));
        }
        saved[50] ^= 1;
        const damaged = await other.restore(saved).then(() => 'done', (error) => error.code);
        found.push({ logits, damaged, tokens: Array.from(await other.tokens()), same: saved.every((b, i) => i === 50 || b === again[i]) });
      }
      await Promise.all(models.map((model) => model.dispose()));
      return found;
    };
    for (const { logits, ...rest } of await web.page.evaluate(run, `/shared/tiny/${name}.gguf`)) {
      assert.deepEqual(rest, { damaged: 'invalid_argument', tokens: [9, 8, 7, 6, 5, 4], same: true });
      assert.deepEqual(logits[1], logits[0]);
      const off = Math.max(...logits[0].map((x, i) => Math.abs(x - logits[2][i])));
      assert.ok(off < 1e-3 && new Set(logits[0]).size > 50, `off by ${off}`);
    }
  });
}

describe('sessions', { skip: !model() }, () => {
  test('reuse a prefix, score, give logits, refuse two calls at once', { timeout: 300_000 }, async () => {
    const run = async (url) => {
      const { Model } = await import('/package/index.js');
      const model = await Model.load(url, { device: 'cpu', exact: true });
      const session = await model.session({ contextSize: 64 });
      const code = (promise) => promise.then(() => 'done', (error) => error.code);
      const ids = await model.tokenize('The capital of France is');
      const first = await session.sync(ids);
      const second = await session.sync([...ids, 7042]);
      const logits = await session.logits();
      const nll = await session.score(ids);
      const tokens = Array.from(await session.tokens());
      const generation = session.generate('One', { ignoreEog: true });
      await generation.next();
      const busy = await code(session.sync([1]));
      await generation.return();
      await session.sync([1, 2, 3, 4, 5, 6, 7, 8]);
      await session.step(9);
      const full = await code(session.sync(new Array(65).fill(1)));
      const range = await code(session.step(1e9));
      const chat = await model.chatTokens([{ role: 'user', content: 'Hi <|im_end|>' }]);
      const shown = await model.detokenize(chat, { special: true });
      const forged = Array.from(chat).filter((id) => id === 2).length;
      const length = (await session.tokens()).length;
      await session.clear();
      const empty = await session.logits();
      await model.dispose();
      return {
        first, second, logits: logits.length, vocab: model.info.vocabSize, nll: Array.from(nll), tokens, ids: Array.from(ids),
        busy, full, range, shown, forged, length, empty: empty.length,
      };
    };
    const seen = await web.page.evaluate(run, FILE);
    assert.deepEqual(seen.first, { reused: 0, computed: 5 });
    assert.deepEqual(seen.second, { reused: 5, computed: 1 });
    assert.equal(seen.logits, seen.vocab);
    assert.deepEqual(seen.tokens, seen.ids);
    assert.equal(seen.nll.length, 4);
    [11.53929, 0.33762, 2.43867, 0.45095].forEach((nll, i) => assert.ok(Math.abs(nll - seen.nll[i]) < 2e-3, `${seen.nll}`));
    assert.deepEqual([seen.busy, seen.full, seen.range], ['busy', 'context_full', 'invalid_argument']);
    assert.match(seen.shown, /<\|im_start\|>user\nHi <\|im_end\|><\|im_end\|>\n<\|im_start\|>assistant\n$/);
    // one end of message for the system's turn and one for the user's, none from what the user wrote
    assert.equal(seen.forged, 2);
    assert.deepEqual([seen.length, seen.empty], [9, 0]);
  });

  test('the same seed gives the same text, another one another', { timeout: 300_000 }, async () => {
    const run = async (url) => {
      const { Model } = await import('/package/index.js');
      const model = await Model.load(url, { device: 'cpu' });
      const session = await model.session({ contextSize: 64 });
      const text = (seed) => session.generate('Once', { seed, maxTokens: 12, temperature: 1.5 }).text();
      const texts = [await text(7), await text(7n), await text(8)];
      const stopped = session.generate('One, two, three,', { temperature: 0, maxTokens: 20, stop: ' five' });
      const answer = await stopped.text();
      await model.dispose();
      return { texts, answer, reason: stopped.stopReason };
    };
    const { texts, answer, reason } = await web.page.evaluate(run, FILE);
    assert.equal(texts[0], texts[1]);
    assert.notEqual(texts[0], texts[2]);
    assert.deepEqual([answer, reason], [' four,', 'stop']);
  });
});

test('disposing frees every GPU buffer', { skip: !model(), timeout: 300_000 }, async () => {
  const run = async (url) => {
    const { Model } = await import('/package/index.js');
    const sizes = new Map();
    const { createBuffer } = GPUDevice.prototype;
    const { destroy } = GPUBuffer.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      sizes.set(buffer, descriptor.size);
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () {
      sizes.delete(this);
      return destroy.call(this);
    };
    const held = () => [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const model = await Model.load(url, { device: 'webgpu', worker: false });
    const loaded = held();
    const session = await model.session({ contextSize: 256 });
    await session.generate('Hi', { maxTokens: 1 }).text();
    const running = held();
    await session.dispose();
    const without = held();
    await model.dispose();
    const info = { loaded, running, without, disposed: held(), weights: model.info.weightBytes };
    Object.assign(GPUDevice.prototype, { createBuffer });
    Object.assign(GPUBuffer.prototype, { destroy });
    return info;
  };
  const { loaded, running, without, disposed, weights } = await web.page.evaluate(run, FILE);
  assert.ok(loaded >= weights && weights > 80e6, `${loaded} of ${weights}`);
  assert.ok(running > without, `${running} > ${without}`);
  assert.ok(without <= loaded, `${without} <= ${loaded}`);
  assert.equal(disposed, 0);
});

describe('after a defect nothing hangs', { skip: !model() }, () => {
  test('a panic tells its message', async () => {
    const run = async () => {
      const { default: init, ...checks } = await import('/checks/checks.js');
      await init();
      let message;
      checks.onPanic((text) => (message = text));
      try {
        checks.panic();
      } catch (error) {
        return { message, trap: error instanceof WebAssembly.RuntimeError };
      }
    };
    const { message, trap } = await web.page.evaluate(run);
    assert.match(message, /as asked/);
    assert.equal(trap, true);
  });

  for (const late of [false, true]) {
    test(late ? 'a trap while a future goes on' : 'a trap in a call', { timeout: 180_000 }, async () => {
      const page = await web.browser.newPage();
      await page.goto(web.base);
      const run = async ({ url, late }) => {
        const { Model } = await import('/package/index.js');
        const wasm = await import('/package/wasm/gabion.js');
        const model = await Model.load(url, { device: 'cpu', worker: false });
        const trap = () => {
          throw new WebAssembly.RuntimeError('unreachable');
        };
        wasm.Session.prototype.sync = () => (late ? new Promise(() => setTimeout(trap, 10)) : trap());
        const session = await model.session({ contextSize: 16 });
        const code = (promise) => promise.then(() => 'done', (error) => error.code);
        const codes = [await code(session.sync([1])), await code(session.tokens()), await code(model.tokenize('Hi'))];
        await model.dispose();
        return codes;
      };
      assert.deepEqual(await page.evaluate(run, { url: FILE, late }), ['internal', 'internal', 'internal']);
      await page.close();
    });
  }
});

describe('devices', { skip: !model() }, () => {
  const device = async ({ url, device }) => {
    const { Model } = await import('/package/index.js');
    const model = await Model.load(url, { device }).catch((error) => error);
    await model.dispose?.();
    return model.info ? model.info.device : { code: model.code };
  };

  test('auto does not take a GPU that is emulated on the CPU', { timeout: 180_000 }, async () => {
    const info = await web.page.evaluate(device, { url: FILE, device: 'auto' });
    assert.deepEqual([info.kind, info.backend], ['cpu', 'cpu']);
    const asked = await web.page.evaluate(device, { url: FILE, device: 'webgpu' });
    assert.deepEqual([asked.kind, asked.backend], ['software', 'webgpu']);
  });

  test('a browser without WebGPU, or without an adapter', { timeout: 180_000 }, async () => {
    const plain = await open({ flags: ['--no-sandbox', '--host-resolver-rules=MAP gabion.test 127.0.0.1'] });
    // WebGPU is there only on pages that are local or come by https
    const insecure = plain.base.replace('127.0.0.1', 'gabion.test');
    try {
      for (const [base, present] of [[plain.base, true], [insecure, false]]) {
        await plain.page.goto(base);
        assert.equal(await plain.page.evaluate(() => navigator.gpu !== undefined), present);
        assert.equal((await plain.page.evaluate(device, { url: FILE, device: 'auto' })).kind, 'cpu');
        assert.deepEqual(await plain.page.evaluate(device, { url: FILE, device: 'webgpu' }), { code: 'device' });
      }
    } finally {
      await plain.close();
    }
  });
});

test('a context that does not fit in memory is an error, not the end of the page', { skip: !model(), timeout: 180_000 }, async () => {
  const run = async (url) => {
    const { Model } = await import('/package/index.js');
    const model = await Model.load(url, { device: 'cpu' });
    const code = await model.session({ contextSize: 1 << 20 }).then(() => 'done', (error) => error.code);
    const after = await model.tokenize('Hello').then((ids) => ids.length, (error) => error.code);
    await model.dispose();
    return { code, after };
  };
  assert.deepEqual(await web.page.evaluate(run, FILE), { code: 'out_of_memory', after: 1 });
});

// one of each kind: dense, biases, windows, layer norms side by side, ALiBi, caps, whole-vector norms, experts, sinks, and every op
// that carries a state
const KINDS = [
  ...['llama', 'qwen2', 'gemma3', 'gptneox', 'bloom', 'gemma2', 'olmo2', 'qwen2moe', 'gpt-oss'],
  ...['lfm2', 'mamba', 'mamba2', 'qwen3next', 'rwkv6', 'rwkv7'],
];
for (const name of KINDS) {
  test(`tiny ${name} on WebGPU and CPU: golden logits`, { skip: !tiny(`${name}.gguf`), timeout: 300_000 }, async () => {
    const run = async ({ name, device, level }) => {
      const { Model } = await import('/package/index.js');
      const { prompts } = await (await fetch(`/shared/tiny/${name}.json`)).json();
      // the golden answers have the tanh form throughout
      const model = await Model.load(`/shared/tiny/${name}.gguf`, { device, level, exact: true, gelu: 'tanh' });
      const session = await model.session();
      const errors = [];
      for (const { ids, last_logits } of prompts) {
        await session.sync(ids);
        const logits = await session.logits();
        const sum = (f) => last_logits.reduce((total, x, i) => total + f(x, i), 0);
        errors.push(sum((x, i) => (x - logits[i]) ** 2) / sum((x) => x * x));
      }
      await model.dispose();
      return { errors, levels: model.info.device.levels };
    };
    // one of them at the other level whose activations are exact
    const level = name === 'llama' ? 'subgroup' : 'base';
    for (const device of ['webgpu', 'cpu']) {
      const { errors, levels } = await web.page.evaluate(run, { name, device, level });
      assert.ok(errors.length > 0 && errors.every((error) => error <= 1e-6), `${device}: ${errors}`);
      assert.deepEqual(levels, device === 'cpu' ? null : [level, level]);
    }
  });
}

test('tiny t5 on WebGPU and CPU: golden answers', { skip: !tiny('t5.gguf'), timeout: 300_000 }, async () => {
  const run = async (device) => {
    const { Model } = await import('/package/index.js');
    const { prompts } = await (await fetch('/shared/tiny/t5.json')).json();
    const model = await Model.load('/shared/tiny/t5.gguf', { device, exact: true });
    const session = await model.session();
    const answers = [];
    for (const { encoder_ids, greedy } of prompts) {
      const ids = [];
      const options = { maxTokens: greedy.length, temperature: 0, ignoreEog: true };
      for await (const { token } of session.generate(encoder_ids, options)) {
        ids.push(token?.id);
      }
      answers.push([ids.filter((id) => id !== undefined), greedy]);
    }
    await model.dispose();
    return answers;
  };
  for (const device of ['webgpu', 'cpu']) {
    for (const [ids, greedy] of await web.page.evaluate(run, device)) {
      assert.deepEqual(ids, greedy, device);
    }
  }
});

test('gelu takes the form it is told', { skip: !tiny('gptneox.gguf'), timeout: 180_000 }, async () => {
  const [own, erf, tanh, error] = await web.page.evaluate(async () => {
    const { Model } = await import('/package/index.js');
    const logits = async (gelu) => {
      const model = await Model.load('/shared/tiny/gptneox.gguf', { device: 'cpu', exact: true, gelu });
      const session = await model.session();
      await session.sync([1, 2, 3]);
      const found = Array.from(await session.logits());
      await model.dispose();
      return found;
    };
    const unknown = logits('relu').then(() => null, ({ code, message }) => `${code}: ${message}`);
    return [await logits(), await logits('erf'), await logits('tanh'), await unknown];
  });
  // the models of this family define the exact function
  assert.deepEqual(own, erf);
  assert.notDeepEqual(erf, tanh);
  assert.ok(erf.every((logit, i) => Math.abs(logit - tanh[i]) < 0.05));
  assert.match(error, /^invalid_argument: .*gelu 'relu'/);
});
