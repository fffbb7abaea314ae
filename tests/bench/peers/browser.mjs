// wllama (llama.cpp in wasm) and gabion in one Chromium, in turn, on the same file and prompt. One JSON object to stdout.
//
//     node browser.mjs MODEL.gguf WLLAMA_FOLDER ROUNDS TOKENS
//
// Needs tests/browser's packages and bindings/wasm/dist. Without COOP/COEP headers both have one CPU thread.

import { basename, dirname } from 'node:path';
import { open } from '../../browser/lib/setup.mjs';

const [model, wllama, rounds, tokens] = process.argv.slice(2);
const PROMPT = 'The quick brown fox jumps over the lazy dog, and then it runs';

async function runWllama({ url, prompt, tokens }) {
  const { Wllama } = await import('/wllama/esm/index.js');
  const engine = new Wllama({ default: '/wllama/esm/wasm/wllama.wasm' }, { suppressNativeLog: true });
  const started = performance.now();
  await engine.loadModelFromUrl(url, { n_ctx: 512, n_threads: 1, n_gpu_layers: 0, useCache: false });
  const loaded = performance.now();
  const options = { prompt, max_tokens: tokens + 1, temperature: 0, ignore_eos: true, cache_prompt: false };
  const { timings } = await engine.createCompletion(options);
  const threads = engine.getNumThreads();
  await engine.exit();
  return {
    device: `CPU, ${threads} thread${threads === 1 ? '' : 's'}`,
    load: (loaded - started) / 1000,
    first: timings.prompt_ms / 1000,
    // the first token comes with the prompt: it is no step
    decode: ((timings.predicted_n - 1) * 1000) / timings.predicted_ms,
  };
}

async function runGabion({ url, device, prompt, tokens }) {
  const { Model } = await import('/package/index.js');
  const started = performance.now();
  const model = await Model.load(url, { device });
  const loaded = performance.now();
  const session = await model.session({ contextSize: 512 });
  const generation = session.generate(prompt, { temperature: 0, maxTokens: tokens + 1, ignoreEog: true });
  for await (const piece of generation) void piece;
  const { prefillMs, decodeTokens, decodeMs } = generation.timings;
  const name = model.info.device.name;
  await model.dispose();
  return { device: name, load: (loaded - started) / 1000, first: prefillMs / 1000, decode: (decodeTokens * 1000) / decodeMs };
}

const url = `/peer-models/${basename(model)}`;
const folders = { '/wllama/': wllama, '/peer-models/': dirname(model) };
const runs = { 'wllama': [], 'gabion cpu': [], 'gabion webgpu': [] };
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, samples] of Object.entries(runs)) {
    // a browser of its own: nothing is warm, nothing is left behind
    const web = await open({ folders });
    const argument = { url: web.base + url, device: name.split(' ')[1], prompt: PROMPT, tokens: Number(tokens) };
    samples.push(await web.page.evaluate(name === 'wllama' ? runWllama : runGabion, argument));
    await web.close();
  }
}
console.log(JSON.stringify(runs));
