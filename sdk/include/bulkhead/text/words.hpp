// bulkhead/text/words.hpp - eight characters of a text at a time, as one machine word.
//
// What the hot path asks of every byte of a head. The tests of a word are those of S. E. Anderson,
// "Bit Twiddling Hacks" (hasless, hasvalue, hasmore).
#ifndef BULKHEAD_TEXT_WORDS_HPP
#define BULKHEAD_TEXT_WORDS_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "bulkhead/text/ascii.hpp"

namespace bulkhead::words {

inline constexpr uint64_t kEach = 0x0101010101010101, kHigh = 0x8080808080808080;

// Not zero where one of the eight characters is less than `bound`, which is at most 128.
constexpr uint64_t less(uint64_t word, unsigned char bound) { return (word - kEach * bound) & ~word & kHigh; }
// Not zero where one of them is `c`.
constexpr uint64_t equal(uint64_t word, char c) { return less(word ^ (kEach * static_cast<unsigned char>(c)), 1); }
// Not zero where one of them is greater than `bound`, which is at most 127.
constexpr uint64_t greater(uint64_t word, unsigned char bound) {
  return ((word + kEach * (127U - bound)) | word) & kHigh;
}

inline uint64_t load(const char* from) {
  uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}
// The first four characters and the last four of a text of four to eight: some are there twice.
inline uint64_t load_ends(std::string_view text) {
  uint32_t first = 0, last = 0;
  std::memcpy(&first, text.data(), sizeof first);
  std::memcpy(&last, text.data() + text.size() - sizeof last, sizeof last);
  return uint64_t{last} << 32 | first;
}

// True where `fault` is zero for every word of the text. In that of a short one some characters
// are there twice, and no others.
template <typename Fault>
bool none(std::string_view text, Fault fault) {
  const size_t size = text.size();
  if (size >= 8) {
    for (size_t i = 0; i + 8 < size; i += 8)
      if (fault(load(text.data() + i)) != 0) return false;
    return fault(load(text.data() + size - 8)) == 0;
  }
  if (size >= 4) return fault(load_ends(text)) == 0;
  for (const char c : text)
    if (fault(kEach * static_cast<unsigned char>(c)) != 0) return false;
  return true;
}

// The eight characters in lower case, as lower() has it.
constexpr uint64_t lower(uint64_t word) {
  const uint64_t low = word & ~kHigh;
  const uint64_t from_a = low + kEach * (128 - 'A'), behind_z = low + kEach * (127 - 'Z');
  return word | ((from_a & ~behind_z & ~word & kHigh) >> 2);
}

// Copies `text` to `to`, in lower case. `to` may be where the text stands, else they are apart.
inline void lower_into(std::string_view text, char* to) {
  const size_t size = text.size();
  if (size < 4) {
    for (size_t i = 0; i < size; ++i) to[i] = bulkhead::lower(text[i]);
    return;
  }
  if (size < 8) {
    const uint64_t ends = lower(load_ends(text));
    const auto first = static_cast<uint32_t>(ends), last = static_cast<uint32_t>(ends >> 32);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + size - sizeof last, &last, sizeof last);
    return;
  }
  const auto step = [&](size_t at) {
    const uint64_t word = lower(load(text.data() + at));
    std::memcpy(to + at, &word, sizeof word);
  };
  for (size_t i = 0; i + 8 < size; i += 8) step(i);
  step(size - 8);
}

}  // namespace bulkhead::words

#endif  // BULKHEAD_TEXT_WORDS_HPP
