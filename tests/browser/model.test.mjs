// The package in a real browser: load, generate, stop, fail, free.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { golden, model, native, open, SMOLLM2 } from './lib/setup.mjs';

const MIB = 1 << 20;
/** Most wasm memory while loading on WebGPU: the weights alone are 93 MiB. */
const WASM_LIMIT = 128 * MIB;
const TOKENS = 32;

let web;
before(async () => (web = await open()));
after(() => web?.close());

/** Loads a model in the page, generates greedily after each text, and tells what it saw. */
function generate(options, texts, url = `/models/${SMOLLM2}`) {
  const run = async ({ options, texts, url, maxTokens }) => {
    const { Model } = await import('/package/index.js');
    const progress = [];
    const started = performance.now();
    const model = await Model.load(url, { ...options, onProgress: (p) => progress.push(p) });
    const loadMs = performance.now() - started;
    const { wasmBytes } = await model.memory();
    const answers = [];
    for (const text of texts) {
      const session = await model.session({ contextSize: 256 });
      const generation = session.generate(text, { temperature: 0, maxTokens, ignoreEog: true });
      const ids = [];
      let answer = '';
      for await (const piece of generation) {
        answer += piece.text;
        if (piece.token) ids.push(piece.token.id);
      }
      const prompt = Array.from(await model.tokenize(text));
      const shown = await model.detokenize(ids, { special: true });
      answers.push({ prompt, ids, shown, text: answer, stop: generation.stopReason, timings: generation.timings });
      await session.dispose();
    }
    const info = model.info;
    await model.dispose();
    return { info, loadMs, wasmBytes, progress, answers };
  };
  return web.page.evaluate(run, { options, texts, url, maxTokens: TOKENS });
}

function show(what, result) {
  const rate = ({ decodeTokens, decodeMs }) => ((decodeTokens * 1000) / decodeMs).toFixed(1);
  const rates = result.answers.map(({ timings }) => rate(timings)).join(', ');
  const wasm = (result.wasmBytes / MIB).toFixed(1);
  console.error(`${what}: ${result.info.device.name}; load ${(result.loadMs / 1000).toFixed(1)} s, wasm ${wasm} MiB, decode ${rates} t/s`);
}

describe('SmolLM2', { skip: !model() }, () => {
  const answers = golden('smollm2.json') ?? [];

  for (const [name, device, backend] of [['WebGPU on SwiftShader', 'webgpu', 'webgpu'], ['the CPU', 'cpu', 'cpu']]) {
    test(`${name} gives the golden and the native text`, { timeout: 600_000 }, async () => {
      const texts = answers.length ? answers.map(({ text }) => text) : ['The capital of France is'];
      const result = await generate({ device, exact: true }, texts);
      show(`${name}, exact`, result);
      assert.equal(result.info.device.backend, backend);
      assert.deepEqual(result.info.device.levels, device === 'cpu' ? null : ['base', 'base']);
      assert.equal(result.info.architecture, 'llama');
      for (const [i, { prompt_ids, greedy, greedy_text }] of answers.entries()) {
        assert.deepEqual(result.answers[i].prompt, prompt_ids);
        assert.deepEqual(result.answers[i].ids, greedy.map(({ id }) => id));
        assert.equal(result.answers[i].shown, greedy_text);
      }
      const args = ['run', '-m', model(), '--device', 'cpu', '--exact', '--temp', '0', '-n', String(TOKENS)];
      const same = native([...args, '--ignore-eos', '--json', '-p', texts[0]]);
      assert.equal(result.answers[0].text, same.text);
    });
  }

  for (const [device, limit] of [['webgpu', WASM_LIMIT], ['cpu', undefined]]) {
    test(`as it is used by default, on ${device}`, { timeout: 600_000 }, async () => {
      const result = await generate({ device }, ['Once upon a time']);
      show(`${device}, default`, result);
      const { ids, timings } = result.answers[0];
      assert.deepEqual([ids.length, timings.prefillTokens, timings.decodeTokens], [TOKENS, 4, TOKENS - 1]);
      assert.ok(timings.prefillMs > 0 && timings.decodeMs > 0);
      // weights go to the GPU a few MiB at a time
      if (limit) assert.ok(result.wasmBytes < limit, `${result.wasmBytes} bytes of wasm memory`);
      const [first, last] = [result.progress.at(0), result.progress.at(-1)];
      assert.deepEqual([first.status, last.status, last.file], ['initiate', 'ready', SMOLLM2]);
      assert.equal(last.loaded, last.total);
      assert.ok(result.progress.every(({ loaded }, i, all) => i === 0 || loaded >= all[i - 1].loaded));
    });
  }
});

