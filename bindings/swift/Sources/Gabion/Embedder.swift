// `Embedder`: whole texts through an encoder: vectors, scores, masked words.

import CGabion

/// How tokens' states become a vector.
public enum Pooling: Int32, Sendable {
    /// Every token's is kept.
    case none = 1
    case mean = 2
    /// The first token's.
    case cls = 3
    /// The last token's.
    case last = 4
}

/// What a text is for, which chooses its prefix.
public enum TextKind: Int32, Sendable {
    case plain = 0
    case query = 1
    case document = 2
}

/// What an embedder makes of texts.
public struct EmbedderOptions: Sendable {
    /// Tokens of the longest text; 0 for the smaller of 512 and what the model was trained for.
    public var maxTokens = 0
    /// Tokens that go through the model at once, of as many texts as fit; 0 for what the device prefers.
    public var batchTokens = 0
    /// Numbers of a vector to keep, from the first on; 0 for all.
    public var dimensions = 0
    /// Nil for what the file says, or else the mean.
    public var pooling: Pooling?
    /// Whether vectors have length 1.
    public var normalize = true
    /// Whether longer texts (of a pair the second) are cut; else they throw GABION_ERROR_CONTEXT_FULL.
    public var truncate = false
    /// Put before texts of these kinds, as the model's makers ask for.
    public var queryPrefix = ""
    public var documentPrefix = ""

    public init() {}
}

/// A guess at a masked token.
public struct Guess: Sendable {
    public let token: UInt32
    public let probability: Float
}

/// Runs whole texts, several in one pass. One use at a time: a second one throws GABION_ERROR_BUSY. `cancel` may come from
/// anywhere.
public final class Embedder: @unchecked Sendable {  // the library itself refuses a second use at the same time
    public let model: Model
    /// Numbers of a vector; with pooling `none`, of each token's.
    public let dimensions: Int
    /// Tokens of the longest text.
    public let maxTokens: Int
    /// Scores of a text; 0 where the model gives none.
    public let scoreCount: Int
    private let pooling: Int32
    private let handle: OpaquePointer

    init(_ model: Model, _ given: EmbedderOptions) throws {
        var options = gabion_embedder_options()
        try check(gabion_embedder_options_init(&options, MemoryLayout<gabion_embedder_options>.size))
        options.max_tokens = given.maxTokens
        options.batch_tokens = given.batchTokens
        options.dimensions = given.dimensions
        options.pooling = given.pooling?.rawValue ?? GABION_POOLING_DEFAULT
        options.normalize = given.normalize ? 1 : 0
        options.truncate = given.truncate ? 1 : 0
        let texts = Texts()
        (options.query_prefix, options.query_prefix_len) = texts.keep(given.queryPrefix)
        (options.document_prefix, options.document_prefix_len) = texts.keep(given.documentPrefix)
        let made = try withExtendedLifetime(texts) { try make { gabion_embedder_new(model.handle, &options, $0) } }
        var info = gabion_embedder_info()
        info.struct_size = MemoryLayout<gabion_embedder_info>.size
        do {
            try check(gabion_embedder_get_info(made, &info))
        } catch {
            gabion_embedder_free(made)
            throw error
        }
        self.model = model
        handle = made
        dimensions = info.dimensions
        maxTokens = info.max_tokens
        scoreCount = info.n_scores
        pooling = info.pooling
    }

    deinit {
        gabion_embedder_free(handle)
    }

    /// Stops the running call, which then throws an error that `isCancelled`.
    public func cancel() {
        gabion_embedder_cancel(handle)
    }

    /// The names of a classifier's scores; empty where the file has none.
    public var labels: [String] {
        get throws {
            var all: [String] = []
            while let label = try textOut({ gabion_embedder_label(handle, all.count, $0, $1, $2) }) {
                all.append(label)
            }
            return all
        }
    }

