// The kernels in a real browser: its compiler takes every shader, and they compute what the reference does.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { products } from './lib/kernels.mjs';
import { open } from './lib/setup.mjs';

let web;
before(async () => (web = await open()));
after(() => web?.close());

/** Runs a function of lib/kernels.mjs in the page. */
function inPage(name, argument) {
  const run = async ({ name, argument }) => {
    const { default: init, ...checks } = await import('/checks/checks.js');
    await init();
    const kernels = await import('/lib/kernels.mjs');
    return kernels[name](checks, argument);
  };
  return web.page.evaluate(run, { name, argument });
}

test('the browser compiles every shader', { timeout: 600_000 }, async () => {
  const complaints = await inPage('compile');
  const bad = Object.entries(complaints).filter(([, list]) => list.length);
  console.error(`${Object.keys(complaints).length} shaders`);
  assert.ok(Object.keys(complaints).length > 0);
  assert.deepEqual(bad, []);
});

test('a shader that is wrong is noticed', async () => {
  const shaders = [
    ['syntax', '@compute @workgroup_size(1) fn main() { let x = ; }'],
    ['limits', '@compute @workgroup_size(4096) fn main() { }'],
    ['fine', '@compute @workgroup_size(1) fn main() { }'],
    ['not for this adapter', 'enable none_such; @compute @workgroup_size(1) fn main() { }'],
  ];
  const complaints = await inPage('compile', { shaders });
  assert.deepEqual(Object.entries(complaints).map(([name, list]) => [name, list.length > 0]), [
    ['syntax', true], ['limits', true], ['fine', false],
  ]);
});

for (const gpu of [true, false]) {
  for (const exact of gpu ? [true] : [true, false]) {
    const what = `${gpu ? 'WebGPU at default limits' : 'the CPU in wasm'}, ${exact ? 'exact' : 'fast'}`;
    test(`op cases: ${what}`, { timeout: 600_000 }, async () => {
      const { device, count, bad, nmse } = await inPage('runOps', { gpu, exact, filter: process.env.OPS ?? '' });
      console.error(`${what}: ${device}, ${count} cases, worst NMSE ${nmse.toExponential(1)}`);
      assert.ok(count > 0);
      assert.deepEqual(bad, []);
    });
  }
}

// natively every type is run at every level
const LEVELS = { int8: ['Q4_1', 'IQ2_XS'], subgroup: ['Q4_1'] };
for (const [level, types] of Object.entries(LEVELS)) {
  test(`op cases: level ${level}`, { timeout: 600_000 }, async () => {
    const options = { gpu: true, exact: false, level, ...products(types) };
    const { device, count, bad, nmse } = await inPage('runOps', options);
    console.error(`${level}: ${device}, ${count} cases, worst NMSE ${nmse.toExponential(1)}`);
    assert.equal(count, 2 * types.length);
    assert.deepEqual(bad, []);
  });
}

test('a level that the adapter does not offer is an error', async () => {
  for (const level of ['f16', 'matrix', 'none such']) {
    const wrong = await inPage('runOps', { gpu: true, level }).then(() => '', (error) => error.message);
    assert.match(wrong, /does not offer|no level/, level);
  }
});
