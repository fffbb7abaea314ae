// gabion: quantized GGUF language models in the browser, on WebGPU or the CPU.

export { GabionError, type ErrorCode } from './errors.js';
export { Embedder } from './embedder.js';
export { fit, Model } from './model.js';
export { Generation, Session } from './session.js';
export type {
  DeviceInfo, EmbedderInfo, EmbedderOptions, Fit, FitOptions, GenerateOptions, Guess, LoadOptions, MemoryInfo, Message, ModelInfo,
  ModelInput, ModelSource, Piece, Progress, Prompt, SessionInfo, SessionOptions, StopReason, Synced, Timings, Token, Tokens,
} from './types.js';
