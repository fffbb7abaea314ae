// The model where it runs: in a worker or on the caller's thread. Each method is one verb of the protocol between them.

import init, * as wasm from './wasm/gabion.js';
import { GabionError, invalid, toWire } from './errors.js';
import { Handoff } from './handoff.js';
import { files, type FileInput } from './sources.js';
import { deferred } from './task.js';
import type {
  EmbedderInfo, EmbedderOptions, Fit, GenerateOptions, Guess, LoadOptions, MemoryInfo, ModelInfo, Piece, Progress, Prompt, SessionInfo, SessionOptions, StopReason,
  Synced, Timings, Tokens,
} from './types.js';

/** What comes with every call: a signal that the caller wants it ended, and a way back for progress. */
export interface Context {
  signal: AbortSignal;
  emit(progress: Progress): void;
}

export interface LoadArgs {
  files: FileInput[];
  device: NonNullable<LoadOptions['device']>;
  level: string | undefined;
  exact: LoadOptions['exact'];
  gelu: LoadOptions['gelu'];
  wasm: string | ArrayBuffer | undefined;
}

export interface FitArgs extends LoadArgs {
  session: SessionOptions;
  memory: number | undefined;
}

export interface GenerateArgs {
  session: number;
  prompt: Prompt;
  options: Omit<GenerateOptions, 'signal' | 'stop' | 'seed'> & { stop: string[]; seed: bigint };
}

/** How a generation ended. */
export interface Ending {
  stopReason: StopReason;
  timings: Timings;
}

/** A generation in progress. */
interface Stream {
  session: wasm.Session;
  pieces: Handoff<Piece>;
  timings: Timings;
  stopReason: StopReason;
  /** Settles, never rejects, when the core has let go of the session. */
  done: Promise<void>;
}

/** The core's word for a device. The core must not look for WebGPU where there is none: Node, or a page without https. */
function deviceName(device: LoadArgs['device']): string {
  if (device === 'cpu' || (device === 'auto' && !gpu())) return 'cpu';
  if (gpu()) return device === 'auto' ? 'auto' : 'gpu';
  const reason = globalThis.isSecureContext ? 'this browser has no WebGPU' : 'WebGPU needs a page served by https';
  throw new GabionError('device', `${reason}; use device 'cpu' or 'auto'`);
}

/** The part of `navigator.gpu` that is used here. */
interface Gpu {
  requestAdapter(options: object): Promise<{ info: Record<string, string> } | null>;
}

