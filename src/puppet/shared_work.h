// Work that a puppet and the coordinator share: the puppet begins at the front, the coordinator at the back.
#pragma once

#include <functional>

#include "puppet/puppet.h"

namespace cryo {

struct SharedWork {
  size_t count = 0;  // of items, each of them some 0.1 to 1 ms of work
  // A batch that does the items from `first` on, at most `most` of them, at least one; `taken` says how many.
  std::function<Batch(size_t first, size_t most, size_t& taken)> batch;
  // Does one item in the coordinator.
  std::function<Result<void>(size_t)> own;
  // So many items have been done by the puppet.
  std::function<void(size_t first, size_t count)> done;
};

// With `able` false, or from when the puppet's batch gives an unexpected answer, the coordinator does all of it: an
// item that the puppet may have done in part is done again.
Result<void> share_work(Puppet& puppet, bool able, const SharedWork& work);

}  // namespace cryo
