// A conversation on the terminal: every line is a question, an empty one ends. Ctrl-C ends an answer.
//
//     c++ -std=c++11 chat.cpp -o chat $(pkg-config --cflags --libs gabion)
//     ./chat model.gguf [DEVICE [MAX_TOKENS]]
#include <gabion.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

gabion_session *interruptible = nullptr;

void on_interrupt(int) {
    std::signal(SIGINT, on_interrupt);
    gabion_session_cancel(interruptible);
}

gabion::Model load(const std::string &path, const std::string &device) {
    gabion::ModelOptions options;
    options.on_progress = [](uint64_t loaded, uint64_t total) {
        std::cerr << "\rloading " << (total ? 100 * loaded / total : 100) << " %" << std::flush;
        return true;
    };
    return gabion::Model(gabion::Runtime(device), path, options);
}

/// The whole conversation as tokens; the session computes only what is new.
std::vector<uint32_t> prompt(const gabion::Model &model, const std::vector<gabion::Message> &messages) {
    if (model.info().has_chat_template) return model.chat_tokens(messages);
    return model.tokenize(messages.back().content);
}

std::string answer(gabion::Session &session, const std::vector<uint32_t> &tokens, const gabion::GenerateOptions &options) {
    std::string text;
    try {
        session.generate(tokens, options, [&](const gabion::Piece &piece) {
            std::cout << piece.text << std::flush;
            text += piece.text;
            return true;
        });
    } catch (const gabion::Error &error) {
        if (error.code() != GABION_ERROR_CANCELLED) throw;
        std::cout << " [cancelled]";
    }
    std::cout << std::endl;
    return text;
}

void chat(const std::string &path, const std::string &device, const gabion::GenerateOptions &options) {
    const gabion::Model model = load(path, device);
    std::cerr << "\r" << model.info().description << std::endl;
    gabion::Session session(model);
    interruptible = session.get();
    std::signal(SIGINT, on_interrupt);

    std::vector<gabion::Message> messages;
    std::string line;
    while (std::cerr << "> " && std::getline(std::cin, line) && !line.empty()) {
        messages.push_back({"user", line});
        messages.push_back({"assistant", answer(session, prompt(model, messages), options)});
    }
    std::signal(SIGINT, SIG_DFL);
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) {
        std::cerr << "usage: " << argv[0] << " MODEL.gguf [DEVICE [MAX_TOKENS]]\n";
        return 2;
    }
    gabion::GenerateOptions options;
    if (argc > 3) options.max_tokens = std::atol(argv[3]);
    try {
        chat(argv[1], argc > 2 ? argv[2] : "auto", options);
    } catch (const std::exception &error) {
        std::cerr << "\n" << error.what() << std::endl;
        return 1;
    }
    return 0;
}
