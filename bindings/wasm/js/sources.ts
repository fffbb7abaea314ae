// Files as the core reads them: forward, a few MiB at a time. Nothing here holds more than one block of a file.

import { GabionError, invalid } from './errors.js';
import type { ModelInput, ModelSource } from './types.js';

/** What the core needs of a file. */
export interface ModelFile {
  readonly name: string;
  /** Length in bytes, once open; undefined where it is not known before the end. */
  readonly size: number | undefined;
  open(): Promise<void>;
  /** 1 to `max` bytes at `offset`; none at the end of the file. */
  read(offset: number, max: number): Promise<Uint8Array>;
  close(): void;
}

/** Input that may cross to a worker. */
export type FileInput = string | Blob | ArrayBuffer;

const SHARD = /-00001-of-(\d{5})\.gguf(?=$|[?#])/;

/** All files of `source`, as values that may cross to a worker: relative addresses are resolved here. */
export function inputs(source: ModelSource): FileInput[] {
  const list = Array.isArray(source) ? (source as readonly ModelInput[]) : [source as ModelInput];
  if (list.length === 0) throw invalid('no model file was given');
  const files = list.map(input);
  const [only] = files;
  return files.length === 1 && typeof only === 'string' ? shards(only) : files;
}

function input(value: ModelInput): FileInput {
  if (typeof value === 'string' || value instanceof URL) return absolute(String(value));
  if (value instanceof Blob || value instanceof ArrayBuffer) return value;
  throw invalid('a model is a URL, a File, a Blob or an ArrayBuffer');
}

/** `address` against the page's own, since a worker's base would be its script. */
export function absolute(address: string): string {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  try {
    return new URL(address, base).href;
  } catch {
    throw invalid(`'${address}' is not a URL`);
  }
}

function shards(first: string): string[] {
  const count = Number(SHARD.exec(first)?.[1] ?? 1);
  const name = (i: number) => first.replace(SHARD, (_, n: string) => `-${String(i + 1).padStart(5, '0')}-of-${n}.gguf`);
  return Array.from({ length: Math.max(count, 1) }, (_, i) => name(i));
}

/** A file per input, in order. */
export function files(list: readonly FileInput[], signal: AbortSignal): ModelFile[] {
  const turn: Turn = {};
  return list.map((value) => {
    if (typeof value === 'string') return new UrlFile(value, signal, turn);
    return value instanceof Blob ? new BlobFile(value) : new BufferFile(value);
  });
}

class BufferFile implements ModelFile {
  readonly name = 'ArrayBuffer';
  readonly size: number;
  constructor(private readonly buffer: ArrayBuffer) {
    this.size = buffer.byteLength;
  }
  async open() {}
  async read(offset: number, max: number) {
    const start = Math.min(offset, this.size);
    return new Uint8Array(this.buffer, start, Math.min(max, this.size - start));
  }
  close() {}
}

class BlobFile implements ModelFile {
  readonly name: string;
  readonly size: number;
  constructor(private readonly blob: Blob) {
    this.name = 'name' in blob ? String(blob.name) : 'Blob';
    this.size = blob.size;
  }
  async open() {}
  async read(offset: number, max: number) {
    return new Uint8Array(await this.blob.slice(offset, offset + max).arrayBuffer());
  }
  close() {}
}

/** Which of several downloads is connected. A browser opens only a few connections to a host, so the others let go. */
interface Turn {
  active?: UrlFile;
}

const NOTHING = new Uint8Array();
/** Bytes that are rather read and dropped than skipped by a new request. */
const SKIP = 4 << 20;
/** New requests after a broken connection before any byte has come again. */
const RETRIES = 3;

/**
 * A download. One request serves the whole file where it is read forward; where the server answers ranges, a broken
 * connection is taken up again and large gaps are not transferred.
 */
class UrlFile implements ModelFile {
  readonly name: string;
  size: number | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #block: Uint8Array = NOTHING;
  /** Offset of the block's first byte. */
  #at = 0;
  #ranges = false;
  #failures = 0;

  constructor(private readonly url: string, private readonly signal: AbortSignal, private readonly turn: Turn) {
    this.name = decodeURIComponent(new URL(url).pathname.split('/').pop() ?? '') || url;
  }

  async open() {
    await this.#connect(0);
  }

  async read(offset: number, max: number) {
    await this.#seek(offset);
    while (this.#block.length === 0) {
      if (!(await this.#pull())) return NOTHING;
    }
    const part = this.#block.subarray(0, max);
    this.#drop(part.length);
    return part;
  }

  close() {
    // a connection that is already broken has nothing more to say
    this.#reader?.cancel().catch(() => {});
    this.#reader = undefined;
    this.#block = NOTHING;
  }

  async #connect(offset: number) {
    this.#release();
    // a range request is also how a browser is told not to let the server compress, which would hide the length
    const headers = { Range: `bytes=${offset}-` };
    const response = await fetch(this.url, { headers, signal: this.signal }).catch((error: unknown) => {
      throw new GabionError('io', `cannot fetch ${this.url}: ${(error as Error).message}`);
    });
    if (!response.ok || !response.body) {
      throw new GabionError('io', `cannot fetch ${this.url}: HTTP ${response.status} ${response.statusText}`.trim());
    }
    this.#ranges = response.status === 206;
    this.size ??= wholeSize(response, offset);
    this.#reader = response.body.getReader();
    this.#at = this.#ranges ? offset : 0;
    if (this.#at !== offset) throw new GabionError('io', `${this.url}: the server cannot resume a download`);
  }

  /** Takes the connection over from the file that has it, which can come back only with ranges. */
  #release() {
    const { active } = this.turn;
    if (active && active.#ranges) active.close();
    this.turn.active = this;
  }

  async #seek(offset: number) {
    const gap = offset - this.#at - this.#block.length;
    if (!this.#reader || offset < this.#at || (gap > SKIP && this.#ranges)) {
      this.close();
      await this.#connect(offset);
    }
    while (this.#at < offset) {
      if (this.#block.length === 0 && !(await this.#pull())) return;
      this.#drop(Math.min(offset - this.#at, this.#block.length));
    }
  }

  #drop(length: number) {
    this.#block = this.#block.subarray(length);
    this.#at += length;
  }

  /** The next block; false at the end of the file. */
  async #pull(): Promise<boolean> {
    try {
      const { value, done } = await this.#reader!.read();
      if (!done) {
        this.#block = value;
        this.#failures = 0;
        return true;
      }
      if (this.size === undefined || this.#at >= this.size) return false;
    } catch (error) {
      const hopeless = this.signal.aborted || !this.#ranges || this.#failures >= RETRIES;
      if (hopeless) throw new GabionError('io', `${this.url}: the download broke at byte ${this.#at}: ${error}`);
    }
    if (!this.#ranges || this.#failures >= RETRIES) return false;
    this.#failures += 1;
    await this.#connect(this.#at);
    return true;
  }
}

/** The file's length as the answer to a request from `offset` on tells it. */
function wholeSize(response: Response, offset: number): number | undefined {
  const length = response.headers.get('Content-Length');
  const compressed = response.headers.get('Content-Encoding') ?? 'identity';
  return length === null || compressed !== 'identity' ? undefined : Number(length) + offset;
}