function gpu(): Gpu | undefined {
  return (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
}

/** The one wasm instance of this thread. */
let memory: WebAssembly.Memory | undefined;
let death: GabionError | undefined;
/** Ends of the calls that run. */
const running = new Set<(error: GabionError) => void>();

/** After a panic or a trap nothing in the instance can be trusted: every call, running or later, fails. */
function die(message: string) {
  death ??= new GabionError('internal', message);
  for (const reject of running) reject(death);
}

/** `work`, or the instance's death if that comes first. */
function alive<T>(work: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = deferred<T>();
  running.add(reject);
  work.then(resolve, reject);
  return promise.finally(() => running.delete(reject));
}

async function start(source: LoadArgs['wasm']) {
  const options = source === undefined ? undefined : { module_or_path: source };
  const exports = await init(options).catch((error: unknown) => {
    throw new GabionError('io', `cannot load the wasm module: ${error}`);
  });
  if (!memory) watch();
  memory = exports.memory;
}

/** A panic, or a trap (out of memory) while the core goes on with a future, rejects no promise by itself. */
function watch() {
  wasm.onPanic(die);
  globalThis.addEventListener?.('error', ({ error }: ErrorEvent) => {
    if (error instanceof WebAssembly.RuntimeError) die(trapped(error));
  });
}

function trapped(error: WebAssembly.RuntimeError): string {
  return `the wasm instance ended: ${error.message}`;
}

export class Engine {
  #runtime: wasm.Runtime | undefined;
  #model: wasm.Model | undefined;
  #sessions = new Map<number, wasm.Session>();
  #embedders = new Map<number, wasm.Embedder>();
  #streams = new Map<number, Stream>();
  #lastId = 0;

  /** Calls a verb by its name. */
  async call<V extends Verb>(verb: V, args: Args<V>, context: Context): Promise<Result<V>> {
    context.signal.throwIfAborted();
    if (death) throw death;
    const run = this[verb].bind(this) as (args: Args<V>, context: Context) => Promise<Result<V>>;
    const result = new Promise<Result<V>>((resolve) => resolve(run(args, context)));
    result.catch((error: unknown) => {
      if (error instanceof WebAssembly.RuntimeError) die(trapped(error));
    });
    return alive(result);
  }

  async load(args: LoadArgs, { signal, emit }: Context): Promise<ModelInfo> {
    await start(args.wasm);
    this.#runtime = await wasm.Runtime.open(deviceName(args.device), args.level);
    const list = files(args.files, signal);
    try {
      await Promise.all(list.map((file) => file.open()));
      const progress = { file: list[0]!.name, loaded: 0, total: 0 };
      emit({ ...progress, status: 'initiate' });
      const tell = (loaded: number, total: number) => {
        Object.assign(progress, { loaded, total });
        emit({ ...progress, status: 'progress' });
        return !signal.aborted;
      };
      this.#model = await wasm.Model.load(this.#runtime, list, args, tell);
      emit({ ...progress, status: 'ready' });
    } finally {
      list.forEach((file) => file.close());
    }
    return { ...this.#model.info(), device: await describe(this.#runtime, args.exact) };
  }

  /** Reads the headers of a model's files; nothing of it stays. */
  async fit(args: FitArgs, { signal }: Context): Promise<Fit> {
    await start(args.wasm);
    const runtime = await wasm.Runtime.open(deviceName(args.device), args.level);
    const list = files(args.files, signal);
    try {
      await Promise.all(list.map((file) => file.open()));
      const found = await runtime.fit(list, args, args.session, args.memory);
      return { ...found, device: await describe(runtime, args.exact) };
    } finally {
      list.forEach((file) => file.close());
      runtime.free();
    }
  }

  tokenize(args: { text: string; addSpecial: boolean; parseSpecial: boolean }): Uint32Array {
    return this.#loaded().tokenize(args.text, args.addSpecial, args.parseSpecial);
  }

  detokenize(args: { tokens: Tokens; special: boolean }): string {
    return this.#loaded().detokenize(Uint32Array.from(args.tokens), args.special);
  }

  chatTokens(args: { messages: { role: string; content: string }[]; answer: boolean }): Uint32Array {
    const roles = args.messages.map((message) => message.role);
    return this.#loaded().chatTokens(roles, args.messages.map((message) => message.content), args.answer);
  }

  memory(): MemoryInfo {
    return { wasmBytes: memory!.buffer.byteLength, weightBytes: this.#loaded().info().weightBytes };
  }

  session(options: SessionOptions): { session: number } & SessionInfo {
    return this.#keep(this.#loaded().session(options));
  }

  fork(args: { session: number }): { session: number } & SessionInfo {
    return this.#keep(this.#session(args.session).fork());
  }

  save(args: { session: number }): Promise<Uint8Array> {
    return this.#session(args.session).save();
  }

  restore(args: { session: number; saved: Uint8Array }) {
    this.#session(args.session).restore(args.saved);
  }

  embedder(options: EmbedderOptions): { embedder: number } & EmbedderInfo {
    const embedder = this.#loaded().embedder(options);
    this.#embedders.set(++this.#lastId, embedder);
    return { embedder: this.#lastId, ...embedder.info() };
  }

  embed(args: { embedder: number; texts: string[]; kind: string }, { signal }: Context): Promise<Float32Array[]> {
    const embedder = this.#embedder(args.embedder);
    return cancellable(embedder, signal, embedder.embed(args.texts, args.kind) as Promise<Float32Array[]>);
  }

  embedTokens(args: { embedder: number; tokens: Tokens }, { signal }: Context): Promise<Float32Array> {
    const embedder = this.#embedder(args.embedder);
    return cancellable(embedder, signal, embedder.embedTokens(Uint32Array.from(args.tokens)));
  }

  rerank(args: { embedder: number; query: string; documents: string[] }, { signal }: Context): Promise<Float32Array> {
    const embedder = this.#embedder(args.embedder);
    return cancellable(embedder, signal, embedder.rerank(args.query, args.documents));
  }

  classify(args: { embedder: number; texts: string[]; seconds: string[] }, { signal }: Context): Promise<Float32Array[]> {
    const embedder = this.#embedder(args.embedder);
    return cancellable(embedder, signal, embedder.classify(args.texts, args.seconds) as Promise<Float32Array[]>);
  }

  fillMask(args: { embedder: number; text: string; top: number }, { signal }: Context): Promise<Guess[][]> {
    const embedder = this.#embedder(args.embedder);
    return cancellable(embedder, signal, embedder.fillMask(args.text, args.top) as Promise<Guess[][]>);
  }

  closeEmbedder(args: { embedder: number }) {
    const embedder = this.#embedder(args.embedder);
    this.#embedders.delete(args.embedder);
    embedder.free();
  }

  sync(args: { session: number; tokens: Tokens }, { signal }: Context): Promise<Synced> {
    const session = this.#session(args.session);
    return cancellable(session, signal, session.sync(Uint32Array.from(args.tokens)));
  }

  step(args: { session: number; token: number }, { signal }: Context): Promise<void> {
    const session = this.#session(args.session);
    return cancellable(session, signal, session.step(args.token));
  }

  score(args: { session: number; tokens: Tokens }, { signal }: Context): Promise<Float32Array> {
    const session = this.#session(args.session);
    return cancellable(session, signal, session.score(Uint32Array.from(args.tokens)));
  }

  logits(args: { session: number }): Promise<Float32Array> {
    return this.#session(args.session).logits();
  }

  tokens(args: { session: number }): Uint32Array {
    return this.#session(args.session).tokens();
  }

  clear(args: { session: number }) {
    this.#session(args.session).clear();
  }

  /** Computes the prompt and starts to generate. */
  async generate(args: GenerateArgs, { signal }: Context): Promise<{ stream: number }> {
    const session = this.#session(args.session);
    const tokens = this.#promptTokens(args.prompt);
    const { stream, ready } = produce(session, tokens, args.options);
    await cancellable(session, signal, ready);
    this.#streams.set(++this.#lastId, stream);
    return { stream: this.#lastId };
  }

  /** The next piece, or how it ended. */
  async next(args: { stream: number }, { signal }: Context): Promise<{ piece: Piece } | Ending> {
    const stream = this.#stream(args.stream);
    const piece = await cancellable(stream.session, signal, stream.pieces.next());
    if (piece) return { piece };
    this.#streams.delete(args.stream);
    return { stopReason: stream.stopReason, timings: stream.timings };
  }

  /** Ends a generation that nobody reads any more. */
  async stop(args: { stream: number }) {
    const stream = this.#streams.get(args.stream);
    if (!stream) return;
    this.#streams.delete(args.stream);
    stream.session.cancel();
    stream.pieces.close();
    await stream.done;
  }

  async closeSession(args: { session: number }) {
    const session = this.#session(args.session);
    for (const [stream, { session: owner }] of this.#streams) {
      if (owner === session) await this.stop({ stream });
    }
    this.#sessions.delete(args.session);
    session.free();
  }

  /** Frees everything on the device. */
  async dispose() {
    for (const session of [...this.#sessions.keys()]) await this.closeSession({ session });
    for (const embedder of [...this.#embedders.keys()]) this.closeEmbedder({ embedder });
    this.#model?.free();
    this.#runtime?.free();
    this.#model = this.#runtime = undefined;
  }

  #loaded(): wasm.Model {
    if (!this.#model) throw new GabionError('disposed', 'the model is disposed');
    return this.#model;
  }

  #keep(session: wasm.Session): { session: number } & SessionInfo {
    this.#sessions.set(++this.#lastId, session);
    return { session: this.#lastId, ...session.info() };
  }

  #session(id: number): wasm.Session {
    const session = this.#sessions.get(id);
    if (!session) throw new GabionError('disposed', 'the session is disposed');
    return session;
  }

  #embedder(id: number): wasm.Embedder {
    const embedder = this.#embedders.get(id);
    if (!embedder) throw new GabionError('disposed', 'the embedder is disposed');
    return embedder;
  }

  #stream(id: number): Stream {
    const stream = this.#streams.get(id);
    if (!stream) throw new GabionError('disposed', 'the generation is over');
    return stream;
  }

  #promptTokens(prompt: Prompt): Uint32Array {
    if (typeof prompt === 'string') return this.tokenize({ text: prompt, addSpecial: true, parseSpecial: false });
    if (prompt.length === 0) throw invalid('the prompt is empty');
    if (typeof prompt[0] === 'number') return Uint32Array.from(prompt as Tokens);
    return this.chatTokens({ messages: prompt as { role: string; content: string }[], answer: true });
  }
}

type Methods = Omit<Engine, 'call'>;
export type Verb = keyof Methods;
export type Args<V extends Verb> = Parameters<Methods[V]> extends [infer A, ...unknown[]] ? A : undefined;
export type Result<V extends Verb> = Awaited<ReturnType<Methods[V]>>;

/** Starts a generation whose pieces go through a `Handoff`; `ready` settles when the prompt is computed. */
function produce(session: wasm.Session, tokens: Uint32Array, options: GenerateArgs['options']) {
  const ready = deferred<void>();
  const timings = { prefillTokens: 0, prefillMs: 0, decodeTokens: -1, decodeMs: 0 };
  const stream: Stream = { session, pieces: new Handoff(), timings, stopReason: 'eog', done: Promise.resolve() };
  let resumed = performance.now();
  const lap = () => -resumed + (resumed = performance.now());
  const prompt = (_reused: number, computed: number) => {
    Object.assign(timings, { prefillTokens: computed, prefillMs: lap() });
    ready.resolve();
  };
  const piece = async (text: string, token: Piece['token']) => {
    const elapsed = lap();
    if (timings.decodeTokens >= 0) timings.decodeMs += elapsed;
    if (token) timings.decodeTokens += 1;
    await stream.pieces.push({ text, token });
    lap();
  };
  const ended = (reason: string) => {
    stream.stopReason = reason as StopReason;
    timings.decodeTokens = Math.max(timings.decodeTokens, 0);
    stream.pieces.end();
  };
  const failed = (error: unknown) => {
    ready.reject(error);
    stream.pieces.end(error);
  };
  stream.done = session.generate(tokens, options, prompt, piece).then(ended, failed);
  return { stream, ready: ready.promise };
}

/** `work`, with whoever does it told to stop when `signal` aborts. */
async function cancellable<T>(worker: { cancel(): void }, signal: AbortSignal, work: Promise<T>): Promise<T> {
  const cancel = () => worker.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel);
  try {
    return await work;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** The core's description, with the adapter's name where wgpu does not pass it on. */
async function describe(runtime: wasm.Runtime, exact = false): Promise<ModelInfo['device']> {
  const info = runtime.info(exact) as ModelInfo['device'];
  if (info.backend !== 'webgpu') return info;
  const adapter = (await gpu()?.requestAdapter({ powerPreference: 'high-performance' }))?.info;
  const known = [adapter?.['vendor'], adapter?.['architecture'], adapter?.['description']].filter(Boolean);
  return known.length ? { ...info, name: `WebGPU (${known.join(' ')})` } : info;
}
