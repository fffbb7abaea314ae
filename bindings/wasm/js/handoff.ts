// One value at a time from a producer that waits to a consumer that asks.

import { deferred, nextTask } from './task.js';

/**
 * The producer works one value ahead: it may go on as soon as its last value is taken. It then goes on in a task of its
 * own, so that the value's way out, and a message that stops everything, come before a long computation on this thread.
 */
export class Handoff<T> {
  #value = deferred<T | undefined>();
  #taken = deferred<void>();
  #closed = false;

  /** Offers a value; resolves when it is taken. */
  push(value: T): Promise<void> {
    this.#value.resolve(value);
    return this.#closed ? Promise.resolve() : this.#taken.promise;
  }

  /** Every later `next` gives undefined, or throws `error`. */
  end(error?: unknown) {
    if (error === undefined) return this.#value.resolve(undefined);
    // the consumer may never ask again
    this.#value.promise.catch(() => {});
    this.#value.reject(error);
  }

  /** The next value; undefined at the end. */
  async next(): Promise<T | undefined> {
    const value = await this.#value.promise;
    if (value !== undefined) {
      this.#value = deferred();
      const taken = this.#taken;
      this.#taken = deferred();
      void nextTask().then(taken.resolve);
    }
    return value;
  }

  /** Nobody will ask again: the producer, which is about to be stopped, never waits any more. */
  close() {
    this.#closed = true;
    this.#taken.resolve();
  }
}
