// The worker's script: an engine that is called by messages.

import { Engine } from './engine.js';
import { toWire } from './errors.js';
import type { Reply, Request } from './port.js';

/** The part of a worker's global scope that is used here. */
interface Scope {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Reply, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as Scope;
const engine = new Engine();
const running = new Map<number, AbortController>();

scope.onmessage = ({ data }) => {
  if ('cancel' in data) running.get(data.id)?.abort();
  else void answer(data.id, data.verb, data.args);
};

async function answer(id: number, verb: Parameters<Engine['call']>[0], args: unknown) {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const emit = (progress: Extract<Reply, { progress: unknown }>['progress']) => scope.postMessage({ id, progress });
    const result: unknown = await engine.call(verb, args as never, { signal: controller.signal, emit });
    scope.postMessage({ id, result }, ArrayBuffer.isView(result) ? [result.buffer as ArrayBuffer] : []);
  } catch (error) {
    scope.postMessage({ id, error: toWire(error) });
  } finally {
    running.delete(id);
  }
}
