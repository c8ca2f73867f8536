// What is left of a send that the kernel did not take at once. The peer reads slowly or not at all,
// so this is what such a peer costs: its own copy where the bytes stood in a shared receive buffer
// (which others need), nothing where they are the caller's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "net/engine.h"

namespace net {

class ParkedSend {
 public:
  explicit ParkedSend(Bytes callers) : rest_(callers) {}

  /// Copies `shared`. An empty pointer where there is no memory for it.
  static std::unique_ptr<ParkedSend> copy_of(Bytes shared) noexcept {
    std::unique_ptr<std::byte[]> own(new (std::nothrow) std::byte[shared.size()]);
    if (!own) return nullptr;
    std::copy(shared.begin(), shared.end(), own.get());
    auto parked = holding({own.get(), shared.size()});
    if (parked) parked->own_ = std::move(own);
    return parked;
  }
  static std::unique_ptr<ParkedSend> holding(Bytes callers) noexcept {
    return std::unique_ptr<ParkedSend>(new (std::nothrow) ParkedSend(callers));
  }

  Bytes rest() const { return rest_; }
  void taken(std::size_t bytes) { rest_ = rest_.subspan(bytes); }

 private:
  Bytes rest_;
  std::unique_ptr<std::byte[]> own_;
};

}  // namespace net
