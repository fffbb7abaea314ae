// Every plain value of the public interface, with its units.

/** Where a model comes from: an address, a file the user picked, or bytes in memory. */
export type ModelInput = string | URL | Blob | ArrayBuffer;

/** One file, or all files of a split model in order. A URL ending in `-00001-of-0000N.gguf` stands for all N. */
export type ModelSource = ModelInput | readonly ModelInput[];

export interface LoadOptions {
  /**
   * `auto` (default): WebGPU on a hardware adapter, else the CPU. `webgpu`: WebGPU even on a software adapter, or an
   * error. `cpu`: this package's own CPU path.
   */
  device?: 'auto' | 'webgpu' | 'cpu';
  /**
   * Kernels of WebGPU's matrix products. `base`: what every adapter can run. `int8`: activations in 8 bits. `f16`: weights and
   * activations in f16. `subgroup`: as exact as `base`. What the adapter does not offer, or gets wrong, is an error `device`.
   * Default: what pays, found by timing a few products on a hardware adapter; with `exact` only `base` and `subgroup` are used.
   */
  level?: 'base' | 'subgroup' | 'int8' | 'f16';
  /** Keeps activations and the KV cache in float32: slower, the same text on every device. Default false. */
  exact?: boolean;
  /**
   * Which GELU to compute with. A file does not tell which one its model was trained with; the default is what the models
   * of its family define. llama.cpp computes the `tanh` form for all: for its numbers, take that.
   */
  gelu?: 'tanh' | 'erf';
  /** Runs everything in a Web Worker that the package starts itself. Default: true where there are workers. */
  worker?: boolean;
  /** Called while loading. */
  onProgress?: (progress: Progress) => void;
  /** Stops loading; the promise then rejects with the signal's reason, an `AbortError`. */
  signal?: AbortSignal;
  /** Where the wasm file is, or its bytes; by default beside this script. */
  wasm?: string | URL | ArrayBuffer;
}

export interface Progress {
  /** `initiate`: the device is open and the file answers. `progress`: weights arrive. `ready`: all are there. */
  status: 'initiate' | 'progress' | 'ready';
  /** Name of the (first) file. */
  file: string;
  /** Bytes of weights so far. */
  loaded: number;
  /** Bytes of all weights; 0 before the header is read. */
  total: number;
}

export interface DeviceInfo {
  /** `software` is a GPU interface that computes on the CPU. */
  kind: 'cpu' | 'gpu' | 'software';
  name: string;
  /** `cpu` or `webgpu`. */
  backend: string;
  /** The levels of WebGPU's products of one row (generation) and of many (prompts); `null` on the CPU. */
  levels: readonly [string, string] | null;
}

export interface ModelInfo {
  /** `general.architecture`, e.g. `llama`. */
  architecture: string;
  /** `general.name`, if the file has one. */
  name: string | null;
  /** The number of logits. */
  vocabSize: number;
  /** Tokens of context the model was trained with. */
  trainedContext: number;
  /** Bytes of weights on the device. */
  weightBytes: number;
  hasChatTemplate: boolean;
  device: DeviceInfo;
}

type FitLoadOptions = Pick<LoadOptions, 'device' | 'level' | 'exact' | 'gelu' | 'worker' | 'signal' | 'wasm'>;

export interface FitOptions extends SessionOptions, FitLoadOptions {
  /** Bytes that it may take. Default: on the CPU what is left of the wasm memory's 4 GiB; of a GPU no browser tells. */
  memory?: number;
}

/** What a model is, and what loading it and one session would take on a device. */
export interface Fit {
  /** `general.architecture`, e.g. `llama`. */
  architecture: string;
  /** `general.name`; may be empty. */
  name: string;
  /** The kind of its tokenizer, e.g. `gpt2`; empty if it has none. */
  tokenizer: string;
  hasChatTemplate: boolean;
  /** Elements of all tensors. */
  parameters: number;
  /** Bytes of all tensors in the file. */
  tensorBytes: number;
  /** Bits of the file per element. */
  bitsPerWeight: number;
  /** Tokens of context the model was trained with. */
  trainedContext: number;
  /** Tokens of its vocabulary. */
  vocabSize: number;
  /** Bytes of weights on the device. */
  weightBytes: number;
  /** Bytes of the session's cache. */
  cacheBytes: number;
  /** Bytes of the session's activations, logits and tables. */
  scratchBytes: number;
  /** Bytes that it may take; null where the device does not say. */
  memory: number | null;
  /** Most bytes of one buffer of the device; null where there is no such limit. */
  maxBuffer: number | null;
  /** Tokens of the session's context, and most of them computed at once. */
  contextSize: number;
  batchSize: number;
  kv: 'f16' | 'f32' | 'q8_0' | 'q4_0';
  /** The longest context that fits, up to `trainedContext` or what was asked for; 0 if none does. */
  maxContextSize: number;
  fits: boolean;
  /** Why it does not fit; null if it does. */
  problem: string | null;
  device: DeviceInfo;
}

