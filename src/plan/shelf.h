// Shelf: what the files of one kind have in common during one operation (removed inodes known so far, both ends of a
// pipe). The kinds name the types; nobody else looks inside.
#pragma once

#include <map>
#include <memory>
#include <typeindex>

namespace cryo {

class Shelf {
 public:
  // Made when it is first asked for, gone with the Shelf or with clear().
  template <class T>
  T& get() {
    std::shared_ptr<void>& slot = slots_[std::type_index(typeid(T))];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }
  void clear() { slots_.clear(); }

 private:
  std::map<std::type_index, std::shared_ptr<void>> slots_;
};

}  // namespace cryo
