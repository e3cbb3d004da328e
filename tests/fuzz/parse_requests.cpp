// Reads a file of messages, each behind its length in decimal and a newline, and says of each what
// the connection's parser makes of it: one JSON object a line. tests/conformance/test_llhttp.py
// compares it with llhttp.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "messages.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  for (std::string line; std::getline(in, line);) {
    std::string bytes(std::stoul(line), '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const fuzz::Messages read = fuzz::read_messages(bytes, [] { return SIZE_MAX; });
    nlohmann::json messages = nlohmann::json::array();
    for (const fuzz::Message& message : read.whole) {
      std::string hex;
      for (const char c : message.body)
        for (const int nibble : {static_cast<unsigned char>(c) >> 4, c & 15}) hex += "0123456789abcdef"[nibble];
      messages.push_back({{"method", message.method}, {"fields", message.fields.size()}, {"body", hex}});
    }
    std::cout << nlohmann::json{{"status", read.status}, {"incomplete", read.incomplete}, {"messages", messages}}.dump()
              << "\n";
  }
}
