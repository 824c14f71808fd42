// Undo: what a dump has to take back unless its result is kept.
#pragma once

#include <functional>
#include <vector>

namespace cryo {

class Undo {
 public:
  Undo() = default;
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    for (size_t i = steps_.size(); i-- > 0;) steps_[i]();
  }

  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  void keep() { steps_.clear(); }
  bool empty() const { return steps_.empty(); }

 private:
  std::vector<std::function<void()>> steps_;
};

}  // namespace cryo
