/// <reference lib="esnext.disposable" preserve="true" />
// `Session`, one timeline of a model, and `Generation`, a stream of text from it.

import type { Ending } from './engine.js';
import { invalid } from './errors.js';
import type { Port } from './port.js';
import type { GenerateOptions, Message, Piece, Prompt, SessionInfo, StopReason, Synced, Timings, Tokens } from './types.js';

interface Stoppable {
  signal?: AbortSignal;
}

/** One timeline of tokens. One call at a time: a second one while the first runs fails with `busy`. */
export class Session implements AsyncDisposable {
  readonly info: SessionInfo;
  readonly #port: Port;
  readonly #session: number;

  /** @internal */
  constructor(port: Port, session: number, info: SessionInfo) {
    this.#port = port;
    this.#session = session;
    this.info = info;
  }

  /**
   * Generates after `prompt`, which is the whole context: what the session already holds of it is not computed again.
   * Nothing runs before the first piece is asked for.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const { signal, ...rest } = options;
    const args = { session: this.#session, prompt: plain(prompt), options: checked(rest) };
    return new Generation(this.#port, () => this.#port.call('generate', args, { signal }), signal);
  }

  /** Makes the context exactly `tokens` and computes the logits after the last one. */
  sync(tokens: Tokens, { signal }: Stoppable = {}): Promise<Synced> {
    return this.#port.call('sync', { session: this.#session, tokens }, { signal });
  }

  /** Appends one token and computes the logits after it. */
  step(token: number, { signal }: Stoppable = {}): Promise<void> {
    return this.#port.call('step', { session: this.#session, token }, { signal });
  }

  /** Logits after the last token, `vocabSize` of them; empty where nothing was computed. */
  logits(): Promise<Float32Array> {
    return this.#port.call('logits', { session: this.#session });
  }

  /** -ln p of every token but the first, given those before it. Leaves `tokens` as the context. */
  score(tokens: Tokens, { signal }: Stoppable = {}): Promise<Float32Array> {
    return this.#port.call('score', { session: this.#session, tokens }, { signal });
  }

  /** The session as bytes: tokens, cache, recurrent states and logits, for `restore` of the same model on any device. */
  save(): Promise<Uint8Array> {
    return this.#port.call('save', { session: this.#session });
  }

  /** Makes the session one that was saved. Damaged bytes or another model's fail with `invalid_argument` and change nothing. */
  async restore(saved: Uint8Array): Promise<void> {
    await this.#port.call('restore', { session: this.#session, saved });
  }

  /** Another session with the same contents, which goes its own way from here. */
  async fork(): Promise<Session> {
    const { session, ...info } = await this.#port.call('fork', { session: this.#session });
    return new Session(this.#port, session, info);
  }

  /** Tokens in the context. */
  tokens(): Promise<Uint32Array> {
    return this.#port.call('tokens', { session: this.#session });
  }

  /** Empties the context. */
  async clear(): Promise<void> {
    await this.#port.call('clear', { session: this.#session });
  }

  /** Frees its cache on the device. */
  async dispose(): Promise<void> {
    await this.#port.call('closeSession', { session: this.#session }).catch(() => {});
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** A running generation: iterate it, or ask for its `text()`. Leaving the loop early stops it. */
export class Generation implements AsyncIterableIterator<Piece> {
  /** Why it ended, once it has. */
  stopReason: StopReason | undefined;
  /** How long it took, once it has ended by itself. */
  timings: Timings | undefined;
  readonly #port: Port;
  readonly #start: () => Promise<{ stream: number }>;
  readonly #signal: AbortSignal | undefined;
  #stream: Promise<{ stream: number }> | undefined;
  /** Calls come one after the other, however the iterator is used. */
  #tail: Promise<unknown> = Promise.resolve();
  #over = false;

  /** @internal */
  constructor(port: Port, start: () => Promise<{ stream: number }>, signal: AbortSignal | undefined) {
    this.#port = port;
    this.#start = start;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<Piece, undefined>> {
    return this.#queue(() => this.#next());
  }

  /** Stops it; the session keeps what was generated. */
  return(): Promise<IteratorResult<Piece, undefined>> {
    return this.#queue(async () => {
      await this.#stop();
      return { done: true, value: undefined };
    });
  }

  /** All text from here to the end. */
  async text(): Promise<string> {
    let text = '';
    for await (const piece of this) text += piece.text;
    return text;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<Piece, undefined>> {
    if (this.#over) return { done: true, value: undefined };
    try {
      this.#stream ??= this.#start();
      const { stream } = await this.#stream;
      const answer = await this.#port.call('next', { stream }, { signal: this.#signal });
      if ('piece' in answer) return { done: false, value: answer.piece };
      this.#end(answer);
      return { done: true, value: undefined };
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  #end({ stopReason, timings }: Ending) {
    this.#over = true;
    this.stopReason = stopReason;
    this.timings = timings;
  }

  async #stop() {
    if (this.#over) return;
    this.#over = true;
    const started = await this.#stream?.catch(() => undefined);
    if (started) await this.#port.call('stop', started).catch(() => {});
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }
}

/** Without anything that cannot cross to a worker. */
function plain(prompt: Prompt): Prompt {
  if (typeof prompt === 'string' || prompt instanceof Uint32Array) return prompt;
  if (!Array.isArray(prompt)) throw invalid('a prompt is a text, messages or token ids');
  if (typeof prompt[0] === 'number') return Uint32Array.from(prompt as number[]);
  return (prompt as Message[]).map(({ role, content }) => ({ role: String(role), content: String(content) }));
}

const NUMBERS = ['maxTokens', 'temperature', 'topK', 'topP', 'minP', 'logprobs'] as const;
const WHOLE = new Set<string>(['maxTokens', 'topK', 'logprobs']);

function checked({ stop = [], seed, ...options }: Omit<GenerateOptions, 'signal'>) {
  for (const name of NUMBERS) {
    const value = options[name];
    const fine = value === undefined || (Number.isFinite(value) && (!WHOLE.has(name) || isCount(value)));
    if (!fine) throw invalid(`${name} is ${value}, not a ${WHOLE.has(name) ? 'count' : 'number'}`);
  }
  const list = typeof stop === 'string' ? [stop] : [...stop];
  return { ...options, stop: list.map(String), seed: seed === undefined ? randomSeed() : BigInt.asUintN(64, BigInt(seed)) };
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

function randomSeed(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}
