// What the tests share: where things lie, the server, and Chromium with WebGPU on SwiftShader.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from './server.mjs';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SHARED = process.env.GABION_SHARED ?? join(ROOT, '../shared');
const OWN_TINY = join(ROOT, 'tests/fixtures/tiny');
const CACHE = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
export const MODELS = process.env.GABION_MODELS ?? join(CACHE, 'gabion');
export const ARTIFACTS = join(ROOT, 'tests/artifacts');
export const SMOLLM2 = 'SmolLM2-135M-Instruct.Q4_1.gguf';

const FLAGS = [
  '--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic', '--no-first-run',
];

/** `path` if it is there; else says what is skipped. */
function present(path) {
  if (existsSync(path)) return path;
  console.error(`skipped: ${path} is not here`);
  return undefined;
}

/** A small model with random weights or its golden logits: one of the repository's own, or of the shared ones. */
export function tiny(name) {
  const own = join(OWN_TINY, name);
  return existsSync(own) ? own : present(join(SHARED, 'tiny', name));
}

export const model = (name = SMOLLM2) => present(join(MODELS, name));

/** Golden answers made by another engine: a list of { text, prompt_ids, greedy, greedy_text }. */
export function golden(name) {
  const path = present(join(SHARED, 'golden', name));
  return path && JSON.parse(readFileSync(path, 'utf8'));
}

/** A server, of `folders` too, and a Chromium with a page on it. `flags: []` is a browser without WebGPU. */
export async function open({ flags = FLAGS, folders = {} } = {}) {
  const server = await serve({
    ...folders,
    '/package/': join(ROOT, 'bindings/wasm/dist'),
    '/examples/': join(ROOT, 'examples'),
    '/bindings/wasm/dist/': join(ROOT, 'bindings/wasm/dist'),
    '/checks/': join(ROOT, 'tests/browser/checks/dist'),
    '/lib/': join(ROOT, 'tests/browser/lib'),
    '/models/': MODELS,
    '/shared/tiny/': OWN_TINY,
    '/shared/': SHARED,
    '/': join(ROOT, 'tests/browser/pages'),
  });
  const executablePath = process.env.GABION_CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: flags, timeout: 60_000 });
  const page = await browser.newPage();
  page.on('console', (message) => console.error(`[page] ${message.text()}`));
  page.on('pageerror', (error) => console.error(`[page] ${error}`));
  await page.goto(server.base);
  const close = async () => {
    await browser.close();
    await server.close();
  };
  return { ...server, browser, page, close };
}

/** Runs the command line natively and gives its JSON. */
export function native(args) {
  const found = [process.env.GABION_BIN, 'target/release/gabion', 'target/debug/gabion'];
  const binary = found.filter(Boolean).map((path) => join(ROOT, path)).find(existsSync);
  if (!binary) throw new Error('build the command line first: cargo build -p gabion-cli');
  return JSON.parse(execFileSync(binary, args, { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] }));
}

export function artifact(name) {
  mkdirSync(ARTIFACTS, { recursive: true });
  return join(ARTIFACTS, name);
}
