// The kernels in a real browser: its compiler takes every shader, and they compute what the reference does.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open } from './lib/setup.mjs';

let web;
before(async () => (web = await open()));
after(() => web?.close());

/** Compiles WGSL and makes a pipeline of it; what the browser has against it, per shader. */
async function compile(shaders) {
  const { default: init, ...checks } = await import('/checks/checks.js');
  await init();
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const complaints = {};
  for (const [name, code] of shaders ?? checks.shaders()) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const pipeline = { layout: 'auto', compute: { module, entryPoint: 'main' } };
    const failure = await device.createComputePipelineAsync(pipeline).then(() => null, (error) => error.message);
    const error = await device.popErrorScope();
    const texts = messages.map(({ type, lineNum, message }) => `${type} at line ${lineNum}: ${message}`);
    complaints[name] = [...texts, failure, error?.message].filter(Boolean);
  }
  device.destroy();
  return complaints;
}

test('the browser compiles every shader', { timeout: 600_000 }, async () => {
  const complaints = await web.page.evaluate(compile);
  const bad = Object.entries(complaints).filter(([, list]) => list.length);
  console.error(`${Object.keys(complaints).length} shaders`);
  assert.ok(Object.keys(complaints).length > 0);
  assert.deepEqual(bad, []);
});

test('a shader that is wrong is noticed', async () => {
  const complaints = await web.page.evaluate(compile, [
    ['syntax', '@compute @workgroup_size(1) fn main() { let x = ; }'],
    ['limits', '@compute @workgroup_size(4096) fn main() { }'],
    ['fine', '@compute @workgroup_size(1) fn main() { }'],
  ]);
  assert.deepEqual(Object.entries(complaints).map(([name, list]) => [name, list.length > 0]), [
    ['syntax', true], ['limits', true], ['fine', false],
  ]);
});

/** Runs op cases on a device; what is wrong with each, and the largest NMSE. */
async function runOps({ gpu, exact, filter }) {
  const { default: init, ...checks } = await import('/checks/checks.js');
  await init();
  const ops = gpu ? await checks.Ops.gpu(true) : checks.Ops.cpu();
  const cases = ops.cases(filter);
  const bad = [];
  let nmse = 0;
  for (const name of cases) {
    const report = await ops.run(name, exact).catch((error) => ({ passed: false, worst: String(error) }));
    nmse = Math.max(nmse, report.nmse ?? NaN);
    if (!report.passed) bad.push(`${name}: off by ${report.worst} of the tolerance, NMSE ${report.nmse}`);
    else if (!report.notices) bad.push(`${name}: a wrong answer would pass`);
  }
  return { device: ops.name(), count: cases.length, bad, nmse };
}

for (const gpu of [true, false]) {
  for (const exact of gpu ? [true] : [true, false]) {
    const what = `${gpu ? 'WebGPU at default limits' : 'the CPU in wasm'}, ${exact ? 'exact' : 'fast'}`;
    test(`op cases: ${what}`, { timeout: 600_000 }, async () => {
      const { device, count, bad, nmse } = await web.page.evaluate(runOps, { gpu, exact, filter: process.env.OPS ?? '' });
      console.error(`${what}: ${device}, ${count} cases, worst NMSE ${nmse.toExponential(1)}`);
      assert.ok(count > 0);
      assert.deepEqual(bad, []);
    });
  }
}
