// How calls reach the engine: through messages to a worker, or directly.

import { type Args, Engine, type Result, type Verb } from './engine.js';
import { fromWire, GabionError, toWire, type WireError } from './errors.js';
import { deferred, nextTask } from './task.js';
import type { Progress } from './types.js';

/** To the worker: a call, or the wish to end one. */
export type Request = { id: number; verb: Verb; args: unknown } | { id: number; cancel: true };
/** From the worker: progress of a call, or its one answer. */
export type Reply = { id: number; progress: Progress } | { id: number; result: unknown } | { id: number; error: WireError };

export interface CallOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Port {
  /** Calls a verb of the engine. Rejects with the signal's reason where the signal ended it, else a `GabionError`. */
  call<V extends Verb>(verb: V, args: Args<V>, options?: CallOptions): Promise<Result<V>>;
  /** Ends everything; calls that still run reject with code `disposed`. */
  close(): void;
}

/** An engine on this thread. Every call starts in a task of its own, so that a loop of calls does not starve a page. */
export class LocalPort implements Port {
  #engine = new Engine();

  async call<V extends Verb>(verb: V, args: Args<V>, { signal, onProgress }: CallOptions = {}): Promise<Result<V>> {
    await nextTask();
    const context = { signal: signal ?? new AbortController().signal, emit: onProgress ?? (() => {}) };
    return this.#engine.call(verb, args, context).catch((error: unknown) => {
      throw signal?.aborted ? signal.reason : fromWire(toWire(error));
    });
  }

  close() {}
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
  options: CallOptions;
}

/** An engine in a worker that this port starts. */
export class WorkerPort implements Port {
  #worker = startWorker();
  #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed: GabionError | undefined;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new GabionError('internal', `the worker failed: ${event.message || 'its script could not be loaded'}`));
    };
  }

  call<V extends Verb>(verb: V, args: Args<V>, options: CallOptions = {}): Promise<Result<V>> {
    const { signal } = options;
    if (this.#closed) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = ++this.#lastId;
    const { promise, resolve, reject } = deferred<Result<V>>();
    const cancel = () => this.#worker.postMessage({ id, cancel: true } satisfies Request);
    signal?.addEventListener('abort', cancel);
    this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject, options });
    this.#worker.postMessage({ id, verb, args } satisfies Request);
    return promise.finally(() => signal?.removeEventListener('abort', cancel));
  }

  close() {
    this.#fail(new GabionError('disposed', 'the model is disposed'));
  }

  #receive(reply: Reply) {
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    if ('progress' in reply) return pending.options.onProgress?.(reply.progress);
    this.#pending.delete(reply.id);
    const { signal } = pending.options;
    if ('result' in reply) pending.resolve(reply.result);
    else pending.reject(signal?.aborted ? signal.reason : fromWire(reply.error));
  }

  #fail(error: GabionError) {
    this.#closed ??= error;
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function startWorker(): Worker {
  // bundlers look for exactly this expression
  try {
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  } catch (error) {
    // a script from another origin (a CDN) may be imported by a worker, but not be one
    if ((error as Error).name !== 'SecurityError') throw error;
    const script = `import ${JSON.stringify(new URL('./worker.js', import.meta.url).href)};`;
    const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    return new Worker(url, { type: 'module' });
  }
}
