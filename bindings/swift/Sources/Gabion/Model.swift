// `Model`: an immutable model on a device.

import CGabion

/// One message of a conversation.
public struct Message: Sendable {
    /// "system", "user", "assistant", or what else the model's template knows.
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// Which GELU a model is computed with.
public enum Gelu: Sendable {
    /// The tanh approximation.
    case tanh
    /// The exact function.
    case erf

    /// A GABION_GELU_*.
    var form: Int32 {
        switch self {
        case .tanh: return GABION_GELU_TANH
        case .erf: return GABION_GELU_ERF
        }
    }
}

/// What a model is.
public struct ModelInfo: Sendable {
    /// The family, e.g. "llama".
    public let architecture: String
    /// The name its file gives it; may be empty.
    public let name: String
    /// One line for people.
    public let description: String
    /// The number of logits.
    public let vocabSize: Int
    /// The context length it was trained for, in tokens.
    public let trainedContext: Int
    /// Bytes of weights on the device.
    public let weightBytes: UInt64
    public let hasTokenizer: Bool
    public let hasChatTemplate: Bool
}

/// A loaded model. Any number of threads may use it at once; sessions keep what they need of it.
public final class Model: @unchecked Sendable {  // the library's own contract: a model is immutable
    let handle: OpaquePointer

    /// Loads the GGUF file at `path`; of a split model, the first file.
    ///
    /// - Parameters:
    ///   - device: "auto" (a hardware GPU, else the CPU), "cpu", "gpu", or part of an adapter's name.
    ///   - threads: of the CPU device; 0 for one per core.
    ///   - level: kernels of a GPU, e.g. "base"; nil for the best that pays on the adapter.
    ///   - exact: float32 activations and cache: slower, the same on every device.
    ///   - gelu: which GELU to compute with. A file does not tell which one its model was trained with; nil takes what the
    ///     models of its family define. llama.cpp computes the tanh form for all: for its numbers, take that.
    ///   - progress: gets loaded and total bytes; returning false cancels.
    public init(
        path: String, device: String = "auto", threads: Int = 0, level: String? = nil, exact: Bool = false,
        gelu: Gelu? = nil, progress: ((UInt64, UInt64) -> Bool)? = nil
    ) throws {
        let runtime = try Model.runtime(device, threads, level)
        defer { gabion_runtime_free(runtime) }
        var options = gabion_model_options()
        try check(gabion_model_options_init(&options, MemoryLayout<gabion_model_options>.size))
        options.exact = exact ? 1 : 0
        options.gelu = gelu?.form ?? GABION_GELU_DEFAULT
        let box = progress.map(ProgressBox.init)
        if let box {
            options.progress_user_data = Unmanaged.passUnretained(box).toOpaque()
            options.progress = { loaded, total, data in
                Unmanaged<ProgressBox>.fromOpaque(data!).takeUnretainedValue().call(loaded, total)
            }
        }
        let texts = Texts()
        let name = texts.keep(path)
        handle = try withExtendedLifetime((box, texts)) {
            try make { gabion_model_open(runtime, name.data, name.len, &options, $0) }
        }
    }

    deinit {
        gabion_model_free(handle)
    }

    static func runtime(_ device: String, _ threads: Int, _ level: String?) throws -> OpaquePointer {
        var options = gabion_runtime_options()
        try check(gabion_runtime_options_init(&options, MemoryLayout<gabion_runtime_options>.size))
        let texts = Texts()
        (options.device, options.device_len) = texts.keep(device)
        options.threads = threads
        if let level {
            (options.level, options.level_len) = texts.keep(level)
        }
        return try withExtendedLifetime(texts) { try make { gabion_runtime_new(&options, $0) } }
    }

    public var info: ModelInfo {
        get throws {
            var info = gabion_model_info()
            info.struct_size = MemoryLayout<gabion_model_info>.size
            try check(gabion_model_get_info(handle, &info))
            return ModelInfo(
                architecture: String(cString: info.architecture),
                name: String(cString: info.name),
                description: String(cString: info.description),
                vocabSize: info.n_vocab,
                trainedContext: info.n_ctx_train,
                weightBytes: info.weight_bytes,
                hasTokenizer: info.has_tokenizer != 0,
                hasChatTemplate: info.has_chat_template != 0
            )
        }
    }

    /// A key of its file as text; nil if it has no such key.
    public func metadata(_ key: String) throws -> String? {
        try textOut { gabion_model_metadata(handle, key, key.utf8.count, $0, $1, $2) }
    }

    /// Token ids of `text`. Never set `parseSpecial` for text from users: it makes control tokens of text.
    public func tokenize(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = false) throws -> [UInt32] {
        let count = text.utf8.count
        return try idsOut(count + 2) {
            gabion_model_tokenize(handle, text, count, addSpecial, parseSpecial, $0, $1, $2)
        }
    }

    /// Text of token ids; control tokens are shown if `special`.
    public func detokenize(_ tokens: [UInt32], special: Bool = false) throws -> String {
        try textOut { gabion_model_detokenize(handle, tokens, tokens.count, special, $0, $1, $2) } ?? ""
    }

    /// Token ids of a conversation through the model's own chat template. Text in messages cannot forge control tokens.
    public func chatTokens(_ messages: [Message], addGenerationPrompt: Bool = true) throws -> [UInt32] {
        let texts = Texts()
        let list = messages.map { message -> gabion_message in
            var made = gabion_message()
            made.struct_size = MemoryLayout<gabion_message>.size
            (made.role, made.role_len) = texts.keep(message.role)
            (made.content, made.content_len) = texts.keep(message.content)
            return made
        }
        var options = gabion_chat_options()
        try check(gabion_chat_options_init(&options, MemoryLayout<gabion_chat_options>.size))
        options.add_generation_prompt = addGenerationPrompt ? 1 : 0
        return try withExtendedLifetime(texts) {
            try idsOut(1024) { gabion_model_chat_tokens(handle, list, list.count, &options, $0, $1, $2) }
        }
    }

    /// Whether a token ends generation.
    public func isEndOfGeneration(_ token: UInt32) -> Bool {
        gabion_model_is_eog(handle, token)
    }

    /// A new session with an empty context of `contextSize` tokens; 0 for the smaller of 4096 and what the model was
    /// trained for.
    public func session(contextSize: Int = 0) throws -> Session {
        try Session(self, contextSize: contextSize)
    }

    /// Makes vectors or scores of whole texts, if the model is an encoder, a reranker or another that does not generate.
    public func embedder(_ options: EmbedderOptions = EmbedderOptions()) throws -> Embedder {
        try Embedder(self, options)
    }
}

/// Carries a closure through a C callback.
private final class ProgressBox {
    let call: (UInt64, UInt64) -> Bool

    init(_ call: @escaping (UInt64, UInt64) -> Bool) {
        self.call = call
    }
}
