#include "core/http/protocol.hpp"

#include <algorithm>

#include "core/http/http1/pipeline.hpp"

namespace bulkhead::http {

namespace {

constexpr ProtocolRow kProtocols[] = {
    {"http/1.1", http1::make_pipeline},
    {"http/1.0", http1::make_pipeline},
};

}  // namespace

std::span<const ProtocolRow> protocols() { return kProtocols; }

const ProtocolRow& protocol_for(std::string_view alpn) {
  const auto* found = std::find_if(std::begin(kProtocols), std::end(kProtocols), [&](const ProtocolRow& row) {
    return row.alpn == (alpn.empty() ? "http/1.1" : alpn);
  });
  return found != std::end(kProtocols) ? *found : kProtocols[0];
}

}  // namespace bulkhead::http
