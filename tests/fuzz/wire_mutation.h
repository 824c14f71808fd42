// Changes images the way that a hostile writer would: their framing and the wire format of their messages stay
// right, what the fields say does not.
#pragma once

#include <functional>
#include <random>
#include <string>

#include "tests/fuzz/image_bundle.h"

namespace cryo::fuzz {

class BundleMutator {
 public:
  using Random = std::minstd_rand;
  // `scramble` changes bytes without knowing what they mean (LLVMFuzzerMutate).
  BundleMutator(Random& random, std::function<void(std::string&)> scramble)
      : random_(&random), scramble_(std::move(scramble)) {}

  void mutate(ImageBundle& bundle);
  // Some images of the one, some of the other.
  ImageBundle mix(const ImageBundle& a, const ImageBundle& b);

 private:
  size_t pick(size_t count) { return (*random_)() % count; }
  bool one_in(size_t n) { return pick(n) == 0; }
  void mutate_files(ImageBundle& bundle);
  void mutate_entries(std::string& contents);
  void mutate_message(std::string& message, int depth);
  uint64_t other_number(uint64_t old);
  void collect_numbers(const ImageBundle& bundle);

  Random* random_;
  std::function<void(std::string&)> scramble_;
  std::vector<uint64_t> seen_;  // numbers of the bundle: ids and addresses are meant to occur twice
};

}  // namespace cryo::fuzz
