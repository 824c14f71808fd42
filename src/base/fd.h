// Fd: an owned file descriptor. FdRef: one that somebody else owns (also AT_FDCWD).
#pragma once

#include <utility>

namespace cryo {

class FdRef;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int raw) : raw_(raw) {}
  Fd(Fd&& other) noexcept : raw_(std::exchange(other.raw_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      raw_ = std::exchange(other.raw_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int raw() const { return raw_; }
  [[nodiscard]] int release() { return std::exchange(raw_, -1); }
  void reset();
  explicit operator bool() const { return raw_ >= 0; }

 private:
  int raw_ = -1;
};

class FdRef {
 public:
  FdRef(const Fd& fd) : raw_(fd.raw()) {}  // NOLINT: implicit by design
  explicit FdRef(int raw) : raw_(raw) {}
  int raw() const { return raw_; }

 private:
  int raw_;
};

}  // namespace cryo
