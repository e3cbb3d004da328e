// MappedFile: the bytes of one regular file, in memory for reading, as long as this lives.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::runtime {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      error = std::strerror(errno);
      return;
    }
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      error = "not a file";
    } else if (info.st_size > 0) {
      size_ = static_cast<size_t>(info.st_size);
      data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data_ == MAP_FAILED) error = std::strerror(errno);
    }
    ::close(fd);
  }
  ~MappedFile() {
    if (data_ != nullptr && data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // A piece of the file, if it lies within it.
  std::optional<std::string_view> piece(uint64_t offset, uint64_t size) const {
    if (!error.empty() || offset > size_ || size > size_ - offset) return std::nullopt;
    return std::string_view(static_cast<const char*>(data_) + offset, size);
  }
  template <typename T>
  std::optional<T> read(uint64_t offset) const {
    const auto bytes = piece(offset, sizeof(T));
    if (!bytes) return std::nullopt;
    T value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }

  std::string error;  // "" or why it cannot be read

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace bulkhead::runtime
