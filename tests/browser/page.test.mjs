// The chat page, served by its own server and used like a person does: pick a model, load it, talk, stop, look at it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { artifact, model, MODELS, open, ROOT, SMOLLM2 } from './lib/setup.mjs';

let web;
let server;
let address;

before(async () => {
  const env = { ...process.env, GABION_MODELS: MODELS };
  server = spawn('python3', [join(ROOT, 'examples/web/serve.py'), '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(server.stdout, 'data');
  address = String(line).trim();
  web = await open();
});
after(async () => {
  await web?.close();
  server?.kill();
});

/** Asks for a reply long enough to be stopped. */
const STORY = 'Tell me a long story about a fox and a river.';

/** A fresh page of the example, as a device with this colour scheme shows it. */
async function visit(colorScheme = 'light', viewport = { width: 1100, height: 760 }) {
  const page = await web.browser.newPage({ colorScheme, viewport });
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(address);
  await page.locator('input[name="model"]:checked').waitFor();
  return { page, errors };
}

async function load(page, device) {
  await page.getByText(SMOLLM2.replace('.gguf', '')).click();
  await page.locator('#device-choice').selectOption(device);
  await page.locator('#load').click();
}

test('picks, loads, chats, stops', { skip: !model(), timeout: 600_000 }, async () => {
  const { page, errors } = await visit();
  await page.screenshot({ path: artifact('chat-start.png') });
  await load(page, 'cpu');
  await page.locator('#chat').waitFor({ timeout: 120_000 });
  assert.match(await page.locator('#device').textContent(), /^CPU/);

  await page.locator('#input').fill(STORY);
  await page.keyboard.press('Enter');
  await page.getByText('tokens/s').waitFor({ timeout: 120_000 });
  await page.locator('.assistant', { hasText: /(\w+\W+){20}/ }).waitFor({ timeout: 120_000 });
  assert.ok(await page.locator('#stop').isVisible());
  await page.screenshot({ path: artifact('chat-streaming.png') });
  await page.locator('#stop').click();
  await page.locator('#send').waitFor();

  await page.locator('#input').fill('And what did the river say?');
  await page.locator('#send').click();
  await page.locator('.assistant').nth(1).filter({ hasText: /\w/ }).waitFor({ timeout: 120_000 });
  await page.locator('#stop').click({ timeout: 1000 }).catch(() => {});
  await page.locator('#send').waitFor();
  await page.screenshot({ path: artifact('chat.png') });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: artifact('chat-dark.png') });
  await page.setViewportSize({ width: 390, height: 720 });
  await page.screenshot({ path: artifact('chat-phone.png') });
  assert.deepEqual(errors, []);
  await page.close();
});

test('runs on WebGPU and shows its name', { skip: !model(), timeout: 600_000 }, async () => {
  const { page, errors } = await visit('dark');
  await load(page, 'webgpu');
  await page.locator('#chat').waitFor({ timeout: 120_000 });
  assert.match(await page.locator('#device').textContent(), /^WebGPU.*swiftshader/);
  await page.locator('#input').fill(STORY);
  await page.keyboard.press('Enter');
  await page.locator('.assistant', { hasText: /\w/ }).waitFor({ timeout: 300_000 });
  await page.locator('#stop').click();
  await page.locator('#send').waitFor();
  await page.screenshot({ path: artifact('chat-webgpu.png') });
  assert.deepEqual(errors, []);
  await page.close();
});

test('cancels loading and shows errors', { timeout: 60_000 }, async () => {
  const { page, errors } = await visit();
  await page.getByText('From an address').click();
  await page.locator('#url').fill(`${web.base}/models/none.gguf`);
  await page.locator('#load').click();
  await page.locator('#setup-error', { hasText: '404' }).waitFor();
  await page.screenshot({ path: artifact('chat-error.png') });
  if (model()) {
    await page.locator('#url').fill(`${web.base}/as/slow/models/${SMOLLM2}`);
    await page.locator('#load').click();
    await page.locator('#bar[value]').waitFor(); // a bar that moves
    await page.screenshot({ path: artifact('chat-loading.png') });
    await page.locator('#cancel-load').click();
    await page.locator('#progress').waitFor({ state: 'hidden' });
    assert.ok(await page.locator('#setup-error').isHidden());
  }
  assert.deepEqual(errors, []);
  await page.close();
});
