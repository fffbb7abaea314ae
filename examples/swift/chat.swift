// A conversation on the terminal: every line is a question, an empty one ends.
//
//     swift run chat model.gguf [DEVICE]
import Foundation
import Gabion

@main
struct Chat {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count > 1 else {
            print("usage: chat MODEL.gguf [DEVICE]")
            exit(2)
        }
        do {
            try await converse(path: arguments[1], device: arguments.count > 2 ? arguments[2] : "auto")
        } catch {
            print(error)
            exit(1)
        }
    }

    static func converse(path: String, device: String) async throws {
        let model = try Model(path: path, device: device)
        let session = try model.session()
        print(try model.info.description)
        var messages: [Message] = []
        while let line = readLine(), !line.isEmpty {
            messages.append(Message(role: "user", content: line))
            var answer = ""
            for try await text in try session.generate(messages) {
                print(text, terminator: "")
                fflush(stdout)
                answer += text
            }
            print()
            messages.append(Message(role: "assistant", content: answer))
        }
    }
}
