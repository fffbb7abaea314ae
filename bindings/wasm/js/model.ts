/// <reference lib="esnext.disposable" preserve="true" />
// `Model`: a loaded model, wherever it runs.

import { Embedder } from './embedder.js';
import type { LoadArgs } from './engine.js';
import { invalid } from './errors.js';
import { absolute, inputs } from './sources.js';
import { LocalPort, type Port, WorkerPort } from './port.js';
import { Session } from './session.js';
import type {
  EmbedderOptions, Fit, FitOptions, LoadOptions, MemoryInfo, Message, ModelInfo, ModelSource, SessionOptions, Tokens,
} from './types.js';

type Where = Pick<LoadOptions, 'device' | 'level' | 'exact' | 'gelu' | 'worker' | 'wasm'>;

function loadArgs(source: ModelSource, { device = 'auto', level, exact, gelu, wasm }: Where): LoadArgs {
  const binary = wasm === undefined || wasm instanceof ArrayBuffer ? wasm : absolute(String(wasm));
  return { files: inputs(source), device, level, exact, gelu, wasm: binary };
}

function open({ worker = typeof Worker !== 'undefined' }: Where): Port {
  return worker ? new WorkerPort() : new LocalPort();
}

/**
 * What a model and one session of it would take on the device, and the longest context that fits, before it is loaded: of a
 * download only the header is waited for, then the connection is dropped. A model that this version cannot run rejects with
 * what loading would reject with, and the message names what is missing; one that does not fit does not reject.
 */
export async function fit(source: ModelSource, options: FitOptions = {}): Promise<Fit> {
  const { signal, memory, contextSize, batchSize, kv } = options;
  signal?.throwIfAborted();
  if (memory !== undefined && !(memory > 0)) throw invalid(`memory is ${memory}, not a positive number of bytes`);
  const args = { ...loadArgs(source, options), session: { contextSize, batchSize, kv } as SessionOptions, memory };
  const port = open(options);
  try {
    return await port.call('fit', args, { signal });
  } finally {
    port.close();
  }
}

/** A loaded model. Call `dispose()` when done, or declare it with `await using`. */
export class Model implements AsyncDisposable {
  readonly info: ModelInfo;
  readonly #port: Port;

  private constructor(port: Port, info: ModelInfo) {
    this.#port = port;
    this.info = info;
  }

  /** Loads a GGUF model. Its weights are streamed to the device; the file is never held as a whole. */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    const args = loadArgs(source, options);
    const port = open(options);
    try {
      return new Model(port, await port.call('load', args, { signal, onProgress }));
    } catch (error) {
      // what was half loaded must not stay on the device
      await port.call('dispose', undefined).catch(() => {});
      port.close();
      throw error;
    }
  }

  /**
   * Token ids of `text`. `addSpecial` (default true) adds the tokens the model wants around a text; `parseSpecial`
   * (default false) turns text such as `<|im_end|>` into control tokens: never set it for text from users.
   */
  tokenize(text: string, options: { addSpecial?: boolean; parseSpecial?: boolean } = {}): Promise<Uint32Array> {
    const { addSpecial = true, parseSpecial = false } = options;
    return this.#port.call('tokenize', { text, addSpecial, parseSpecial });
  }

  /** Text of token ids; control tokens are shown if `special`. */
  detokenize(tokens: Tokens, options: { special?: boolean } = {}): Promise<string> {
    return this.#port.call('detokenize', { tokens, special: options.special ?? false });
  }

  /**
   * Token ids of a conversation through the model's own chat template, by default with the start of an answer. The text
   * of messages cannot become control tokens.
   */
  chatTokens(messages: readonly Message[], options: { addGenerationPrompt?: boolean } = {}): Promise<Uint32Array> {
    const plain = messages.map(({ role, content }) => ({ role, content }));
    return this.#port.call('chatTokens', { messages: plain, answer: options.addGenerationPrompt ?? true });
  }

  /** A new session: one timeline with its own context. */
  async session(options: SessionOptions = {}): Promise<Session> {
    const { session, ...info } = await this.#port.call('session', { ...options });
    return new Session(this.#port, session, info);
  }

  /** Makes vectors or scores of whole texts, if the model is an encoder, a reranker or another that does not generate. */
  async embedder(options: EmbedderOptions = {}): Promise<Embedder> {
    for (const name of ['maxTokens', 'batchTokens', 'dimensions'] as const) {
      const value = options[name];
      const fine = value === undefined || (Number.isInteger(value) && value >= 0 && value < 2 ** 32);
      if (!fine) throw invalid(`${name} is ${value}, not a count`);
    }
    const { embedder, ...info } = await this.#port.call('embedder', { ...options });
    return new Embedder(this.#port, embedder, info);
  }

  /** What is held, in bytes. */
  memory(): Promise<MemoryInfo> {
    return this.#port.call('memory', undefined);
  }

  /** Frees the model and its sessions, on the GPU too, and ends the worker. Running calls fail with code `disposed`. */
  async dispose(): Promise<void> {
    await this.#port.call('dispose', undefined).catch(() => {});
    this.#port.close();
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
