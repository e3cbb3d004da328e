// What Redis says: a kept answer that is refused, or one that is written and read again as the
// same; and a message.
#include "entry.hpp"

#include "bulkhead/net/redis_url.hpp"
#include "fuzz.hpp"
#include "message.hpp"

static constexpr std::string_view kKey = "127.0.0.1\n/tagged/a\n\n\n";

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  uint64_t made = 0;
  if (const auto entry = cache::Draft::decode(text, kKey, &made)) {
    const auto again = cache::Draft::decode(entry->encode(made), kKey, &made);
    fuzz::expect(
        again && again->body == entry->body && again->headers == entry->headers && again->slots == entry->slots,
        "the same answer");
    const cache::EntryRef kept = cache::Entry::make(*entry);
    fuzz::expect(kept->body() == entry->body && kept->fields().size() == entry->headers.size() + 1,
                 "all of it is kept");
  }
  if (const auto message = cache::Message::read(text)) {
    const auto again = cache::Message::read(message->write());
    fuzz::expect(again && again->slots == message->slots && again->all == message->all, "the same message");
  }
  bulkhead::RedisUrl url;
  const std::string wrong = bulkhead::parse_redis_url(text, &url);
  fuzz::expect(!wrong.empty() || url.display.starts_with("redis://"), "an URL to show");
  return 0;
}
