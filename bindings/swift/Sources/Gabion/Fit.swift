// `Fit`: what a model is and whether it fits a device, before it is loaded.

import CGabion

/// What a model is, and what loading it and one session would take on a device. Sizes in bytes.
public struct Fit: Sendable {
    /// The family, e.g. "llama".
    public let architecture: String
    /// The name its file gives it; may be empty.
    public let name: String
    /// The kind of its tokenizer, e.g. "gpt2"; empty if it has none.
    public let tokenizer: String
    public let hasChatTemplate: Bool
    /// Elements of all tensors.
    public let parameterCount: UInt64
    /// Of all tensors in the file.
    public let tensorBytes: UInt64
    /// Bits of the file per element.
    public let bitsPerWeight: Double
    /// The context length it was trained for, in tokens.
    public let trainedContext: Int
    /// Tokens of its vocabulary.
    public let vocabSize: Int
    public let weightBytes: UInt64
    /// Of the session's cache.
    public let cacheBytes: UInt64
    /// Of the session's activations, logits and tables.
    public let scratchBytes: UInt64
    /// What it may take; nil where the device does not say.
    public let memoryLimit: UInt64?
    /// The device's largest buffer; nil where there is no such limit.
    public let bufferLimit: UInt64?
    /// Tokens of the session's context.
    public let contextSize: Int
    /// The longest context that fits, up to what it was trained for or what was asked for; 0 if none does.
    public let maxContextSize: Int
    /// Why it does not fit; nil if it does.
    public let problem: String?

    /// Reads the header of the GGUF file at `path`; of a split model, all headers. Throws what loading would for a model that
    /// this version cannot run. Any thread may call it.
    ///
    /// - Parameters:
    ///   - device, threads, level, exact, gelu: as for `Model`.
    ///   - contextSize: tokens; 0 for the smaller of 4096 and what the model was trained for.
    ///   - memory: bytes that it may take; nil for what the device says it has, where it does.
    public init(
        path: String, device: String = "auto", threads: Int = 0, level: String? = nil, exact: Bool = false,
        gelu: Gelu? = nil, contextSize: Int = 0, memory: UInt64? = nil
    ) throws {
        let runtime = try Model.runtime(device, threads, level)
        defer { gabion_runtime_free(runtime) }
        var options = gabion_fit_options()
        try check(gabion_fit_options_init(&options, MemoryLayout<gabion_fit_options>.size))
        options.exact = exact ? 1 : 0
        options.gelu = gelu?.form ?? GABION_GELU_DEFAULT
        options.n_ctx = contextSize
        options.memory_limit = memory ?? 0
        let texts = Texts()
        let name = texts.keep(path)
        let handle = try withExtendedLifetime(texts) {
            try make { gabion_fit_open(runtime, name.data, name.len, &options, $0) }
        }
        defer { gabion_fit_free(handle) }
        var info = gabion_fit_info()
        info.struct_size = MemoryLayout<gabion_fit_info>.size
        try check(gabion_fit_get_info(handle, &info))
        self.init(info)
    }

    /// The strings are copied while the object they belong to lives.
    private init(_ info: gabion_fit_info) {
        architecture = String(cString: info.architecture)
        name = String(cString: info.name)
        tokenizer = String(cString: info.tokenizer)
        hasChatTemplate = info.has_chat_template != 0
        parameterCount = info.n_parameters
        tensorBytes = info.tensor_bytes
        bitsPerWeight = info.bits_per_weight
        trainedContext = info.n_ctx_train
        vocabSize = info.n_vocab
        weightBytes = info.weight_bytes
        cacheBytes = info.kv_bytes
        scratchBytes = info.scratch_bytes
        memoryLimit = info.memory_limit == 0 ? nil : info.memory_limit
        bufferLimit = info.buffer_limit == 0 ? nil : info.buffer_limit
        contextSize = info.n_ctx
        maxContextSize = info.max_n_ctx
        problem = info.fits != 0 ? nil : String(cString: info.problem)
    }
}
