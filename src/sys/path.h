// PathRef: a NUL-terminated path argument that somebody else owns.
#pragma once

#include <string>

namespace cryo::sys {

class PathRef {
 public:
  PathRef(const char* path) : path_(path) {}                 // NOLINT: implicit by design
  PathRef(const std::string& path) : path_(path.c_str()) {}  // NOLINT
  const char* c_str() const { return path_; }

 private:
  const char* path_;
};

}  // namespace cryo::sys
