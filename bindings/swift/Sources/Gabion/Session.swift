// `Session`: one timeline of tokens over a model.

import CGabion
import Dispatch

/// How to generate. What is nil is the library's default.
public struct GenerateOptions: Sendable {
    /// Most tokens; nil until the context is full.
    public var maxTokens: Int?
    /// Divides the logits; 0 picks the most likely token.
    public var temperature: Float?
    /// Keeps the k most likely tokens; 0 keeps all.
    public var topK: UInt32?
    /// Keeps the fewest tokens whose probabilities reach this sum.
    public var topP: Float?
    /// Drops tokens less likely than this times the most likely.
    public var minP: Float?
    /// Start of the random sequence: the same seed gives the same text. A new one each time by default.
    public var seed: UInt64 = .random(in: .min ... .max)
    /// Texts that end generation and are not part of the output.
    public var stop: [String] = []

    public init() {}
}

/// One timeline: its context and its logits. One use at a time: a second one throws GABION_ERROR_BUSY. `cancel` may come
/// from anywhere.
public final class Session: @unchecked Sendable {  // the library itself refuses a second use at the same time
    public let model: Model
    let handle: OpaquePointer

    init(_ model: Model, contextSize: Int) throws {
        var options = gabion_session_options()
        try check(gabion_session_options_init(&options, MemoryLayout<gabion_session_options>.size))
        options.n_ctx = contextSize
        handle = try make { gabion_session_new(model.handle, &options, $0) }
        self.model = model
    }

    private init(_ model: Model, handle: OpaquePointer) {
        self.model = model
        self.handle = handle
    }

    deinit {
        gabion_session_free(handle)
    }

    /// Tokens that fit.
    public var contextSize: Int { gabion_session_n_ctx(handle) }

    /// Stops what the session is doing; that call or stream then throws an error that `isCancelled`.
    public func cancel() {
        gabion_session_cancel(handle)
    }

    /// Empties the context.
    public func clear() throws {
        try check(gabion_session_clear(handle))
    }

    /// Makes the context exactly `tokens` and computes the logits after the last. What is already there is reused.
    @discardableResult
    public func sync(_ tokens: [UInt32]) throws -> (reused: Int, computed: Int) {
        var reused = 0
        var computed = 0
        try check(gabion_session_sync(handle, tokens, tokens.count, &reused, &computed))
        return (reused, computed)
    }

    /// Appends one token and computes the logits after it.
    public func step(_ token: UInt32) throws {
        try check(gabion_session_step(handle, token))
    }

    /// Logits after the last token; empty where nothing was computed.
    public func logits() throws -> [Float] {
        var data: UnsafePointer<Float>?
        var count = 0
        try check(gabion_session_logits(handle, &data, &count))
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    /// -ln p of every token but the first, given those before it.
    public func score(_ tokens: [UInt32]) throws -> [Float] {
        var scores = [Float](repeating: 0, count: max(tokens.count - 1, 0))
        let capacity = scores.count
        try check(gabion_session_score(handle, tokens, tokens.count, &scores, capacity))
        return scores
    }

    /// The session as bytes, for `restore` of the same model on any device.
    public func save() throws -> [UInt8] {
        var data: UnsafeMutablePointer<UInt8>?
        var count = 0
        try check(gabion_session_save(handle, &data, &count))
        defer { gabion_bytes_free(data, count) }
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    /// Makes the session one that was saved. Damaged bytes or another model's throw and change nothing.
    public func restore(_ saved: [UInt8]) throws {
        try check(gabion_session_restore(handle, saved, saved.count))
    }

    /// Another session with the same contents, which goes its own way from here.
    public func fork() throws -> Session {
        Session(model, handle: try make { gabion_session_fork(handle, $0) })
    }

    /// Answers a conversation, streaming text as it comes.
    public func generate(
        _ messages: [Message], options: GenerateOptions = GenerateOptions()
    ) throws -> AsyncThrowingStream<String, Error> {
        generate(tokens: try model.chatTokens(messages), options: options)
    }

    /// Continues a plain text, streaming text as it comes.
    public func generate(
        _ prompt: String, options: GenerateOptions = GenerateOptions()
    ) throws -> AsyncThrowingStream<String, Error> {
        generate(tokens: try model.tokenize(prompt), options: options)
    }

    /// Generates after `tokens`, on a thread of its own. Leaving the stream stops it.
    public func generate(
        tokens: [UInt32], options: GenerateOptions = GenerateOptions()
    ) -> AsyncThrowingStream<String, Error> {
        AsyncThrowingStream { continuation in
            let stopped = Flag()
            continuation.onTermination = { _ in
                stopped.set()
            }
            DispatchQueue(label: "gabion").async {
                do {
                    try self.run(tokens, options) { text in
                        continuation.yield(text)
                        return !stopped.isSet
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
        }
    }

    /// Hands each piece of text to `each` until it returns false.
    private func run(_ tokens: [UInt32], _ options: GenerateOptions, _ each: (String) -> Bool) throws {
        let texts = Texts()
        let stops = options.stop.map { stop -> gabion_string in
            let kept = texts.keep(stop)
            return gabion_string(data: kept.data, len: kept.len)
        }
        let generation = try stops.withUnsafeBufferPointer { buffer in
            var made = try options.raw()
            made.stop = buffer.baseAddress
            made.n_stop = buffer.count
            return try withExtendedLifetime(texts) {
                try make { gabion_generation_new(handle, tokens, tokens.count, &made, $0) }
            }
        }
        defer { gabion_generation_free(generation) }
        var piece = gabion_piece()
        piece.struct_size = MemoryLayout<gabion_piece>.size
        while try check(gabion_generation_next(generation, &piece)) == GABION_OK {
            if !each(String(cString: piece.text)) { return }
        }
    }
}

extension GenerateOptions {
    /// The C options, without the stop strings.
    func raw() throws -> gabion_generate_options {
        var made = gabion_generate_options()
        try check(gabion_generate_options_init(&made, MemoryLayout<gabion_generate_options>.size))
        made.max_tokens = maxTokens.map(Int64.init) ?? -1
        made.seed = seed
        if let temperature { made.temperature = temperature }
        if let topK { made.top_k = topK }
        if let topP { made.top_p = topP }
        if let minP { made.min_p = minP }
        return made
    }
}

/// A flag that one thread sets and another reads.
private final class Flag: @unchecked Sendable {
    private let queue = DispatchQueue(label: "gabion.flag")
    private var value = false

    var isSet: Bool { queue.sync { value } }

    func set() {
        queue.sync { value = true }
    }
}
