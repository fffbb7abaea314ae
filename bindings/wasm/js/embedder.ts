/// <reference lib="esnext.disposable" preserve="true" />
// `Embedder`: whole texts through an encoder.

import { invalid } from './errors.js';
import type { Port } from './port.js';
import type { EmbedderInfo, Guess, Tokens } from './types.js';

interface Stoppable {
  /** Stops the call; it then rejects with the signal's reason, an `AbortError`. */
  signal?: AbortSignal;
}

/** Runs whole texts, several in one pass. One call at a time: a second one while the first runs fails with `busy`. */
export class Embedder implements AsyncDisposable {
  readonly info: EmbedderInfo;
  readonly #port: Port;
  readonly #embedder: number;

  /** @internal */
  constructor(port: Port, embedder: number, info: EmbedderInfo) {
    this.#port = port;
    this.#embedder = embedder;
    this.info = info;
  }

  /**
   * A vector of `info.dimensions` numbers for each text, in order; with pooling `none` as many for each token of the text, one
   * token after another. `kind` chooses the prefix.
   */
  embed(
    texts: readonly string[], { kind = 'plain', signal }: { kind?: 'plain' | 'query' | 'document' } & Stoppable = {},
  ): Promise<Float32Array[]> {
    if (!['plain', 'query', 'document'].includes(kind)) throw invalid(`kind is ${kind}, not plain, query or document`);
    return this.#port.call('embed', { embedder: this.#embedder, texts: strings(texts), kind }, { signal });
  }

  /** The vector of one text that is given as token ids, special ones included. */
  embedTokens(tokens: Tokens, { signal }: Stoppable = {}): Promise<Float32Array> {
    return this.#port.call('embedTokens', { embedder: this.#embedder, tokens }, { signal });
  }

  /**
   * How well each document answers the query: higher is better. The numbers are the model's logits, or of a model that says yes
   * or no (Qwen3-Reranker) the probability of yes.
   */
  rerank(query: string, documents: readonly string[], { signal }: Stoppable = {}): Promise<Float32Array> {
    const args = { embedder: this.#embedder, query: String(query), documents: strings(documents) };
    return this.#port.call('rerank', args, { signal });
  }

  /** A classifier's logits of each text, or of each pair [first, second]: one for each of `info.labels`. */
  classify(texts: readonly (string | readonly [string, string])[], { signal }: Stoppable = {}): Promise<Float32Array[]> {
    const pairs = texts.filter((text) => typeof text !== 'string').length;
    if (pairs !== 0 && pairs !== texts.length) throw invalid('texts and pairs cannot be mixed');
    const firsts = texts.map((text) => (typeof text === 'string' ? text : String(text[0])));
    const seconds = texts.flatMap((text) => (typeof text === 'string' ? [] : [String(text[1])]));
    return this.#port.call('classify', { embedder: this.#embedder, texts: firsts, seconds }, { signal });
  }

  /** For each mask (`[MASK]`) of a text the `top` likeliest tokens, best first. */
  fillMask(text: string, { top = 5, signal }: { top?: number } & Stoppable = {}): Promise<Guess[][]> {
    if (!Number.isInteger(top) || top < 0) throw invalid(`top is ${top}, not a count`);
    return this.#port.call('fillMask', { embedder: this.#embedder, text: String(text), top }, { signal });
  }

  /** Frees what it holds on the device. */
  async dispose(): Promise<void> {
    await this.#port.call('closeEmbedder', { embedder: this.#embedder }).catch(() => {});
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** A string would be an array of its characters. */
function strings(texts: readonly string[]): string[] {
  if (!Array.isArray(texts)) throw invalid('texts are an array of strings');
  return texts.map(String);
}