describe('levels of WebGPU', { skip: !model() }, () => {
  const run = async (url) => {
    const { Model } = await import('/package/index.js');
    const model = await Model.load(url, { device: 'webgpu', level: 'int8' });
    const session = await model.session({ contextSize: 64 });
    const text = await session.generate('The capital of France is', { temperature: 0, maxTokens: 2 }).text();
    const { levels } = model.info.device;
    await model.dispose();
    return { text, levels };
  };
  test('int8 is taken where it is asked for', { timeout: 300_000 }, async () => {
    const found = await web.page.evaluate(run, `/models/${SMOLLM2}`);
    assert.deepEqual(found, { text: ' Paris.', levels: ['int8', 'int8'] });
  });

  test('what the adapter does not offer is an error', async () => {
    for (const level of ['f16', 'matrix']) {
      const error = await thrown(load, { url: `/models/${SMOLLM2}`, device: 'webgpu', level });
      assert.deepEqual([error.name, error.code], ['GabionError', 'device']);
      assert.match(error.message, /does not offer/);
    }
  });
});

/** What an async function of the page throws, as data. */
async function thrown(run, argument) {
  const wrapped = `async (argument) => {
    try { await (${run})(argument); return null; }
    catch (error) { return { name: error.name, code: error.code, status: error.status, message: error.message }; }
  }`;
  return web.page.evaluate(`(${wrapped})(${JSON.stringify(argument)})`);
}

const load = async ({ url, worker = true, device = 'cpu', level }) => {
  const { Model } = await import('/package/index.js');
  const model = await Model.load(url, { device, level, worker });
  await model.dispose();
};

describe('errors are typed', () => {
  for (const worker of [true, false]) {
    const where = worker ? 'in the worker' : 'on the page';
    test(`a missing file, ${where}`, async () => {
      const error = await thrown(load, { url: '/models/none.gguf', worker });
      assert.deepEqual([error.name, error.code, error.status], ['GabionError', 'io', -2]);
      assert.match(error.message, /404/);
    });
    test(`not a GGUF, ${where}`, async () => {
      const error = await thrown(load, { url: '/index.html', worker });
      assert.deepEqual([error.name, error.code, error.status], ['GabionError', 'gguf', -3]);
    });
  }

  test('wrong arguments', async () => {
    for (const argument of [{ url: 7 }, { url: `/models/${SMOLLM2}`, device: 'webgpu', level: 'none such' }]) {
      const error = await thrown(load, argument);
      assert.deepEqual([error.name, error.code], ['GabionError', 'invalid_argument']);
    }
  });

  test('no such server', async () => {
    const error = await thrown(load, { url: 'http://127.0.0.1:1/model.gguf' });
    assert.deepEqual([error.name, error.code], ['GabionError', 'io']);
  });

  for (const how of ['cut', 'cut+whole', 'cut+unsized', 'cut+unsized+whole']) {
    test(`a truncated file (${how})`, { skip: !model() }, async () => {
      const error = await thrown(load, { url: `/as/${how}/models/${SMOLLM2}` });
      assert.deepEqual([error.name, error.code], ['GabionError', 'gguf']);
      assert.match(error.message, /truncated|past the end/);
    });
  }
});