    /// A vector for each text, in order; with pooling `none` those of all its tokens, one after another.
    public func embed(_ texts: [String], kind: TextKind = .plain) throws -> [[Float]] {
        guard pooling == GABION_POOLING_NONE && !texts.isEmpty else {
            return try withStrings(texts) { list, count in
                try rows(dimensions, count) { gabion_embedder_embed(handle, list, count, kind.rawValue, $0, $1, $2) }
            }
        }
        return try texts.map { text in
            try withStrings([text]) { list, count in
                try floats(maxTokens * dimensions) {
                    gabion_embedder_embed(handle, list, count, kind.rawValue, $0, $1, $2)
                }
            }
        }
    }

    /// The vector of one text that is given as token ids, special ones included.
    public func embed(tokens: [UInt32]) throws -> [Float] {
        let room = dimensions * (pooling == GABION_POOLING_NONE ? tokens.count : 1)
        return try floats(room) { gabion_embedder_embed_tokens(handle, tokens, tokens.count, $0, $1, $2) }
    }

    /// How well each document answers the query: higher is better. Logits, or of models that say yes or no the probability of yes.
    public func rerank(_ query: String, _ documents: [String]) throws -> [Float] {
        try withStrings(documents) { list, count in
            var scores = [Float](repeating: 0, count: max(count, 1))
            try check(gabion_embedder_rerank(handle, query, query.utf8.count, list, count, &scores))
            return Array(scores[..<count])
        }
    }

    /// A classifier's logits of each text; of each pair where there are as many `seconds`.
    public func classify(_ texts: [String], seconds: [String] = []) throws -> [[Float]] {
        guard seconds.isEmpty || seconds.count == texts.count else {
            throw GabionError(code: GABION_ERROR_INVALID_ARGUMENT, description: "as many seconds as texts, or none")
        }
        return try withStrings(texts) { list, count in
            try withStrings(seconds) { second, pairs in
                let others = pairs == 0 ? nil : second
                return try rows(scoreCount, count) { gabion_embedder_classify(handle, list, others, count, $0, $1, $2) }
            }
        }
    }

    /// For each mask (`[MASK]`) of a text the `top` likeliest tokens, best first.
    public func fillMask(_ text: String, top: Int = 5) throws -> [[Guess]] {
        var guesses = [gabion_guess](repeating: gabion_guess(), count: 64)
        var count = 0
        while true {
            let capacity = guesses.count
            let status = gabion_embedder_fill_mask(handle, text, text.utf8.count, max(top, 0), &guesses, capacity, &count)
            guard try check(status) == GABION_TRUNCATED else { break }
            guesses = [gabion_guess](repeating: gabion_guess(), count: count)
        }
        var masks: [[Guess]] = []
        for it in guesses[..<count] {
            while masks.count <= Int(it.mask) { masks.append([]) }
            masks[Int(it.mask)].append(Guess(token: it.token, probability: it.probability))
        }
        return masks
    }

    /// Hands texts over as the library takes them.
    private func withStrings<T>(_ texts: [String], _ body: (UnsafePointer<gabion_string>?, Int) throws -> T) throws -> T {
        let kept = Texts()
        let list = texts.map { text -> gabion_string in
            let copy = kept.keep(text)
            return gabion_string(data: copy.data, len: copy.len)
        }
        return try withExtendedLifetime(kept) {
            try list.withUnsafeBufferPointer { try body($0.baseAddress, list.count) }
        }
    }

    private typealias Out = (UnsafeMutablePointer<Float>?, Int, UnsafeMutablePointer<Int>) -> gabion_status

    /// What a call writes into an array with room for so many numbers.
    private func floats(_ room: Int, _ call: Out) throws -> [Float] {
        var all = [Float](repeating: 0, count: room + 1)  // never without a place to write to
        var count = 0
        try check(call(&all, room, &count))
        return Array(all[..<count])
    }

    private func rows(_ width: Int, _ count: Int, _ call: Out) throws -> [[Float]] {
        let all = try floats(width * count, call)
        return (0..<count).map { Array(all[($0 * width)..<(($0 + 1) * width)]) }
    }
}