export interface MemoryInfo {
  /** Size of the wasm memory in bytes. It never shrinks, so this is also its peak. */
  wasmBytes: number;
  /** Bytes of weights on the device. */
  weightBytes: number;
}

export interface SessionOptions {
  /** Tokens that fit. Default: the smaller of 4096 and what the model was trained with. */
  contextSize?: number;
  /** Tokens computed at once. Default: what the device prefers. */
  batchSize?: number;
  /** Element type of the KV cache. Default `f16`, or `f32` where the model was loaded `exact`. */
  kv?: 'f16' | 'f32' | 'q8_0' | 'q4_0';
}

export interface SessionInfo {
  /** Tokens that fit. */
  contextSize: number;
  /** Bytes of cache and activations on the device. */
  bytes: number;
}

export interface EmbedderOptions {
  /** Tokens of the longest text. Default: the smaller of 512 and what the model was trained with. */
  maxTokens?: number;
  /** Tokens that go through the model at once, of as many texts as fit. Default: what the device prefers. At least `maxTokens`. */
  batchTokens?: number;
  /** Elements of a vector to keep, from the first on (models trained by Matryoshka losses allow it). Default: all. */
  dimensions?: number;
  /** How tokens' states become a vector. Default: what the file says, or else `mean`. `none` keeps every token's. */
  pooling?: 'none' | 'mean' | 'cls' | 'last';
  /** Whether vectors have length 1. Default true. */
  normalize?: boolean;
  /** Cuts longer texts (of a pair the second) instead of failing with `context_full`. Default false. */
  truncate?: boolean;
  /** Put before texts of kind `query`, as the model's makers ask for. */
  queryPrefix?: string;
  /** Put before texts of kind `document`. */
  documentPrefix?: string;
}

export interface EmbedderInfo {
  /** What the model is for: vectors, scores, or masked words. */
  task: 'embed' | 'score' | 'fill';
  pooling: 'none' | 'mean' | 'cls' | 'last';
  /** Elements of a vector; with pooling `none`, of each token's. */
  dimensions: number;
  /** Tokens of the longest text. */
  maxTokens: number;
  /** Most tokens that go through the model at once. */
  batchTokens: number;
  /** Scores of a text; 0 where the model gives none. */
  scores: number;
  /** Their names; empty where the file has none. */
  labels: string[];
  /** Bytes of activations on the device. */
  bytes: number;
}

/** A guess at a masked token. */
export interface Guess {
  id: number;
  text: string;
  probability: number;
}

export interface Message {
  /** `system`, `user`, `assistant`, or what else the model's template knows. */
  role: string;
  content: string;
}

/** A plain text, a conversation for the model's chat template, or token ids. */
export type Prompt = string | readonly Message[] | Tokens;

/** Token ids. */
export type Tokens = Uint32Array | readonly number[];

export interface GenerateOptions {
  /** Most tokens to generate. Default: until the context is full. */
  maxTokens?: number;
  /** Divides the logits; 0 picks the most likely token. Default 0.8. */
  temperature?: number;
  /** Keeps the k most likely tokens; 0 keeps all. Default 40. */
  topK?: number;
  /** Keeps the fewest tokens whose probabilities reach this sum. Default 0.95. */
  topP?: number;
  /** Drops tokens less likely than this times the most likely. Default 0.05. */
  minP?: number;
  /** Start of the random sequence: the same seed gives the same text. Default: a new one each time. */
  seed?: number | bigint;
  /** Texts that end generation; they are not part of the output. */
  stop?: string | readonly string[];
  /** Goes on past end-of-generation tokens. Default false. */
  ignoreEog?: boolean;
  /** How many of the most likely tokens to report at each step. Default 0. */
  logprobs?: number;
  /** Stops generation; the iterator then rejects with the signal's reason, an `AbortError`. */
  signal?: AbortSignal;
}

export interface Token {
  id: number;
  /** Natural log of its probability under the model; null unless `logprobs` > 0. */
  logprob: number | null;
  /** The most likely tokens: id and log-probability. */
  top: [number, number][];
}

export interface Piece {
  /** Text that is certain now; may be empty, and may belong to earlier tokens. */
  text: string;
  /** The token of this step; null in a last piece that only brings held-back text. */
  token: Token | null;
}

/** The model ended its turn; a stop text came; `maxTokens` are there; the context is full. */
export type StopReason = 'eog' | 'stop' | 'length' | 'context';

export interface Timings {
  /** Prompt tokens that were computed, i.e. not already in the session. */
  prefillTokens: number;
  prefillMs: number;
  /** Tokens computed one by one: one fewer than were generated, since the first comes with the prompt's logits. */
  decodeTokens: number;
  /** Time for those in the model and the sampler, without waiting for whoever reads the pieces. */
  decodeMs: number;
}

export interface Synced {
  /** Tokens whose cache was already there. */
  reused: number;
  /** Tokens that were computed. */
  computed: number;
}
