// The kernels through Dawn in Node: Chromium's WebGPU without a browser, on the same SwiftShader. A few op cases (OPS names
// others); Chromium runs all.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { create, globals } from 'webgpu';
import * as checks from './checks/dist/checks.js';
import { runOps } from './lib/kernels.mjs';

// Dawn finds Vulkan's drivers through the environment
process.env.VK_ICD_FILENAMES ??= '/usr/lib/chromium/vk_swiftshader_icd.json';
// wgpu looks for these in a page
Object.assign(globalThis, globals, { Window: class Window {}, navigator: { gpu: create(['backend=vulkan']) } });

before(() => checks.default({ module_or_path: readFileSync(new URL('checks/dist/checks_bg.wasm', import.meta.url)) }));

test('op cases through Dawn', { timeout: 600_000 }, async () => {
  const { device, count, bad, nmse } = await runOps(checks, { gpu: true, exact: true, filter: process.env.OPS ?? 'Q4_1' });
  console.error(`${device}, ${count} cases, worst NMSE ${nmse.toExponential(1)}`);
  assert.ok(count > 0);
  assert.deepEqual(bad, []);
});
