// The package as npm packs it: small, complete, typed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { model, ROOT } from './lib/setup.mjs';

const PACKAGE = join(ROOT, 'bindings/wasm');
/** Most bytes of the wasm file, as it is and as servers send it. */
const LIMITS = { raw: 6 << 20, gzip: 2 << 20 };

const CONSUMER = `
import { fit, GabionError, Model, type Fit, type GenerateOptions, type Piece, type Progress } from 'gabion';
export async function run(file: File, signal: AbortSignal): Promise<string> {
  const room: Fit = await fit(file, { device: 'auto', contextSize: 512, kv: 'f16', memory: 2 ** 30, signal });
  if (!room.fits) throw new Error((room.problem ?? '') + (room.maxContextSize satisfies number));
  await using model = await Model.load(file, { device: 'auto', signal, onProgress: (p: Progress) => void p.loaded });
  const session = await model.session({ contextSize: 512, kv: 'f16' });
  const options: GenerateOptions = { maxTokens: 8, temperature: 0, topK: 1, topP: 1, minP: 0, seed: 7n, stop: ['.'], signal };
  const generation = session.generate([{ role: 'user', content: 'Hi' }], options);
  let text = '';
  for await (const piece of generation) text += (piece satisfies Piece).text;
  const ids: Uint32Array = await model.tokenize(text);
  const nll: Float32Array = await session.score([...ids]);
  const speed: number | undefined = generation.timings?.decodeMs;
  if (nll.length === 0 && speed === 0) throw new GabionError('internal', 'never');
  return model.detokenize(ids);
}
// @ts-expect-error a device that does not exist
export const wrong = Model.load('model.gguf', { device: 'tpu' });
// @ts-expect-error a code that does not exist
export const code = (error: GabionError) => error.code === 'no_such_code';
`;

let folder;
let files;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'gabion-packed-'));
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: PACKAGE, encoding: 'utf8' });
  const answer = JSON.parse(packed);
  const [{ filename, files: list }] = Array.isArray(answer) ? answer : Object.values(answer);
  files = list.map(({ path }) => path);
  const target = join(folder, 'node_modules/gabion');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['xzf', join(folder, filename), '-C', target, '--strip-components=1']);
});
after(() => rmSync(folder, { recursive: true }));

test('holds what it needs and nothing else', () => {
  const needed = ['README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/worker.js', 'dist/wasm/gabion.js', 'dist/wasm/gabion_bg.wasm'];
  assert.deepEqual(needed.filter((path) => !files.includes(path)), []);
  assert.deepEqual(files.filter((path) => !/^(README\.md|package\.json|LICENSE.*|dist\/.*\.(js|ts|wasm))$/.test(path)), []);
});

test('its wasm file is small', () => {
  const wasm = readFileSync(join(PACKAGE, 'dist/wasm/gabion_bg.wasm'));
  const [raw, gzip] = [wasm.length, gzipSync(wasm, { level: 9 }).length];
  console.error(`gabion.wasm: ${(raw / 1e6).toFixed(2)} MB, ${(gzip / 1e6).toFixed(2)} MB with gzip`);
  assert.ok(raw <= LIMITS.raw && gzip <= LIMITS.gzip, `${raw} and ${gzip} bytes`);
});

test('every path of its exports map is there', () => {
  const resolve = `for (const path of ['gabion', 'gabion/gabion.wasm', 'gabion/package.json']) console.log(import.meta.resolve(path));`;
  writeFileSync(join(folder, 'resolve.mjs'), resolve);
  const lines = execFileSync('node', [join(folder, 'resolve.mjs')], { encoding: 'utf8' }).trim().split('\n');
  lines.forEach((line) => assert.ok(readFileSync(new URL(line)).length > 0));
  assert.equal(lines.length, 3);
});

test('its types hold for a consumer', { timeout: 120_000 }, () => {
  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom'];
  execFileSync(join(PACKAGE, 'node_modules/.bin/tsc'), [...options, join(folder, 'consumer.ts')], { cwd: folder, stdio: 'inherit' });
});

test('runs in Node on the CPU, on the calling thread', { skip: !model(), timeout: 120_000 }, () => {
  const script = `
    import { openAsBlob, readFileSync } from 'node:fs';
    import { Model } from 'gabion';
    const wasm = readFileSync(new URL(import.meta.resolve('gabion/gabion.wasm')));
    const file = await openAsBlob(process.argv[2]);
    const model = await Model.load(file, { wasm: wasm.buffer, worker: false });
    const session = await model.session({ contextSize: 16 });
    console.log(model.info.device.backend + await session.generate('The capital of France is', { temperature: 0, maxTokens: 1 }).text());
    await model.dispose();`;
  writeFileSync(join(folder, 'run.mjs'), script);
  assert.equal(execFileSync('node', [join(folder, 'run.mjs'), model()], { encoding: 'utf8' }), 'cpu Paris\n');
});
