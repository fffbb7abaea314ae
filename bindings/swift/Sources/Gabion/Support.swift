// What every call into the library needs: errors from codes, text in, text out.

import CGabion

/// A failure of the library.
public struct GabionError: Error, CustomStringConvertible, Sendable {
    /// One of the error codes of the C interface.
    public let code: Int32
    /// What went wrong, and what to do next where that is known.
    public let description: String

    /// Whether it is the answer to a `cancel`.
    public var isCancelled: Bool { code == GABION_ERROR_CANCELLED }
}

/// Throws where `status` is an error.
@discardableResult
func check(_ status: gabion_status) throws -> gabion_status {
    guard status >= 0 else { throw GabionError(code: status, description: String(cString: gabion_last_error())) }
    return status
}

/// The object that a call makes.
func make(_ call: (UnsafeMutablePointer<OpaquePointer?>) throws -> gabion_status) throws -> OpaquePointer {
    var handle: OpaquePointer?
    try check(call(&handle))
    guard let made = handle else { throw GabionError(code: GABION_ERROR_INTERNAL, description: "no object was made") }
    return made
}

/// Text from a call that copies it into a buffer; nil where there is no such thing.
func textOut(_ call: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>) -> gabion_status) throws -> String? {
    var count = 0
    if try check(call(nil, 0, &count)) == GABION_NOT_FOUND { return nil }
    var buffer = [CChar](repeating: 0, count: count + 1)
    let capacity = buffer.count
    try check(call(&buffer, capacity, &count))
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Token ids from a call that copies them into an array; room for `guess` is tried first.
func idsOut(
    _ guess: Int, _ call: (UnsafeMutablePointer<UInt32>?, Int, UnsafeMutablePointer<Int>) -> gabion_status
) throws -> [UInt32] {
    var ids = [UInt32](repeating: 0, count: guess)
    var count = 0
    if try check(call(&ids, guess, &count)) == GABION_TRUNCATED {
        ids = [UInt32](repeating: 0, count: count)
        let capacity = count
        try check(call(&ids, capacity, &count))
    }
    return Array(ids[..<count])
}

/// Copies of texts that stay where they are while this lives.
final class Texts {
    private var buffers: [UnsafeMutableBufferPointer<CChar>] = []

    /// Keeps a copy of `text`.
    func keep(_ text: String) -> (data: UnsafePointer<CChar>?, len: Int) {
        let bytes = text.utf8.map { CChar(bitPattern: $0) }
        let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: max(bytes.count, 1))
        _ = buffer.initialize(from: bytes)
        buffers.append(buffer)
        return (UnsafePointer(buffer.baseAddress), bytes.count)
    }

    deinit {
        buffers.forEach { $0.deallocate() }
    }
}
