// The kernels through Dawn in Node: Chromium's WebGPU without a browser. All are compiled for an adapter that has everything and runs
// nothing; a few op cases (OPS names others; Chromium runs more) run on the same SwiftShader, at every level that it offers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { create, globals } from 'webgpu';
import * as checks from './checks/dist/checks.js';
import { compile, products, runOps } from './lib/kernels.mjs';

// Dawn finds Vulkan's drivers through the environment
process.env.VK_ICD_FILENAMES ??= '/usr/lib/chromium/vk_swiftshader_icd.json';
// wgpu looks for these in a page
Object.assign(globalThis, globals, { Window: class Window {}, navigator: { gpu: create(['backend=vulkan']) } });

before(() => checks.default({ module_or_path: readFileSync(new URL('checks/dist/checks_bg.wasm', import.meta.url)) }));

test("Dawn's compiler takes every shader of every level", { timeout: 300_000 }, async () => {
  const complaints = await compile(checks, { gpu: create(['backend=null']), all: true });
  assert.deepEqual(Object.entries(complaints).filter(([, list]) => list.length), []);
  assert.equal(Object.keys(complaints).length, checks.shaders().length);
});

test('op cases through Dawn', { timeout: 600_000 }, () => run({ exact: true, filter: process.env.OPS ?? 'Q4_1' }));

const LEVELS = { int8: ['Q5_K'], subgroup: ['F16'] };
for (const [level, types] of Object.entries(LEVELS)) {
  test(`level ${level} through Dawn`, { timeout: 600_000 }, () => run({ level, ...products(types) }));
}

// a software adapter takes half a minute of processor time for it
const skip = !process.env.TUNE;
test('levels are timed where that is asked for', { skip, timeout: 300_000 }, async () => {
  const started = performance.now();
  const levels = await checks.tunedLevels();
  console.error(`levels ${levels.join(' and ')}, found in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  assert.equal(levels.length, 2);
  assert.ok(levels.every((level) => ['base', ...Object.keys(LEVELS)].includes(level)), `${levels}`);
});

async function run(options) {
  const { device, count, bad, nmse } = await runOps(checks, { gpu: true, exact: false, ...options });
  console.error(`${device}, ${options.level ?? 'base'}, ${count} cases, worst NMSE ${nmse.toExponential(1)}`);
  assert.ok(count > 0);
  assert.deepEqual(bad, []);
}
