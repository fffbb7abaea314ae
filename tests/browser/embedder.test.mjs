// Embedders in a real browser, on WebGPU and on the CPU in wasm: the golden states, heads, cancelling, what is refused.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { open, ROOT, tiny } from './lib/setup.mjs';

const program = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/gabion-toys');
if (!existsSync(program)) console.error(`skipped: ${program} is not here; cargo build makes it`);

let web;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gabion-toys-'));
  if (existsSync(program)) execFileSync(program, [folder]);
  web = await open({ folders: { '/toys/': folder } });
});
after(async () => {
  await web?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs `body(model, argument)` in the page on a model; what it throws comes back as data. */
async function inPage(url, device, body, argument) {
  const source = `async ({ url, device, argument }) => {
    const { Model } = await import('/package/index.js');
    const model = await Model.load(url, { device, exact: true });
    const thrown = (work) => work().then(() => null, ({ name, code, message }) => ({ name, code, message }));
    try { return await (${body})(model, argument, thrown); } finally { await model.dispose(); }
  }`;
  return web.page.evaluate(`(${source})(${JSON.stringify({ url, device, argument })})`);
}

/** The part of `want` that `got` is off by, in mean squares. */
function nmse(want, got) {
  assert.equal(got.length, want.length);
  const square = (numbers) => numbers.reduce((sum, x) => sum + x * x, 0);
  return square(want.map((x, i) => x - got[i])) / square(want);
}

for (const [name, device] of [['WebGPU on SwiftShader', 'webgpu'], ['the CPU', 'cpu']]) {
  for (const arch of ['bert', 'nomic-bert']) {
    test(`${arch} gives the golden states on ${name}`, { skip: !tiny(`${arch}.gguf`), timeout: 300_000 }, async () => {
      const golden = JSON.parse(readFileSync(tiny(`${arch}.json`), 'utf8'));
      const body = async (model, prompts) => {
        const embedder = await model.embedder({ normalize: false, pooling: 'mean' });
        const all = [];
        for (const ids of prompts) all.push(Array.from(await embedder.embedTokens(ids)));
        return all;
      };
      const found = await inPage(`/shared/tiny/${arch}.gguf`, device, body, golden.prompts.map(({ ids }) => ids));
      const off = found.map((vector, i) => nmse(golden.prompts[i].pooled_mean, vector));
      console.error(`${arch}, ${name}: NMSE ${off.map((x) => x.toExponential(1)).join(' ')}`);
      // the golden answers have the tanh form of GELU
      assert.ok(off.every((x) => x < 1e-4), `${off}`);
    });
  }

  describe(`embedders on ${name}`, { skip: !existsSync(program) }, () => {
    test('texts together and alone', { timeout: 300_000 }, async () => {
      const body = async (model) => {
        const embedder = await model.embedder({ queryPrefix: 'a ' });
        const texts = ['the cat sat', 'a dog', '', 'the mat on the mat', 'dog', 'the cat sat'];
        const plain = (vectors) => vectors.map((vector) => Array.from(vector));
        const together = plain(await embedder.embed(texts));
        const alone = [];
        for (const text of texts) alone.push(...plain(await embedder.embed([text])));
        const query = plain(await embedder.embed(['dog'], { kind: 'query' }));
        const states = await (await model.embedder({ pooling: 'none' })).embed(['the cat']);
        return { info: embedder.info, together, alone, query, states: states[0].length };
      };
      const { info, together, alone, query, states } = await inPage('/toys/encoder.gguf', device, body);
      assert.deepEqual([info.task, info.pooling, info.dimensions, info.maxTokens], ['embed', 'mean', 32, 64]);
      alone.forEach((vector, i) => assert.ok(nmse(vector, together[i]) < 1e-10));
      assert.ok(nmse(together[0], together[1]) > 1e-4 && nmse(together[0], together[5]) < 1e-10);
      assert.ok(nmse(query[0], alone[1]) < 1e-10);
      assert.equal(states, 4 * 32);
    });

    test('scores and masks', { timeout: 300_000 }, async () => {
      const scores = async (model) => {
        const embedder = await model.embedder();
        const single = await embedder.classify(['the cat', 'a dog']);
        const pairs = await embedder.classify([['the cat', 'a dog'], ['the cat', 'the mat']]);
        return { info: embedder.info, single: single.map((x) => Array.from(x)), pairs: pairs.map((x) => Array.from(x)) };
      };
      const { info, single, pairs } = await inPage('/toys/classifier.gguf', device, scores);
      assert.deepEqual([info.task, info.scores, info.labels], ['score', 2, ['bad', 'good']]);
      assert.ok(single.length === 2 && single[0].length === 2 && pairs[0][0] !== pairs[1][0] && pairs[0][0] !== single[0][0]);
      const rank = async (model) => {
        const embedder = await model.embedder();
        return Array.from(await embedder.rerank('the cat', ['a dog', 'the mat', 'a dog', 'mat', 'on', 'sat']));
      };
      const ranks = await inPage('/toys/reranker.gguf', device, rank);
      assert.ok(ranks.length === 6 && Math.abs(ranks[0] - ranks[2]) < 1e-4 && Math.abs(ranks[0] - ranks[1]) > 1e-4);
      const fill = async (model) => (await model.embedder()).fillMask('the [MASK] on [MASK]', { top: 3 });
      const masks = await inPage('/toys/fills.gguf', device, fill);
      assert.deepEqual(masks.map((mask) => mask.length), [3, 3]);
      assert.ok(masks[0][0].probability >= masks[0][1].probability && typeof masks[0][0].text === 'string');
    });
  });
}

describe('what embedders refuse', { skip: !existsSync(program) }, () => {
  test('models that are not for it', { timeout: 120_000 }, async () => {
    const decoder = await inPage('/toys/decoder.gguf', 'cpu', (model, _, thrown) => thrown(() => model.embedder()));
    assert.equal(decoder.code, 'unsupported');
    assert.match(decoder.message, /llama\.pooling_type/);
    const body = async (model, _, thrown) => {
      const embedder = await model.embedder({ maxTokens: 4 });
      const works = [
        () => model.session(),
        () => embedder.rerank('a', ['b']),
        () => embedder.classify(['a']),
        () => embedder.fillMask('[MASK]'),
        () => embedder.embed([]),
        () => embedder.embed(['the cat sat on the mat']),
        () => embedder.embedTokens([99]),
        async () => embedder.embed('a text'),
        async () => embedder.embed(['a'], { kind: 'title' }),
        () => model.embedder({ pooling: 'max' }),
        () => model.embedder({ dimensions: -1 }),
        () => model.embedder({ dimensions: 33 }),
      ];
      const codes = [];
      for (const work of works) codes.push((await thrown(work))?.code);
      await embedder.dispose();
      codes.push((await thrown(() => embedder.embed(['a'])))?.code);
      return codes;
    };
    const codes = await inPage('/toys/encoder.gguf', 'cpu', body);
    const wrong = 'invalid_argument';
    const wanted = [...Array(4).fill('unsupported'), wrong, 'context_full', ...Array(6).fill(wrong), 'disposed'];
    assert.deepEqual(codes, wanted);
  });

  test('a call is stopped, and a second one waits for nobody', { timeout: 120_000 }, async () => {
    const body = async (model, _, thrown) => {
      const embedder = await model.embedder();
      const many = Array(20000).fill('the cat sat on the mat');
      const controller = new AbortController();
      const first = thrown(() => embedder.embed(many, { signal: controller.signal }));
      const second = await thrown(() => embedder.embed(['a']));
      controller.abort();
      const { name } = await first;
      return { name, busy: second.code, after: (await embedder.embed(['a'])).length };
    };
    const found = await inPage('/toys/encoder.gguf', 'cpu', body);
    assert.deepEqual(found, { name: 'AbortError', busy: 'busy', after: 1 });
  });
});
