// A chat page over the gabion package: pick a model, watch it load, talk to it, stop it.

import { Model } from '../../bindings/wasm/dist/index.js';

const $ = (id) => document.getElementById(id);
const MAX_TOKENS = 512;
/** Small models wander off at higher ones. */
const TEMPERATURE = 0.4;

/** The loaded model and its conversation. */
let model;
let session;
let messages = [];
/** Ends what runs: loading or a reply. */
let abort;

// ---- choosing and loading a model

/** What the server of this folder (serve.py) has; on another server there is only the address and the file. */
async function listModels() {
  const response = await fetch('models.json').catch(() => undefined);
  const models = response?.ok ? await response.json() : [];
  for (const { name, url, bytes } of models.reverse()) $('choices').querySelector('legend').after(choice(name, url, bytes));
  const first = document.querySelector('input[name="model"]');
  first.checked = true;
}

function choice(name, url, bytes) {
  const label = document.createElement('label');
  label.className = 'choice';
  const radio = Object.assign(document.createElement('input'), { type: 'radio', name: 'model', value: url });
  label.append(radio, span('title', name.replace(/\.gguf$/, '')), span('note', size(bytes)));
  radio.dataset.server = 'true';
  return label;
}

function span(className, textContent) {
  return Object.assign(document.createElement('span'), { className, textContent });
}

const size = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

function chosen() {
  const radio = document.querySelector('input[name="model"]:checked');
  if (radio?.dataset.server) return radio.value;
  if (radio?.value === 'url' && $('url').value) return $('url').value;
  if (radio?.value === 'file' && $('file').files.length) return [...$('file').files];
  throw new Error(radio?.value === 'file' ? 'Choose a GGUF file first.' : 'Enter the address of a GGUF file first.');
}

async function load(event) {
  event.preventDefault();
  fail($('setup-error'));
  abort = new AbortController();
  const started = performance.now();
  try {
    const source = chosen();
    loading(true);
    model = await Model.load(source, {
      device: $('device-choice').value,
      signal: abort.signal,
      onProgress: (progress) => showProgress(progress, performance.now() - started),
    });
    session = await model.session();
    openChat();
  } catch (error) {
    if (error.name !== 'AbortError') fail($('setup-error'), error);
    await unload();
  } finally {
    loading(false);
  }
}

function loading(on) {
  $('progress').hidden = !on;
  $('load').disabled = $('choices').disabled = on;
  $('bar').removeAttribute('value');
  $('progress-text').textContent = on ? 'Opening the device and the file…' : '';
}

function showProgress({ file, loaded, total }, ms) {
  $('model-name').textContent = file.replace(/\.gguf$/, '');
  if (!total) return;
  $('bar').max = total;
  $('bar').value = loaded;
  const rate = loaded ? ` · ${size((loaded / ms) * 1000)}/s` : '';
  $('progress-text').textContent = `${size(loaded)} of ${size(total)}${rate}`;
}

async function unload() {
  abort?.abort();
  await model?.dispose();
  model = session = undefined;
  $('chat').hidden = $('loaded').hidden = true;
  $('setup').hidden = false;
}

// ---- the conversation

function openChat() {
  const { name, architecture, device } = model.info;
  $('model-name').title = `${name ?? ''} (${architecture})`;
  $('device').textContent = device.name;
  $('device').title = `${device.backend}, ${device.kind}`;
  $('setup').hidden = true;
  $('chat').hidden = $('loaded').hidden = false;
  newChat();
}

function newChat() {
  abort?.abort();
  messages = [];
  const hint = model.info.hasChatTemplate ? 'Say something to begin.' : 'This model has no chat template: it continues your text.';
  $('messages').replaceChildren(item('hint', hint));
  $('stats').textContent = `${session.info.contextSize} tokens of context`;
  $('input').focus();
}

function item(className, textContent) {
  return Object.assign(document.createElement('li'), { className, textContent });
}

async function send(event) {
  event?.preventDefault();
  const text = $('input').value.trim();
  if (!text || !$('stop').hidden) return;
  $('input').value = '';
  if (messages.length === 0) $('messages').replaceChildren();
  messages.push({ role: 'user', content: text });
  $('messages').append(item('user', text));
  await reply();
}

/** The model's turn. What was written before a stop or an error stays in the conversation. */
async function reply() {
  const bubble = item('assistant running', '');
  $('messages').append(bubble);
  abort = new AbortController();
  running(true);
  const prompt = model.info.hasChatTemplate ? messages : messages.at(-1).content;
  const generation = session.generate(prompt, { maxTokens: MAX_TOKENS, temperature: TEMPERATURE, signal: abort.signal });
  try {
    await stream(generation, bubble);
    showTimings(generation);
  } catch (error) {
    if (error.name === 'AbortError') $('stats').textContent += ' · stopped';
    else if (model) bubble.after(Object.assign(item('error'), { textContent: error.message, role: 'alert' }));
  } finally {
    bubble.classList.remove('running');
    messages.push({ role: 'assistant', content: bubble.textContent });
    running(false);
  }
}

async function stream(generation, bubble) {
  $('stats').textContent = 'Reading…';
  let tokens = 0;
  let started;
  for await (const piece of generation) {
    const follow = $('scroll').scrollHeight - $('scroll').scrollTop - $('scroll').clientHeight < 80;
    bubble.append(piece.text);
    if (follow) $('scroll').scrollTop = $('scroll').scrollHeight;
    // the first token comes with the prompt: speed is counted from it on
    started ??= performance.now();
    tokens += 1;
    if (tokens > 1) $('stats').textContent = speed(tokens - 1, performance.now() - started);
  }
}

const speed = (tokens, ms) => `${((tokens * 1000) / ms).toFixed(1)} tokens/s`;

function showTimings({ timings, stopReason }) {
  const { prefillTokens, prefillMs, decodeTokens, decodeMs } = timings;
  const parts = [`prompt: ${prefillTokens} tokens in ${(prefillMs / 1000).toFixed(1)} s`, `reply: ${decodeTokens + 1} tokens`];
  if (decodeTokens) parts.unshift(speed(decodeTokens, decodeMs));
  if (stopReason === 'length') parts.push(`cut at ${MAX_TOKENS} tokens`);
  if (stopReason === 'context') parts.push('the context is full: start a new chat');
  $('stats').textContent = parts.join(' · ');
}

function running(on) {
  $('send').hidden = on;
  $('stop').hidden = !on;
  $('new-chat').disabled = on;
}

function fail(element, error) {
  element.hidden = !error;
  element.textContent = error?.message ?? '';
}

// ---- events

$('picker').addEventListener('submit', load);
$('cancel-load').addEventListener('click', () => abort.abort());
$('composer').addEventListener('submit', send);
$('stop').addEventListener('click', () => abort.abort());
$('new-chat').addEventListener('click', newChat);
$('unload').addEventListener('click', unload);
$('input').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) void send(event);
});
$('drop').addEventListener('dragover', (event) => event.preventDefault());
$('drop').addEventListener('drop', (event) => {
  event.preventDefault();
  $('file').files = event.dataTransfer.files;
  $('drop').querySelector('input').checked = true;
});

await listModels();
